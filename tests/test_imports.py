"""Imports follow the layout: checked on the syntax trees, and once in a fresh interpreter."""

import ast
import dataclasses
import functools
import graphlib
import importlib.metadata
import os
import pathlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator

import pytest

from tests.rooms import ROOMS

ROOT = pathlib.Path(__file__).parents[1]
PACKAGES = ("algoperf_jax", "configs", "scoring", "third_party", "torch_compat", "workloads")
# What `torch_compat` may import from the engine: the definition of a framework, and its parts.
FRAMEWORK = tuple(
    f"algoperf_jax.{room}"
    for room in (
        "errors",
        "workload",
        "parameters",
        "schedules",
        "algorithms",
        "submission",
        "trial",
        "checkpoints",
        "devices",
        "framework",
    )
)
# What a published submission may import while it runs.
PUBLISHED = ("third_party.algoperf.jax_sharding_utils",)


@dataclasses.dataclass(frozen=True)
class Layer:
    """What a package may import from the project, and from which extras in addition to the dependencies.

    `packages` may be imported with all their modules, `modules` only by themselves.
    """

    packages: tuple[str, ...]
    modules: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()


LAYERS = {
    "algoperf_jax": Layer(("algoperf_jax",), modules=("workloads",)),
    "algoperf_jax.assembly": Layer(("algoperf_jax",), modules=("workloads", *PUBLISHED)),
    "algoperf_jax.configuration": Layer(("algoperf_jax", "configs")),
    "configs": Layer(("configs",)),
    "scoring": Layer(("scoring",)),
    "third_party": Layer(("third_party", "algoperf_jax", "torch_compat"), extras=("torch",)),
    "torch_compat": Layer(("torch_compat", "workloads", *FRAMEWORK), extras=("torch",)),
    "workloads": Layer(
        ("workloads", "algoperf_jax.data"),
        modules=("algoperf_jax.workload", "algoperf_jax.errors", "algoperf_jax.parameters"),
    ),
}
CONFIG_LIBRARIES = {"ml_collections"}


@functools.cache
def sources() -> dict[str, pathlib.Path]:
    """Dotted module name -> file."""
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


def imported(source: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import, anywhere in the source."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                yield node.lineno, whole if whole in sources() else base
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            name = node.args[0] if node.args else None
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield node.lineno, name.value


@functools.cache
def libraries(*extras: str) -> frozenset[str]:
    """Import names of the declared dependencies and of some extras, and the standard library."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    requirements = [*project["dependencies"], *(one for extra in extras for one in optional[extra])]
    declared = {re.split(r"[\[=<>]", requirement)[0] for requirement in requirements}
    normalized = {re.sub(r"[-_.]+", "-", name).lower() for name in declared}
    found = {
        name
        for name, distributions in importlib.metadata.packages_distributions().items()
        if any(re.sub(r"[-_.]+", "-", distribution).lower() in normalized for distribution in distributions)
    }
    return frozenset(found | {name.replace("-", "_") for name in declared} | set(sys.stdlib_module_names))


def violations(module: str, source: str) -> list[str]:
    """One line for each import that the module's layer forbids."""
    layer = LAYERS[max((name for name in LAYERS if f"{module}.".startswith(f"{name}.")), key=len)]
    # Conversion of raw files to prepared data runs before any training.
    own_name = module.rpartition(".")[2]
    reads_raw_files = own_name == "prepare" or own_name.startswith("raw_")
    extras = (*layer.extras, *(("prepare",) if reads_raw_files else ()))
    found = []
    for line, name in imported(source):
        top = name.partition(".")[0]
        if top in PACKAGES:
            inside = any(name == package or name.startswith(f"{package}.") for package in layer.packages)
            allowed = inside or name in layer.modules
        elif module.partition(".")[0] == "configs":
            allowed = top in CONFIG_LIBRARIES or top in sys.stdlib_module_names
        else:
            allowed = top in libraries(*extras)
        if not allowed:
            found.append(f"{module}, line {line}: imports {name}")
    return found


def test_no_import_against_the_layout() -> None:
    found = [line for module, path in sources().items() for line in violations(module, path.read_text())]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("algoperf_jax.trial.clock", "from workloads import ogbg"),
        ("algoperf_jax.trial.clock", "import workloads.ogbg.model"),
        ("algoperf_jax.trial.clock", "from workloads.losses import softmax_cross_entropy"),
        ("algoperf_jax.trial.clock", "def late():\n    import torch"),
        ("algoperf_jax.trial.clock", "import importlib\nimportlib.import_module('workloads.ogbg')"),
        ("algoperf_jax.trial.clock", "from configs import base"),
        ("algoperf_jax.main", "from configs import base"),
        ("algoperf_jax.configuration.checks", "import workloads"),
        ("algoperf_jax.trial.clock", "from . import errors"),
        ("algoperf_jax.trial.clock", "import tests.golden_support"),
        ("algoperf_jax.prepare", "import torch"),
        ("configs.ogbg", "import jax"),
        ("configs.ogbg", "import algoperf_jax"),
        ("scoring.profiles", "import algoperf_jax.trial.events"),
        ("torch_compat.transfer.bridge", "from algoperf_jax import run"),
        ("torch_compat.transfer.bridge", "from algoperf_jax import assembly"),
        ("algoperf_jax.framework.framework", "import torch_compat.framework"),
        ("algoperf_jax.framework.framework", "import third_party.pmap.framework"),
        ("workloads.ogbg.data", "import tensorflow as tf"),
        ("workloads.ogbg.data", "import tensorflow_datasets"),
        ("workloads.ogbg.model", "from algoperf_jax import trial"),
        ("workloads.ogbg.model", "import algoperf_jax.trial.loop"),
    ],
)
def test_an_import_against_the_layout_is_found(module: str, source: str) -> None:
    assert len(violations(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("algoperf_jax.assembly", "import workloads\nfrom algoperf_jax import errors"),
        ("algoperf_jax.configuration.checks", "from configs import base"),
        ("third_party.algoperf", "import torch"),
        ("torch_compat.transfer.bridge", "import torch\nfrom algoperf_jax.workload import Batch"),
        ("workloads.ogbg.data", "from algoperf_jax.data import feed\nfrom workloads import losses"),
        ("workloads.imagenet.prepare", "import tensorflow_datasets"),
        ("workloads.criteo1tb.raw_text", "from isal import isal_zlib"),
    ],
)
def test_what_the_layout_allows_is_allowed(module: str, source: str) -> None:
    assert violations(module, source) == []


def arrows(module: str, source: str) -> set[tuple[str, str]]:
    """The pairs of rooms in the engine that a module's imports connect."""
    first, _, rest = module.partition(".")
    if first != "algoperf_jax" or not rest:
        return set()
    own = rest.partition(".")[0]
    named = (name.split(".") for _, name in imported(source) if name.startswith("algoperf_jax."))
    return {(own, name[1]) for name in named if name[1] != own}


def test_every_room_imports_what_the_plan_says_and_nothing_else() -> None:
    found = {arrow for module, path in sources().items() for arrow in arrows(module, path.read_text())}
    planned = {(room, other) for room, others in ROOMS.items() for other in others}
    assert found - planned == set(), "imports that are not planned"
    assert planned - found == set(), "planned imports that do not exist"


def test_no_room_imports_one_above_it() -> None:
    order = list(ROOMS)
    assert all(order.index(other) < order.index(room) for room, others in ROOMS.items() for other in others)
    assert {module.split(".")[1] for module in sources() if module.startswith("algoperf_jax.")} == set(order)


def test_the_trial_loop_knows_no_framework_and_no_file() -> None:
    trial = {module: path for module, path in sources().items() if module.startswith("algoperf_jax.trial")}
    outside = {
        name.partition(".")[0]
        for path in trial.values()
        for _, name in imported(path.read_text())
        if name.partition(".")[0] not in ("algoperf_jax", *sys.stdlib_module_names)
    }
    assert outside <= {"numpy"}
    assert not [name for path in trial.values() for _, name in imported(path.read_text()) if name in ("os", "pathlib")]


def test_imports_have_no_cycles() -> None:
    graph = {
        module: {name for _, name in imported(path.read_text()) if name in sources()}
        for module, path in sources().items()
    }
    assert len(graph["algoperf_jax.run"]) > 5
    # Raises CycleError, which names the cycle.
    tuple(graphlib.TopologicalSorter(graph).static_order())


def test_every_package_is_distributed() -> None:
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert found <= set(PACKAGES)
    include = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    assert include == [f"{package}*" for package in PACKAGES]
    without = {str(path.parent) for path in sources().values() if not (path.parent / "__init__.py").exists()}
    assert not without, "folders without __init__.py are not distributed"


_RECORD_ATTEMPTS = """
import sys

class Recorder:
    attempts = set()

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "tensorflow"):
            self.attempts.add(name)

sys.meta_path.insert(0, Recorder())
"""


def _run(program: str) -> None:
    # Without the tests' folder of compiled programs, because of which JAX looks for TensorFlow.
    environment = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_importing_the_package_loads_nothing_heavy() -> None:
    _run("""
import sys, time
start = time.perf_counter()
import algoperf_jax
seconds = time.perf_counter() - start
heavy = {"jax", "flax", "optax", "orbax", "grain", "numpy", "matplotlib", "torch", "tensorflow"} & set(sys.modules)
assert not heavy, heavy
assert seconds < 3.0, seconds
""")


def test_training_tries_to_load_neither_torch_nor_tensorflow() -> None:
    _run(f"""
{_RECORD_ATTEMPTS}
import algoperf_jax.run, workloads
for name in workloads.names():
    workloads.load(name)
assert not Recorder.attempts, Recorder.attempts
""")


def test_loading_a_workload_imports_no_other() -> None:
    _run("""
import sys
import workloads
assert [name for name in sys.modules if name.startswith("workloads.")] == ["workloads.entries"]
workloads.load("mnist")
others = [name for name in workloads.base_names() if name != "mnist"]
assert others
assert not [name for name in others if f"workloads.{name}" in sys.modules]
""")
