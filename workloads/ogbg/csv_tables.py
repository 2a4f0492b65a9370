"""Parses large CSV files of small numbers with whole-array operations.

Files may come from other programs: with a byte-order mark, the line ends of any system, blank lines at the end, and
labels in the spelling of any spreadsheet program.
"""

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

_SUFFIXES = (".csv.gz", ".csv")
_CHUNK_BYTES = 1 << 21
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NEWLINE, _COMMA, _POINT, _ZERO, _ONE = b"\n,.01"
_MAX_DIGITS = 9
_MAX_LABEL_BYTES = 32
_MISSING = frozenset(b"nan -nan na n/a <na> #n/a null none".split())
"""Spellings of a missing number, in lower case; an empty field also means missing."""


def integers(folder: Folder, stem: str, columns: int, dtype: Any, *, rows: int | None = None) -> tuple[np.ndarray, str]:
    """Reads a file of nonnegative integers, [rows, columns]; also returns the file's name for messages.

    Args:
      folder: contains `<stem>.csv.gz` or `<stem>.csv`.
      stem: name of the file without suffix.
      columns: fields per line.
      dtype: integer type of the result.
      rows: number of lines, if known.

    Raises:
      DataError: the file is missing or damaged, has a wrong number of lines, or has a line that is not `columns`
        integers that fit the type.
    """
    file = _find(folder, stem)
    largest = np.iinfo(dtype).max

    def parse(text: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        lengths = ends - starts
        bad = (lengths < 1) | (lengths > _MAX_DIGITS)
        values = np.zeros(len(ends), np.int64)
        for place in range(min(int(lengths.max()), _MAX_DIGITS)):
            present = lengths > place
            # If the field is shorter, this reads an unrelated byte, which has no effect.
            digit = text[ends - 1 - place].astype(np.int64) - _ZERO
            bad |= present & ((digit < 0) | (digit > 9))
            values += np.where(present, digit * 10**place, 0)
        return values, bad | (values > largest)

    expected = f"{columns} integers from 0 to {min(largest, 10**_MAX_DIGITS - 1)}"
    return _table(file, columns, dtype, rows, parse, expected), str(file)


def labels(folder: Folder, stem: str, columns: int, *, rows: int) -> np.ndarray:
    """Reads a file of labels, int8 [rows, columns]: 0, 1, or -1 for a missing one.

    A label is a number (`0`, `1.0`, `1e0`); a missing one is empty or a word like `nan`.

    Raises:
      DataError: as for `integers`.
    """
    expected = f"{columns} labels, each 0, 1, nan or nothing"
    return _table(_find(folder, stem), columns, np.int8, rows, _parse_labels, expected)


def _parse_labels(text: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    lengths = ends - starts
    first = text[starts]
    last = len(text) - 1
    decimal = (text[np.minimum(starts + 1, last)] == _POINT) & (text[np.minimum(starts + 2, last)] == _ZERO)
    usual = ((first == _ZERO) | (first == _ONE)) & ((lengths == 1) | ((lengths == 3) & decimal))
    values = np.where(lengths == 0, -1, first.astype(np.int64) - _ZERO)
    bad = np.zeros(len(values), bool)
    unusual = np.flatnonzero(~usual & (lengths > 0))
    if unusual.size:
        values[unusual], bad[unusual] = _parse_unusual_labels(text, starts[unusual], lengths[unusual])
    return values, bad


def _parse_unusual_labels(text: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Parses each spelling only once, because all labels of a file may be unusual."""
    width = min(int(lengths.max()), _MAX_LABEL_BYTES)
    places = np.arange(width)
    fields = np.where(places < lengths[:, None], text[np.minimum(starts[:, None] + places, len(text) - 1)], 0)
    packed = np.ascontiguousarray(fields, np.uint8).view(f"S{width}")[:, 0]
    spellings, which = np.unique(packed, return_inverse=True)
    meanings = np.array([_meaning(spelling) for spelling in spellings.tolist()], np.int64)
    bad = (meanings[which] == _NO_LABEL) | (lengths > _MAX_LABEL_BYTES)
    return meanings[which], bad


_NO_LABEL = -2


def _meaning(spelling: bytes) -> int:
    spelling = spelling.strip().lower()
    if not spelling or spelling in _MISSING:
        return -1
    try:
        number = float(spelling)
    except ValueError:
        return _NO_LABEL
    return int(number) if number in (0.0, 1.0) else _NO_LABEL


_Parse = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def exists(folder: Folder, stem: str) -> bool:
    """Whether a folder holds `<stem>.csv.gz` or `<stem>.csv`."""
    return any((folder / f"{stem}{suffix}").is_file() for suffix in _SUFFIXES)


def _find(folder: Folder, stem: str) -> Folder:
    for suffix in _SUFFIXES:
        file = folder / f"{stem}{suffix}"
        if file.is_file():
            return file
    raise DataError(
        f"{stem}.csv.gz (or {stem}.csv) is missing in {folder}", remedy="Download all files of the data set."
    )


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
    """Yields the file's bytes, split at line ends, which are converted to those of Unix; a missing last one is added.

    A byte-order mark and blank lines at the end are removed.
    """
    try:
        with file.open("rb") as packed:
            stream = gzip.GzipFile(fileobj=packed) if file.name.endswith(".gz") else packed
            rest = b""
            first = True
            while read := stream.read(_CHUNK_BYTES):
                if first:
                    read, first = read.removeprefix(_BYTE_ORDER_MARK), False
                # The second byte of a line end may be in the next piece.
                held = b"\r" if read.endswith(b"\r") else b""
                text = (rest + read.removesuffix(b"\r")).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
                # Blank lines are held back, since they may be the last ones.
                filled = len(text[: text.rfind(b"\n") + 1].rstrip())
                cut = text.index(b"\n", filled) + 1 if filled else 0
                rest = text[cut:] + held
                if cut:
                    yield np.frombuffer(text, np.uint8, cut)
            rest = rest.replace(b"\r", b"\n").rstrip()
            if rest:
                yield np.frombuffer(rest + b"\n", np.uint8)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise DataError(f"{file} cannot be read ({error})", remedy="Download it again.") from error
