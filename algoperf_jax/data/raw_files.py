"""Finds the raw files of a data set in a folder and its subfolders, packed or unpacked.

Skips files of file managers, editors and interrupted programs: names that begin with a dot, and `__MACOSX`.
"""

import lzma
import pathlib
import tarfile
import zlib
from collections.abc import Callable, Iterator

from algoperf_jax.errors import DataError

ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".tbz")
UNPACKING_ERRORS = (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError)
"""Exceptions that the libraries raise for a damaged archive."""


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is not part of a data set."""
    return name.startswith(".") or name == "__MACOSX"


def is_hidden_below(path: pathlib.PurePath, folder: pathlib.PurePath) -> bool:
    """Whether a path below a folder is hidden or in a hidden subfolder; the folder itself may be hidden."""
    return any(is_hidden(part) for part in path.relative_to(folder).parts)


def find_all(folder: pathlib.Path, *patterns: str) -> list[pathlib.Path]:
    """The files below a folder that match a pattern, sorted by pattern, depth and name."""
    found: dict[pathlib.Path, None] = {}
    for pattern in patterns:
        matches = [path for path in folder.rglob(pattern) if path.is_file() and not is_hidden_below(path, folder)]
        found.update(dict.fromkeys(sorted(matches, key=lambda path: (len(path.parts), path))))
    return list(found)


def find(folder: pathlib.Path, *patterns: str) -> pathlib.Path | None:
    """The first file that `find_all` finds, or None."""
    return next(iter(find_all(folder, *patterns)), None)


def archives(folder: pathlib.Path, *stems: str) -> list[pathlib.Path]:
    """The tar archives below a folder, compressed or not, whose names begin with one of `stems`."""
    found = find_all(folder, *(f"{stem}*" for stem in stems))
    # Interrupted downloads have further suffixes.
    return [path for path in found if path.name.endswith(ARCHIVE_SUFFIXES)]


def members(path: pathlib.Path, is_wanted: Callable[[str], bool] = bool) -> Iterator[tuple[str, bytes]]:
    """Yields names and contents of the files in a tar archive, in its order, without hidden ones.

    Args:
      path: the archive.
      is_wanted: whether a file with this name is read; others are skipped.

    Raises:
      DataError: the archive is damaged.
    """
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if any(is_hidden(part) for part in pathlib.PurePath(member.name).parts) or not is_wanted(member.name):
                    continue
                file = archive.extractfile(member) if member.isfile() else None
                if file is not None:
                    yield member.name, file.read()
            # The checksum of a compressed archive comes last.
            while archive.fileobj is not None and archive.fileobj.read(1 << 20):
                pass
    except UNPACKING_ERRORS as error:
        raise DataError(f"{path} cannot be unpacked ({error})", remedy="Download it again.") from error
