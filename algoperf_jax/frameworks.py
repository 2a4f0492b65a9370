"""The frameworks that a submission may be written in, and which of them one is written in."""

import ast
import dataclasses
import importlib.util
import pathlib
import pkgutil
from collections.abc import Mapping

from algoperf_jax.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Entry:
    """Where a framework is found.

    Attributes:
      module: defines `FRAMEWORK`.
      algorithms: package of its ready-made algorithms.
      library: what a submission written in it imports.
      install: the command that installs the library.
    """

    module: str
    algorithms: str
    library: str
    install: str


JAX, PYTORCH = "jax", "pytorch"
TORCH_MODELS = ("auto", "twin", "bridge")
"""What `config.torch_model` may be; see `configs/base.py`."""
_NOT_ALGORITHMS = ("warmup_cosine",)

ENTRIES: Mapping[str, Entry] = {
    JAX: Entry("algoperf_jax.jax_framework", "algoperf_jax.algorithms", "jax", "pip install -e ."),
    PYTORCH: Entry("torch_compat.framework", "torch_compat.algorithms", "torch", 'pip install -e ".[torch]"'),
}


def algorithm_names(framework: str) -> tuple[str, ...]:
    """The ready-made algorithms of a framework; none of them is imported."""
    found = importlib.util.find_spec(ENTRIES[framework].algorithms)
    assert found is not None, framework
    modules = pkgutil.iter_modules(found.submodule_search_locations)
    return tuple(sorted(module.name for module in modules if module.name not in _NOT_ALGORITHMS))


def name_for(reference: str, chosen: str | None) -> str:
    """The framework that a submission is written in.

    A file tells by what it imports; one that tells nothing, and a ready-made algorithm, is taken for JAX unless
    something else is chosen.

    Args:
      reference: `config.submission`.
      chosen: `config.framework`, or None.

    Raises:
      ConfigError: the choice contradicts the file, or a file that imports both leaves the choice open.
    """
    told = _told_by_imports(reference)
    if len(told) == 1 and chosen not in (None, *told):
        raise ConfigError(
            "config.framework", value=chosen, expected=f"{told[0]}, whose library {reference} imports, or unset"
        )
    if chosen is None and len(told) > 1:
        raise ConfigError(
            f"submission {reference} imports the libraries of {' and '.join(told)}",
            remedy=f"Say which it is written in, with --config.framework={told[0]} or the other.",
        )
    return chosen or (told[0] if told else JAX)


def _told_by_imports(reference: str) -> list[str]:
    """The frameworks whose libraries the submission's file imports, anywhere in it; the file is not run."""
    if any(reference in algorithm_names(name) for name in ENTRIES):
        return []
    try:
        tree = ast.parse(_file_of(reference).read_bytes())
    except (OSError, SyntaxError, ValueError, ImportError):
        return []  # what is wrong with it is said when it is loaded
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            imported.add(str(node.module).partition(".")[0])
    return [name for name, entry in ENTRIES.items() if entry.library in imported]


def _file_of(reference: str) -> pathlib.Path:
    if reference.endswith(".py") or "/" in reference:
        return pathlib.Path(reference).expanduser()
    found = importlib.util.find_spec(reference)
    if found is None or found.origin is None:
        raise ImportError(reference)
    return pathlib.Path(found.origin)
