"""Blocks of examples as columns, stored in ArrayRecord files.

A record is a block and describes itself: the 4 bytes `APB1`; the CRC-32 of everything that follows and the length of
the header, both uint32; the header, JSON with `num_examples` and each column's name, dtype and shape; then the columns
in that order, each in C order. All numbers are little-endian.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from array_record.python import array_record_module  # pyright: ignore[reportAttributeAccessIssue]

from algoperf_jax.errors import DataError

_MAGIC = b"APB1"
_PREFIX = struct.Struct("<4sI")
_HEADER_SIZE = struct.Struct("<I")
# One record per chunk confines damage to a block. zstd at level 1 shrinks images and graphs to a fraction and
# loads about as fast as no compression, because fewer bytes are read and hashed.
_WRITER_OPTIONS = "group_size:1,zstd:1"
_UNCOMPRESSED_WRITER_OPTIONS = "group_size:1,uncompressed"
_READER_OPTIONS = "readahead_buffer_size:0,max_parallelism:0"


@dataclasses.dataclass(frozen=True, eq=False)
class Block:
    """Consecutive examples of a split, the unit of writing; a good size is 1 to 8 MB.

    Attributes:
      num_examples: number of examples, at least 1.
      columns: name -> array of numbers or booleans with at least one axis. Names, dtypes and trailing shapes are the
        same in all blocks of a split; leading lengths may differ.
    """

    num_examples: int
    columns: Mapping[str, np.ndarray]


def in_blocks(columns: Mapping[str, np.ndarray], *, max_bytes: int = 1 << 22) -> Iterator[Block]:
    """Cuts columns that share their leading example axis into blocks of about `max_bytes`."""
    num_examples = len(next(iter(columns.values())))
    num_bytes = sum(column.nbytes for column in columns.values())
    size = max(1, max_bytes * num_examples // max(1, num_bytes))
    for start in range(0, num_examples, size):
        block = {name: column[start : start + size] for name, column in columns.items()}
        yield Block(min(size, num_examples - start), block)


@contextlib.contextmanager
def writer(path: pathlib.Path, *, compressed: bool = True) -> Iterator[Callable[[Block], None]]:
    """Writes a file block by block; disk errors raise OSError, at a later block or at the end."""
    options = _WRITER_OPTIONS if compressed else _UNCOMPRESSED_WRITER_OPTIONS
    records = array_record_module.ArrayRecordWriter(os.fspath(path), options)

    def write(block: Block) -> None:
        record = _encode(block)
        try:
            records.write(record)
        except RuntimeError as error:
            raise OSError(_reason(error)) from error

    try:
        yield write
    except BaseException:
        # Report the first error; closing an unfinished file may raise another.
        with contextlib.suppress(RuntimeError):
            records.close()
        raise
    try:
        records.close()
    except RuntimeError as error:
        raise OSError(_reason(error)) from error


class BlockReader:
    """Reads the blocks of a file in any order; not thread-safe.

    Args:
      path: the file.
      count: number of blocks in the file.
      remedy: how to repair the file, for errors.

    Raises:
      DataError: it is not an ArrayRecord file with `count` records.
    """

    def __init__(self, path: pathlib.Path, count: int, *, remedy: str) -> None:
        self._path = path
        self._remedy = remedy
        self._reader = array_record_module.ArrayRecordReader(os.fspath(path), _READER_OPTIONS)
        if not self._reader.ok() or self._reader.num_records() != count:
            raise DataError(f"{path} is damaged: not an ArrayRecord file with {count} records", remedy=remedy)

    def read(self, index: int) -> Block:
        """Reads one block.

        Raises:
          DataError: the block is damaged; the message names file and record.
        """
        try:
            return _decode(self._reader.read([index])[0])
        except (RuntimeError, ValueError, KeyError, TypeError, IndexError) as error:
            raise DataError(
                f"record {index} of {self._path} is damaged ({_reason(error)})", remedy=self._remedy
            ) from error

    def close(self) -> None:
        """Closes the file."""
        self._reader.close()


def read(path: pathlib.Path, count: int, *, remedy: str) -> Iterator[Block]:
    """Reads the `count` blocks of a file in order.

    Raises:
      DataError: a block is damaged; the message names file and record, and ends with `remedy`.
    """
    reader = BlockReader(path, count, remedy=remedy)
    for index in range(count):
        yield reader.read(index)
    reader.close()


def little_endian(array: np.ndarray) -> np.dtype:
    """The dtype in which an array is stored."""
    return array.dtype.newbyteorder("<")


def _encode(block: Block) -> bytes:
    if block.num_examples < 1:
        raise ValueError(f"a block holds at least one example, not {block.num_examples}")
    header: dict[str, Any] = {"num_examples": block.num_examples, "columns": []}
    payload = []
    for name, array in block.columns.items():
        if array.ndim < 1 or array.dtype.kind not in "biufc":
            raise ValueError(f"column {name!r}: {array.dtype} with {array.ndim} axes cannot be stored")
        header["columns"].append({"name": name, "dtype": little_endian(array).str, "shape": list(array.shape)})
        payload.append(np.ascontiguousarray(array, little_endian(array)).tobytes())
    encoded_header = json.dumps(header).encode()
    body = b"".join([_HEADER_SIZE.pack(len(encoded_header)), encoded_header, *payload])
    return _PREFIX.pack(_MAGIC, zlib.crc32(body)) + body


def _decode(record: bytes) -> Block:
    """Decodes a record; arrays are views of it. Raises ValueError for a damaged record."""
    header_at = _PREFIX.size + _HEADER_SIZE.size
    if len(record) < header_at:
        raise ValueError("record is truncated")
    magic, checksum = _PREFIX.unpack_from(record)
    if magic != _MAGIC:
        raise ValueError("not a block of columns")
    if zlib.crc32(memoryview(record)[_PREFIX.size :]) != checksum:
        raise ValueError("CRC-32 does not match")
    (header_size,) = _HEADER_SIZE.unpack_from(record, _PREFIX.size)
    start = header_at + header_size
    header = json.loads(record[header_at:start])
    columns = {}
    for column in header["columns"]:
        dtype, shape = np.dtype(column["dtype"]), tuple(column["shape"])
        count = int(np.prod(shape, dtype=np.int64))
        columns[column["name"]] = np.frombuffer(record, dtype, count, start).reshape(shape)
        start += count * dtype.itemsize
    return Block(header["num_examples"], columns)


def _reason(error: Exception) -> str:
    """The part of an ArrayRecord error that is useful to a user."""
    return re.sub(r"^\w+\(\) failed: ", "", str(error)).partition(";")[0]
