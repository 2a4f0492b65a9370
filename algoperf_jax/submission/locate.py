"""Finds a submission and parses its files once, without running them."""

import dataclasses
import pathlib

from algoperf_jax.errors import ConfigError
from algoperf_jax.submission import source_files
from algoperf_jax.submission.framework_names import ENTRIES, JAX, JAX_PMAP, WAYS_TO_RUN, algorithm_names
from algoperf_jax.submission.source_files import SubmissionFiles


@dataclasses.dataclass(frozen=True)
class Located:
    """The files and the framework of a submission.

    Attributes:
      reference: `config.submission`.
      framework: key of `WAYS_TO_RUN`: the framework that it is written in, or the adapter that it needs.
      is_ready_made: whether it is one of the project's algorithms, referred to by name.
      files: its files, or None if nothing was found; loading it reports what is wrong.
    """

    reference: str
    framework: str
    is_ready_made: bool
    files: SubmissionFiles | None

    @property
    def written_in(self) -> str:
        """The framework whose arrays its functions use, with or without an adapter."""
        library = WAYS_TO_RUN[self.framework].library
        return next(name for name, entry in ENTRIES.items() if entry.library == library)

    @property
    def own_files(self) -> SubmissionFiles | None:
        """Its files, or None if they are part of this project, whose packages are imported normally."""
        return None if self.files is None or source_files.is_project_file(self.files.entry) else self.files

    @property
    def is_path(self) -> bool:
        """Whether the reference is the path of a file or folder."""
        return self.reference.endswith(".py") or "/" in self.reference


def locate(reference: str, chosen: str | None = None) -> Located:
    """Finds a submission and detects its framework.

    The framework is detected from the imports of the entry file, or else from those of all the submission's files. It
    is JAX for a submission that imports neither framework, and for a ready-made algorithm unless another is chosen.

    Args:
      reference: the name of a ready-made algorithm, the path of a `.py` file or of a folder with a `submission.py`, or
        a dotted module.
      chosen: `config.framework`, or None.

    Raises:
      ConfigError: the choice contradicts the file, or the file imports both frameworks and none is chosen.
    """
    if any(reference in algorithm_names(name) for name in ENTRIES):
        framework = chosen or JAX
        entry = source_files.find(f"{WAYS_TO_RUN[framework].algorithms}.{reference}")
        return Located(reference, framework, True, _files(entry))
    files = _files(source_files.find(reference))
    return Located(reference, chosen or JAX if files is None else _detected(reference, files, chosen), False, files)


def _files(entry: pathlib.Path | None) -> SubmissionFiles | None:
    return None if entry is None else source_files.collect(entry)


def _detected(reference: str, files: SubmissionFiles, chosen: str | None) -> str:
    found = _frameworks(files.imported_libraries(files.entry)) or _frameworks(files.imported_libraries())
    library = WAYS_TO_RUN[chosen].library if chosen else None
    if len(found) == 1 and library not in (None, ENTRIES[found[0]].library):
        raise ConfigError(
            "config.framework", value=chosen, expected=f"{found[0]}, whose library {reference} imports, or unset"
        )
    if chosen is None and len(found) > 1:
        raise ConfigError(
            f"submission {reference} imports the libraries of {' and '.join(found)}",
            remedy=f"Set its framework with --config.framework={found[0]} or the other.",
        )
    if chosen is None and found == [JAX] and any(name.endswith(".pmap") for name in files.attributes()):
        return JAX_PMAP
    return chosen or (found[0] if found else JAX)


def _frameworks(libraries: set[str]) -> list[str]:
    """The frameworks among imported libraries."""
    return [name for name, entry in ENTRIES.items() if entry.library in libraries]
