"""The frameworks that a submission may be written in, and which of them one is written in."""

import dataclasses
import importlib.util
import pkgutil
from collections.abc import Mapping

from algoperf_jax.errors import ConfigError
from algoperf_jax.submission import source_files


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


JAX, PYTORCH, JAX_PMAP = "jax", "pytorch", "jax_pmap"
TORCH_MODELS = ("auto", "twin", "bridge")
"""What `config.torch_model` may be; see `configs/base.py`."""
_NOT_ALGORITHMS = ("warmup_cosine",)

ENTRIES: Mapping[str, Entry] = {
    JAX: Entry("algoperf_jax.framework.jax_framework", "algoperf_jax.algorithms", "jax", "pip install -e ."),
    PYTORCH: Entry("torch_compat.framework", "torch_compat.algorithms", "torch", 'pip install -e ".[torch]"'),
}

ADAPTERS: Mapping[str, Entry] = {
    # JAX submissions of the time before sharded jit: everything has a leading axis of devices, and steps use pmap.
    JAX_PMAP: Entry("third_party.pmap.framework", "algoperf_jax.algorithms", "jax", "pip install -e ."),
}
"""Other ways to run submissions of these frameworks, which are chosen like them."""
WAYS_TO_RUN: Mapping[str, Entry] = {**ENTRIES, **ADAPTERS}
"""What `config.framework` may name."""


def algorithm_names(framework: str) -> tuple[str, ...]:
    """The ready-made algorithms of a framework; none of them is imported."""
    found = importlib.util.find_spec(ENTRIES[framework].algorithms)
    assert found is not None, framework
    modules = pkgutil.iter_modules(found.submodule_search_locations)
    return tuple(sorted(module.name for module in modules if module.name not in _NOT_ALGORITHMS))


def name_for(reference: str, chosen: str | None) -> str:
    """The framework that a submission is written in, or the adapter that it needs.

    A file tells by what it imports, directly or, if that tells nothing, through other files of the submission. One that
    tells nothing at all, and a ready-made algorithm, is taken for JAX unless something else is chosen.

    Args:
      reference: `config.submission`.
      chosen: `config.framework`, or None.

    Raises:
      ConfigError: the choice contradicts the file, or a file that imports both leaves the choice open.
    """
    path = None if _is_ready_made(reference) else source_files.find(reference)
    if path is None:
        return chosen or JAX  # what is wrong with it is said when it is loaded
    files = source_files.collect(path)
    told = _told_by(files.imported_libraries(files.entry)) or _told_by(files.imported_libraries())
    library = WAYS_TO_RUN[chosen].library if chosen else None
    if len(told) == 1 and library not in (None, ENTRIES[told[0]].library):
        raise ConfigError(
            "config.framework", value=chosen, expected=f"{told[0]}, whose library {reference} imports, or unset"
        )
    if chosen is None and len(told) > 1:
        raise ConfigError(
            f"submission {reference} imports the libraries of {' and '.join(told)}",
            remedy=f"Say which it is written in, with --config.framework={told[0]} or the other.",
        )
    if chosen is None and told == [JAX] and any(name.endswith(".pmap") for name in files.attributes()):
        return JAX_PMAP
    return chosen or (told[0] if told else JAX)


def _is_ready_made(reference: str) -> bool:
    return any(reference in algorithm_names(name) for name in ENTRIES)


def _told_by(libraries: set[str]) -> list[str]:
    """The frameworks among the libraries that a submission imports."""
    return [name for name, entry in ENTRIES.items() if entry.library in libraries]
