"""Files of rows: written piece by piece, checked block by block when they are read.

`NAME` is nothing but rows: little-endian numbers of one type, the same number of them in each row. `NAME.json`
describes it: the number of rows, the CRC-32 of each block of rows (the last block may be shorter), and where they came
from. Both are written under temporary names; the description gets its final name last, so a file that has one is
complete. A preparation that was killed continues with the files that have none; see `continued`.
"""

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import pathlib
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any

import numpy as np
from jaxtyping import Bool, Shaped

from algoperf_jax.data.manifest import Column, File, Split
from algoperf_jax.errors import DataError

FORMAT = 1

Rows = Shaped[np.ndarray, "rows ..."]


@dataclasses.dataclass(frozen=True)
class RowFormat:
    """What the rows of a file are.

    Attributes:
      dtype: the type of the numbers.
      shape: the shape of a row; () for a single number.
      rows_per_block: number of rows with a common checksum. The first read of any of them reads them all.
    """

    dtype: np.dtype
    shape: tuple[int, ...]
    rows_per_block: int

    @property
    def stored(self) -> np.dtype:
        """The type of the numbers in the file."""
        return self.dtype.newbyteorder("<")

    @property
    def bytes_per_row(self) -> int:
        return self.dtype.itemsize * math.prod(self.shape)


@dataclasses.dataclass(frozen=True)
class Description:
    """What is known of a complete file.

    Attributes:
      num_rows: number of rows.
      checksums: the CRC-32 of each block.
      source: where the rows came from, as given to `writer`.
    """

    num_rows: int
    checksums: tuple[int, ...]
    source: Mapping[str, Any]


@contextlib.contextmanager
def writer(path: pathlib.Path, row: RowFormat, *, source: Mapping[str, Any]) -> Iterator[Callable[[np.ndarray], None]]:
    """Opens a file for writing; it is complete when the context ends, and does not exist if the context fails.

    Args:
      path: the final name; an older file is replaced.
      row: what the rows are.
      source: JSON values that say where the rows come from, such as the name and size of a raw file.

    Yields:
      A function that appends rows [any, *shape].

    Raises:
      OSError: the disk is full or not writable.
    """
    partial, description = path.with_name(f".{path.name}.partial"), _description_path(path)
    description.unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    checksums = _BlockChecksums(row.rows_per_block * row.bytes_per_row)
    try:
        with partial.open("wb") as file:

            def write(rows: np.ndarray) -> None:
                if rows.shape[1:] != row.shape or rows.ndim == 0 or rows.dtype != row.dtype:
                    raise ValueError(f"rows are {row.dtype} {['any', *row.shape]}, not {rows.dtype} {rows.shape}")
                content = _bytes(np.ascontiguousarray(rows, row.stored))
                file.write(content)
                checksums.add(content)

            yield write
            _to_disk(file)
        partial.rename(path)
        with partial.open("w", encoding="utf-8") as text:
            description_of_rows = {
                "format": FORMAT,
                "rows": checksums.num_bytes // row.bytes_per_row,
                "rows_per_block": row.rows_per_block,
                "crc32": checksums.done(),
                "source": dict(source),
            }
            text.write(json.dumps(description_of_rows) + "\n")
            _to_disk(text)
        partial.rename(description)
    finally:
        partial.unlink(missing_ok=True)


def complete(path: pathlib.Path, row: RowFormat) -> Description | None:
    """The description of a file that was written to its end, or None: the file has to be written (again)."""
    try:
        found = _parsed(_description_path(path).read_bytes(), row)
        return found if path.stat().st_size == found.num_rows * row.bytes_per_row else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remove(path: pathlib.Path) -> None:
    """Removes a file and its description, if they exist."""
    _description_path(path).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def manifest_split(paths: Sequence[pathlib.Path], row: RowFormat, *, column: str) -> Split:
    """The entry of the manifest for a split that consists of these complete files, in this order.

    Args:
      paths: the files.
      row: what their rows are.
      column: what the manifest calls the rows.

    Raises:
      DataError: a file is not complete.
    """
    files, num_rows = [], 0
    for path in paths:
        found = complete(path, row)
        if found is None:
            raise DataError(f"{path} is not complete", remedy="Prepare the data again.")
        digest = hashlib.sha256(_description_path(path).read_bytes()).hexdigest()
        files.append(File(path.name, len(found.checksums), found.num_rows * row.bytes_per_row, digest))
        num_rows += found.num_rows
    return Split(num_rows, {column: Column(row.stored.str, (num_rows, *row.shape))}, tuple(files))


class RowFile:
    """A complete file, read in any order by any number of threads. Picklable.

    The file is opened at each read, and its description at the first. A block's checksum is verified when a process
    first reads any of its rows.

    Args:
      path: the file.
      row: what its rows are.
      num_rows: number of rows, from the manifest.
      sha256: checksum of the description, from the manifest.
      remedy: how to replace a damaged file, for errors.
    """

    def __init__(self, path: pathlib.Path, row: RowFormat, num_rows: int, sha256: str, *, remedy: str) -> None:
        self._path = path
        self._row = row
        self._num_rows = num_rows
        self._sha256 = sha256
        self._remedy = remedy
        self._checksums: tuple[int, ...] | None = None
        self._verified: Bool[np.ndarray, " blocks"] = np.zeros(0, bool)

    def __len__(self) -> int:
        return self._num_rows

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_checksums": None}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        vars(self).update(state)

    def read(self, start: int, out: Rows) -> None:
        """Reads `len(out)` consecutive rows from row `start` on into `out`, which is contiguous.

        Raises:
          DataError: a block is damaged, the file is shorter than it was, or cannot be read; names file and block.
        """
        assert out.flags.c_contiguous
        try:
            checksums = self._open()
            descriptor = os.open(self._path, os.O_RDONLY)
            try:
                while len(out):
                    block, skipped = divmod(start, self._row.rows_per_block)
                    count = min(len(out), self._row.rows_per_block - skipped)
                    self._read_within(descriptor, block, skipped, out[:count], checksums)
                    start, out = start + count, out[count:]
            finally:
                os.close(descriptor)
        except OSError as error:
            raise DataError(f"{self._path} cannot be read ({error})", remedy=self._remedy) from error

    def _read_within(self, descriptor: int, block: int, skipped: int, out: Rows, checksums: tuple[int, ...]) -> None:
        """Reads rows of one block from row `skipped` of it on; the whole block, if it is not verified yet."""
        first = block * self._row.rows_per_block
        if self._verified[block]:
            self._read_rows(descriptor, block, first + skipped, out)
            return
        size = min(self._row.rows_per_block, self._num_rows - first)
        whole = out if len(out) == size else np.empty((size, *self._row.shape), self._row.stored)
        self._read_rows(descriptor, block, first, whole)
        if zlib.crc32(_bytes(whole)) != checksums[block]:
            raise DataError(f"block {block} of {self._path} does not match its checksum", remedy=self._remedy)
        self._verified[block] = True
        if whole is not out:
            out[:] = whole[skipped : skipped + len(out)]

    def _read_rows(self, descriptor: int, block: int, start: int, out: Rows) -> None:
        content, offset = _bytes(out), start * self._row.bytes_per_row
        while content:
            count = os.preadv(descriptor, [content], offset)
            if not count:
                raise DataError(f"{self._path} ends within block {block}, at byte {offset}", remedy=self._remedy)
            content, offset = content[count:], offset + count

    def _open(self) -> tuple[int, ...]:
        """The checksums of the blocks, read and checked at the first call."""
        if self._checksums is None:
            path = _description_path(self._path)
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() != self._sha256:
                raise DataError(f"{path} does not match its SHA-256 checksum", remedy=self._remedy)
            checksums = _parsed(content, self._row).checksums
            self._verified = np.zeros(len(checksums), bool)
            self._checksums = checksums
        return self._checksums


class _BlockChecksums:
    """Computes the checksum of each block of a stream of bytes."""

    def __init__(self, block_bytes: int) -> None:
        self.num_bytes = 0
        self._block_bytes = block_bytes
        self._finished: list[int] = []
        self._current = 0

    def add(self, content: memoryview) -> None:
        while content:
            part = content[: self._block_bytes - self.num_bytes % self._block_bytes]
            self._current = zlib.crc32(part, self._current)
            self.num_bytes += len(part)
            if self.num_bytes % self._block_bytes == 0:
                self._finished.append(self._current)
                self._current = 0
            content = content[len(part) :]

    def done(self) -> list[int]:
        is_partial = self.num_bytes % self._block_bytes != 0
        return [*self._finished, *([self._current] if is_partial else [])]


def _description_path(path: pathlib.Path) -> pathlib.Path:
    return path.with_name(f"{path.name}.json")


def _parsed(content: bytes, row: RowFormat) -> Description:
    """Raises ValueError, KeyError or TypeError for a damaged description or one of another format."""
    found = json.loads(content)
    if (found["format"], found["rows_per_block"]) != (FORMAT, row.rows_per_block):
        raise ValueError("another format")
    checksums = tuple(found["crc32"])
    if len(checksums) != -(-found["rows"] // row.rows_per_block):
        raise ValueError("the number of checksums does not fit the number of rows")
    return Description(found["rows"], checksums, found["source"])


def _bytes(rows: Rows) -> memoryview:
    """The bytes of contiguous rows, not copied."""
    return rows.reshape(-1).view(np.uint8).data


def _to_disk(file: IO[Any]) -> None:
    file.flush()
    os.fsync(file.fileno())
