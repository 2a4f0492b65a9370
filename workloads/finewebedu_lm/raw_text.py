"""Documents of text: Parquet files and JSON lines with a column `text`, or plain text.

Files of JSON lines and of plain text may be compressed by gzip or xz. In plain text, blank lines separate documents, or
each file is one.
"""

import gzip
import json
import lzma
import pathlib
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from algoperf_jax.data import raw_files
from algoperf_jax.errors import DataError
from workloads.finewebedu_lm.raw_libraries import arrow

COLUMN = "text"
SEPARATIONS = ("paragraphs", "files")
"""What a document of plain text is: what stands between blank lines, or a whole file."""

_SUFFIXES = {
    "Parquet": (".parquet",),
    "JSON lines": (".jsonl", ".ndjson"),
    "plain text": (".txt",),
}
_COMPRESSIONS: Mapping[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open}
_NOT_TEXT = ("merges.txt", "readme.txt", "license.txt")
"""Vocabulary files, and what describes a data set."""
_ROWS_AT_A_TIME = 1024


class TextFile(NamedTuple):
    """A file of documents.

    Attributes:
      path: the file.
      kind: a key of `_SUFFIXES`.
    """

    path: pathlib.Path
    kind: str


def find(folder: pathlib.Path) -> list[TextFile]:
    """The files of text in a folder, in the order of their names; if it has none, those in its subfolders.

    Raises:
      DataError: they are of several kinds.
    """
    for search in (_files_in, lambda folder: raw_files.find_all(folder, "*")):
        kinds_of = ((path, _kind(path)) for path in sorted(search(folder)))
        found = [TextFile(path, kind) for path, kind in kinds_of if kind is not None]
        kinds = {file.kind: file.path.relative_to(folder).as_posix() for file in reversed(found)}
        if len(kinds) > 1:
            raise DataError(
                f"{folder} mixes files of several kinds",
                value=[f"{kind}: {name}" for kind, name in kinds.items()],
                expected="one kind",
                remedy="Move the others elsewhere.",
            )
        if found:
            return found
    return []


def read(file: TextFile, *, separation: str) -> Iterator[str]:
    """The documents of a file; some may be empty.

    Args:
      file: the file.
      separation: one of `SEPARATIONS`, for plain text.

    Raises:
      DataError: the file is damaged or holds something else; names file, and line, byte or row.
    """
    if file.kind == "Parquet":
        return _parquet(file.path)
    if file.kind == "JSON lines":
        return _json_lines(file.path)
    return _plain(file.path, separation)


def _files_in(folder: pathlib.Path) -> list[pathlib.Path]:
    return [path for path in folder.iterdir() if path.is_file() and not raw_files.is_hidden(path.name)]


def _kind(path: pathlib.Path) -> str | None:
    name = path.name.lower()
    if name in _NOT_TEXT:
        return None
    plain = name.removesuffix(path.suffix) if path.suffix in _COMPRESSIONS else name
    for kind, suffixes in _SUFFIXES.items():
        if (name if kind == "Parquet" else plain).endswith(suffixes):
            return kind
    return None


def _parquet(path: pathlib.Path) -> Iterator[str]:
    library = arrow()
    try:
        with library.parquet.ParquetFile(path) as file:
            if COLUMN not in file.schema_arrow.names:
                raise DataError(f"columns of {path}", value=file.schema_arrow.names, expected=f"a column {COLUMN!r}")
            row = 0
            for batch in file.iter_batches(batch_size=_ROWS_AT_A_TIME, columns=[COLUMN]):
                for text in batch.column(0).to_pylist():
                    if text is not None and not isinstance(text, str):
                        raise DataError(f"row {row} of {path}", value=text, expected="text")
                    yield text or ""
                    row += 1
    except (library.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet ({error})", remedy="Download it again.") from error


def _json_lines(path: pathlib.Path) -> Iterator[str]:
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        try:
            text = json.loads(line)[COLUMN]
        except (ValueError, TypeError, KeyError, RecursionError):
            text = None
        if not isinstance(text, str):
            raise DataError(
                f"line {number} of {path}",
                value=line.strip()[:80],
                expected=f'an object with text, {{"{COLUMN}": "..."}}',
            )
        yield text


def _plain(path: pathlib.Path, separation: str) -> Iterator[str]:
    if separation == "files":
        yield "".join(_lines(path))
        return
    paragraph: list[str] = []
    for line in _lines(path):
        if line.strip():
            paragraph.append(line)
        elif paragraph:
            yield "".join(paragraph)
            paragraph = []
    if paragraph:
        yield "".join(paragraph)


def _lines(path: pathlib.Path) -> Iterator[str]:
    """The lines of a file of text, with their ends."""
    offset = 0
    try:
        with _COMPRESSIONS.get(path.suffix, open)(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                bad = line.find(0)
                try:
                    text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    text, bad = "", error.start
                if bad >= 0:
                    raise DataError(
                        f"{path} is not text: line {number}, byte {offset + bad}",
                        value=line[max(0, bad - 4) : bad + 8],
                        expected="UTF-8 without zeros",
                    )
                offset += len(line)
                yield text
    except (*raw_files.UNPACKING_ERRORS, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error})", remedy="Get it again.") from error


def described(files: Sequence[TextFile], folder: pathlib.Path) -> dict[str, Any]:
    """Facts about the files for the manifest."""
    return {"kind": files[0].kind, "files": [file.path.relative_to(folder).as_posix() for file in files]}
