"""Imports go the way the layout says: checked on the syntax trees, and once in a fresh interpreter."""

import ast
import dataclasses
import functools
import graphlib
import importlib.metadata
import pathlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGES = ("algoperf_jax", "configs", "scoring", "third_party", "torch_compat", "workloads")
TYPES = ("algoperf_jax.workload", "algoperf_jax.errors", "algoperf_jax.parameters")
# What a framework is to the engine, and what it is made of.
FRAMEWORK = (
    *TYPES,
    "algoperf_jax.trial.backend",
    "algoperf_jax.devices.compile_watch",
    "algoperf_jax.devices.distributed",
    "algoperf_jax.outputs.environment",
    "algoperf_jax.devices.evaluation",
    "algoperf_jax.framework.framework",
    "algoperf_jax.submission.framework_names",
    "algoperf_jax.devices.mesh",
    "algoperf_jax.devices.precision",
    "algoperf_jax.submission.interface",
    "algoperf_jax.trial.loop",
    "algoperf_jax.devices.host_reads",
    "algoperf_jax.framework.workload_view",
)
# What lets a submission import what it was written against.
SUBMISSIONS = ("third_party.algoperf.jax_sharding_utils", "algoperf_jax.submission.imports")


@dataclasses.dataclass(frozen=True)
class Layer:
    """What a package may import of the project, and which extras' libraries besides the dependencies.

    `packages` are open with all that is in them, `modules` by themselves only.
    """

    packages: tuple[str, ...]
    modules: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()


# The command lines that read a configuration know its defaults.
_COMMAND_LINE = Layer(("algoperf_jax",), modules=("workloads", "configs.base", *SUBMISSIONS))
LAYERS = {
    "algoperf_jax": Layer(("algoperf_jax",), modules=("workloads", *SUBMISSIONS)),
    "algoperf_jax.main": _COMMAND_LINE,
    "algoperf_jax.bench.__main__": _COMMAND_LINE,
    "algoperf_jax.check_submission.__main__": _COMMAND_LINE,
    "algoperf_jax.dry_run.__main__": _COMMAND_LINE,
    "configs": Layer(("configs",)),
    "scoring": Layer(("scoring",)),
    "third_party": Layer(("third_party", "algoperf_jax", "torch_compat"), extras=("torch",)),
    "torch_compat": Layer(
        ("torch_compat", "workloads", "algoperf_jax.algorithms"), modules=FRAMEWORK, extras=("torch",)
    ),
    "workloads": Layer(("workloads", "algoperf_jax.data"), modules=TYPES),
}
CONFIG_LIBRARIES = {"ml_collections"}


@functools.cache
def sources() -> dict[str, pathlib.Path]:
    """Dotted module name -> file."""
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


def imported(source: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything imported, anywhere in the source."""
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
    layer = LAYERS.get(module) or LAYERS[module.partition(".")[0]]
    # What turns raw files into prepared data runs before any training.
    extras = (*layer.extras, *(("prepare",) if module.endswith(".prepare") else ()))
    found = []
    for line, name in imported(source):
        top = name.partition(".")[0]
        if top in PACKAGES:
            inside = any(name == package or name.startswith(f"{package}.") for package in layer.packages)
            allowed = inside or name in layer.modules
        elif module.partition(".")[0] == "configs":
            allowed = top in CONFIG_LIBRARIES
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
        ("algoperf_jax.main", "from configs import base"),
        ("third_party.algoperf", "import torch"),
        ("torch_compat.transfer.bridge", "import torch\nfrom algoperf_jax.workload import Batch"),
        ("workloads.ogbg.data", "from algoperf_jax.data import feed\nfrom workloads import losses"),
        ("workloads.imagenet.prepare", "import tensorflow_datasets"),
    ],
)
def test_what_the_layout_allows_is_allowed(module: str, source: str) -> None:
    assert violations(module, source) == []


def test_no_import_goes_in_a_circle() -> None:
    graph = {
        module: {name for _, name in imported(path.read_text()) if name in sources()}
        for module, path in sources().items()
    }
    assert len(graph["algoperf_jax.run"]) > 5
    # Raises CycleError, which names the circle.
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
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
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
