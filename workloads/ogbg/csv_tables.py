"""Large CSV files of small numbers, parsed with whole-array operations."""

import gzip
import pathlib
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from algoperf_jax.errors import DataError

Folder = pathlib.Path | zipfile.Path
"""A folder on disk or inside an archive."""

_CHUNK_BYTES = 1 << 21
_NEWLINE, _COMMA, _POINT, _ZERO, _ONE = b"\n,.01"
_MAX_DIGITS = 9


def integers(folder: Folder, stem: str, columns: int, dtype: Any, *, rows: int | None = None) -> tuple[np.ndarray, str]:
    """A file of nonnegative integers, [rows, columns], and the file's name for messages.

    Args:
      folder: holds `<stem>.csv.gz` or `<stem>.csv`.
      stem: name of the file without suffix.
      columns: fields per line.
      dtype: integer type of the result.
      rows: number of lines, where it is known.

    Raises:
      DataError: the file is missing or damaged, has another number of lines, or a line is not `columns` integers that
        fit the type.
    """
    file = _find(folder, stem)
    largest = np.iinfo(dtype).max

    def parse(text: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        lengths = ends - starts
        bad = (lengths < 1) | (lengths > _MAX_DIGITS)
        values = np.zeros(len(ends), np.int64)
        for place in range(min(int(lengths.max()), _MAX_DIGITS)):
            present = lengths > place
            # Where the field is shorter, this reads some other byte of the text, to no effect.
            digit = text[ends - 1 - place].astype(np.int64) - _ZERO
            bad |= present & ((digit < 0) | (digit > 9))
            values += np.where(present, digit * 10**place, 0)
        return values, bad | (values > largest)

    expected = f"{columns} integers from 0 to {min(largest, 10**_MAX_DIGITS - 1)}"
    return _table(file, columns, dtype, rows, parse, expected), str(file)


def labels(folder: Folder, stem: str, columns: int, *, rows: int) -> np.ndarray:
    """A file of labels `0`, `1`, `0.0`, `1.0` or nothing, int8 [rows, columns] with -1 for nothing.

    Raises:
      DataError: as for `integers`.
    """

    def parse(text: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        lengths = ends - starts
        first = text[starts]
        last = len(text) - 1
        decimal = (text[np.minimum(starts + 1, last)] == _POINT) & (text[np.minimum(starts + 2, last)] == _ZERO)
        good = ((first == _ZERO) | (first == _ONE)) & ((lengths == 1) | ((lengths == 3) & decimal))
        missing = lengths == 0
        return np.where(missing, -1, first.astype(np.int64) - _ZERO), ~(good | missing)

    expected = f"{columns} labels, each 0, 1 or nothing"
    return _table(_find(folder, stem), columns, np.int8, rows, parse, expected)


_Parse = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def _find(folder: Folder, stem: str) -> Folder:
    for suffix in (".csv.gz", ".csv"):
        file = folder / f"{stem}{suffix}"
        if file.is_file():
            return file
    raise DataError(f"{stem}.csv.gz (or {stem}.csv) is missing in {folder}", remedy="Get all files of the data set.")


def _table(file: Folder, columns: int, dtype: Any, rows: int | None, parse: _Parse, expected: str) -> np.ndarray:
    parts = [np.zeros((0, columns), dtype)]
    done = 0
    for text in _chunks(file):
        # A field ends at the comma or newline after it.
        ends = np.flatnonzero((text == _NEWLINE) | (text == _COMMA))
        newlines = np.flatnonzero(text[ends] == _NEWLINE)
        fields = np.diff(newlines, prepend=-1)
        if (fields != columns).any():
            line = int((fields != columns).argmax())
            raise _malformed(file, done + line, text, ends[newlines], line, expected)
        starts = np.concatenate([[0], ends[:-1] + 1])
        values, bad = parse(text, starts, ends)
        if bad.any():
            line = int(bad.argmax()) // columns
            raise _malformed(file, done + line, text, ends[newlines], line, expected)
        parts.append(values.astype(dtype).reshape(-1, columns))
        done += len(newlines)
    if rows is not None and done != rows:
        raise DataError(f"number of lines in {file}", value=done, expected=str(rows))
    return np.concatenate(parts)


def _malformed(
    file: Folder, number: int, text: np.ndarray, line_ends: np.ndarray, line: int, expected: str
) -> DataError:
    start = line_ends[line - 1] + 1 if line else 0
    content = text[start : line_ends[line]].tobytes().decode("utf-8", "replace")
    shown = content if len(content) <= 60 else f"{content[:60]}..."
    return DataError(f"line {number + 1} of {file}", value=shown, expected=expected)


def _chunks(file: Folder) -> Iterator[np.ndarray]:
    """The file's bytes, cut at line ends; the last line's end is supplied where it lacks."""
    try:
        with file.open("rb") as packed:
            stream = gzip.GzipFile(fileobj=packed) if file.name.endswith(".gz") else packed
            rest = b""
            while read := stream.read(_CHUNK_BYTES):
                text = rest + read.replace(b"\r", b"")
                cut = text.rfind(b"\n") + 1
                rest = text[cut:]
                if cut:
                    yield np.frombuffer(text, np.uint8, cut)
            if rest:
                yield np.frombuffer(rest + b"\n", np.uint8)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise DataError(f"{file} cannot be read ({error})", remedy="Download it again.") from error
