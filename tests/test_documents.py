"""Everything that the documents mention exists: files, commands, configuration keys, targets, numbers."""

import ast
import functools
import importlib
import pathlib
import re
from collections.abc import Iterator, Mapping

import pytest
from ml_collections import ConfigDict

import workloads
from algoperf_jax.submission.framework_names import ENTRIES, algorithm_names
from configs import base

ROOT = pathlib.Path(__file__).parents[1]
FOLDERS = (
    "algoperf_jax",
    "configs",
    "docker",
    "docs",
    "examples",
    "findings",
    "notebooks",
    "scoring",
    "tests",
    "third_party",
    "torch_compat",
    "workloads",
    ".ci",
)
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", *(f"{folder}/**/*.md" for folder in FOLDERS))
    for path in ROOT.glob(pattern)
    if path.is_file()
)
SOURCES = sorted(
    path
    for folder in ("algoperf_jax", "configs", "third_party", "torch_compat", "workloads")
    for path in (ROOT / folder).rglob("*.py")
)
# Error messages and docstrings of modules name commands and keys, too.
TEXTS = [*DOCUMENTS, *SOURCES, *(ROOT / n for n in ("Makefile", "docker/Dockerfile", "notebooks/quickstart.ipynb"))]

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)
FILE = re.compile(rf"(?<![\w./<>~$-])((?:{'|'.join(map(re.escape, FOLDERS))})/[\w./-]*)")
MODULE = re.compile(r"python -m ((?:algoperf_jax|docs|scoring|torch_compat|third_party|workloads)[\w.]*\w)")
FENCE = re.compile(r"^```(.*)$", re.MULTILINE)
LANGUAGES = ("sh", "text", "python", "json", "bibtex")
CONFIG_KEY = re.compile(r"--config\.(\w+(?:\.\w+)*)")
CONFIG_FILE = re.compile(r"--config=configs/(\w+)\.py(?::(\w+))?")
MAKE_TARGET = re.compile(r"\bmake ([a-z]+)")


def identify(path: pathlib.Path) -> str:
    return str(path.relative_to(ROOT))


def code(document: pathlib.Path) -> str:
    return "\n".join(CODE.findall(document.read_text()))


def anchors(document: pathlib.Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def flat(config: ConfigDict, prefix: str = "") -> Iterator[str]:
    for key, value in config.items():
        yield f"{prefix}{key}"
        if isinstance(value, ConfigDict):
            yield from flat(value, f"{prefix}{key}.")


@functools.cache
def hyperparameters() -> frozenset[str]:
    """The names that the ready-made algorithms declare."""
    modules = [
        importlib.import_module(f"{entry.algorithms}.{name}")
        for framework, entry in ENTRIES.items()
        for name in algorithm_names(framework)
    ]
    return frozenset(name for module in modules for name in module.Hyperparameters._fields)


def unknown_keys(text: str) -> set[str]:
    known = {*flat(base.get_config()), *(f"hyperparameters.{name}" for name in hyperparameters())}
    placeholder = re.compile(r"key|.*\b[A-Z]+")
    return {key for key in CONFIG_KEY.findall(text) if key not in known and not placeholder.fullmatch(key)}


def test_there_are_documents() -> None:
    assert {"README.md", "BUILD.md", "CONTRIBUTING.md", "CHANGELOG.md"} <= {path.name for path in DOCUMENTS}


@pytest.mark.parametrize("document", DOCUMENTS, ids=identify)
def test_links_lead_somewhere(document: pathlib.Path) -> None:
    broken = []
    for link in LINK.findall(document.read_text()):
        if re.match(r"https?:|mailto:", link):
            continue
        place, _, anchor = link.partition("#")
        target = (document.parent / place) if place else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("document", DOCUMENTS, ids=identify)
def test_files_that_are_named_exist(document: pathlib.Path) -> None:
    named = FILE.findall(code(document))
    missing = [name for name in named if not (ROOT / name.rstrip("./")).exists()]
    assert not missing


@pytest.mark.parametrize("text", TEXTS, ids=identify)
def test_commands_and_keys_that_are_named_exist(text: pathlib.Path) -> None:
    content = text.read_text()
    files = [ROOT / f"{module.replace('.', '/')}.py" for module in MODULE.findall(content)]
    missing = [str(path) for path in files if not (path.exists() or (path.with_suffix("") / "__main__.py").exists())]
    assert not missing
    assert not unknown_keys(content)
    for stem, variant in CONFIG_FILE.findall(content):
        assert (ROOT / f"configs/{stem}.py").exists()
        # The files of the tuning rulesets accept any name of a workload.
        assert not variant or {variant, f"{stem}_{variant}"} & {*workloads.names()}


@pytest.mark.parametrize("document", DOCUMENTS, ids=identify)
def test_make_targets_that_are_named_exist(document: pathlib.Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"train", "test"} <= targets
    assert set(MAKE_TARGET.findall(code(document))) <= targets


def test_a_wrong_name_is_found() -> None:
    assert FILE.findall("see algoperf_jax/no_such_file.py") == ["algoperf_jax/no_such_file.py"]
    assert unknown_keys("--config.sede=1 --config.mesh.data=2 --config.hyperparameters.rate=1") == {
        "sede",
        "hyperparameters.rate",
    }


@functools.cache
def attribute_chains() -> Mapping[str, frozenset[str]]:
    """What the engine reads: `chains` as dotted text (`config.mesh.data`), and `names` of all attributes and fields."""
    chains, names = set(), set()
    for path in (path for folder in ("algoperf_jax", "torch_compat") for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                chains.add(ast.unparse(node))
                names.add(node.attr)
            elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
                chains.add(f"{ast.unparse(node.value)}.{node.slice.value}")
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                names.add(node.target.id)
    return {"chains": frozenset(chains), "names": frozenset(names)}


@pytest.mark.parametrize("key", tuple(flat(base.get_config())))
def test_every_configuration_key_has_a_reader(key: str) -> None:
    read = attribute_chains()
    group, _, leaf = key.rpartition(".")
    # The leaves of a group may be read in a function that gets the group.
    by_group = bool(group) and f"config.{group}" in read["chains"] and leaf in read["names"]
    assert f"config.{key}" in read["chains"] or by_group


def test_every_key_that_is_read_exists() -> None:
    known = {*flat(base.get_config())}
    read = {chain.split(".")[1] for chain in attribute_chains()["chains"] if re.match(r"config\.\w+", chain)}
    assert "workload" in read
    assert {name for name in read if name not in known and not hasattr(ConfigDict, name)} == set()


@pytest.mark.parametrize("name", sorted({name for framework in ENTRIES for name in algorithm_names(framework)}))
def test_the_ready_made_algorithms_are_listed(name: str) -> None:
    assert f"`{name}`" in (ROOT / "docs/submissions.md").read_text()


@pytest.mark.parametrize("document", DOCUMENTS, ids=identify)
def test_blocks_say_their_language(document: pathlib.Path) -> None:
    # Commands and Python are checked by their language: a block without one would escape.
    begin, end = FENCE.findall(document.read_text())[::2], FENCE.findall(document.read_text())[1::2]
    assert set(begin) <= set(LANGUAGES)
    assert set(end) <= {""}


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
