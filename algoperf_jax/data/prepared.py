"""Real data sets on disk: ArrayRecord files of column blocks, and a manifest that vouches for them.

A prepared data set is the folder `<data_dir>/<dataset>/`. Each split is one or more files
`<split>-00000-of-00001.array_record`, and `manifest.json` lists them with sizes and SHA-256 checksums. A
record is a block: many examples as columns. Columns of consecutive blocks are concatenated along axis 0, so
that ragged data are just columns of other lengths (`node_features` [sum of nodes, 9] beside `num_nodes`
[examples]).

A record is self-describing: the 4 bytes `APB1`; the length of the header and the CRC-32 of all that follows,
both uint32; the header, JSON with `num_examples` and for each column name, dtype and shape; then the columns
in that order, each in C order. All numbers are little-endian.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import platform
import shlex
import shutil
import struct
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from typing import Any

import numpy as np
from array_record.python import array_record_module  # pyright: ignore[reportAttributeAccessIssue]

from algoperf_jax.errors import DataError

PathLike = str | os.PathLike[str]

_MANIFEST = "manifest.json"
_MANIFEST_FORMAT = 1
_MAGIC = b"APB1"
_PREFIX = struct.Struct("<4sII")
# One record per chunk confines damage to a block. zstd at level 1 shrinks images and graphs to a fraction and
# loads as fast as no compression, because fewer bytes are hashed.
_WRITER_OPTIONS = "group_size:1,zstd:1"
_READER_OPTIONS = "readahead_buffer_size:0,max_parallelism:0"


@dataclasses.dataclass(frozen=True)
class DatasetSpec:
    """Which data set a workload reads.

    Attributes:
      name: the name of the workload that prepares it, and of its folder in the data directory.
      version: changes whenever the conversion's output changes.
    """

    name: str
    version: str


@dataclasses.dataclass(frozen=True, eq=False)
class Block:
    """Consecutive examples of a split, the unit of writing; 1 to 8 MB make good blocks.

    Attributes:
      num_examples: number of examples, at least 1.
      columns: name -> array of numbers or booleans with at least one axis. Names, dtypes and trailing shapes
        are the same in all blocks of a split; the leading length is free.
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


@dataclasses.dataclass(frozen=True)
class _File:
    name: str
    blocks: int
    bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class _Column:
    dtype: str
    shape: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class _Split:
    examples: int
    columns: Mapping[str, _Column]
    files: tuple[_File, ...]


def command(name: str, data_dir: PathLike, *arguments: str) -> str:
    """The command line that prepares a data set, as it can be pasted into a shell."""
    return shlex.join(
        ["python", "-m", "algoperf_jax.prepare", name, f"--data_dir={os.fspath(data_dir)}", *arguments]
    )


def write(
    data_dir: PathLike,
    spec: DatasetSpec,
    splits: Mapping[str, Iterable[Block]],
    *,
    source: str,
    max_file_bytes: int = 1 << 28,
) -> None:
    """Writes a data set, replacing an older one of the same name.

    Blocks are written as they come, into a temporary folder that takes its final name at the very end: an
    interrupted preparation never looks complete. Two processes must not write one data set at the same time.

    Args:
      data_dir: folder of all prepared data sets; created if need be.
      spec: name and version.
      splits: split name -> blocks.
      source: where the raw data came from, for the logs of runs.
      max_file_bytes: a new file is begun when the columns of one exceed this size before compression.

    Raises:
      DataError: a split is empty or the disk refused (full, read-only); nothing is left behind.
    """
    folder = pathlib.Path(data_dir).expanduser()
    partial, old, final = folder / f".{spec.name}.partial", folder / f".{spec.name}.old", folder / spec.name
    try:
        for leftover in (partial, old):
            shutil.rmtree(leftover, ignore_errors=True)
        partial.mkdir(parents=True)
        written = {
            name: _write_split(partial, name, blocks, max_file_bytes) for name, blocks in splits.items()
        }
        manifest = {
            "format": _MANIFEST_FORMAT,
            "dataset": spec.name,
            "version": spec.version,
            "source": source,
            "created_with": {
                "python": platform.python_version(),
                "numpy": np.__version__,
                "array_record": metadata.version("array_record"),
            },
            "splits": {name: dataclasses.asdict(split) for name, split in written.items()},
        }
        (partial / _MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        if final.exists():
            final.rename(old)
        partial.rename(final)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise DataError(
            f"writing {spec.name} to {folder} failed ({error}); the partial output was removed",
            remedy=f"Free space or choose another data_dir, then run: {command(spec.name, data_dir)}",
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def load(data_dir: PathLike, spec: DatasetSpec) -> "Prepared":
    """Opens a prepared data set; checks the manifest and the files' sizes, reads no examples yet.

    Raises:
      DataError: the data set is missing, incomplete or of another version; says the command that prepares it.
    """
    folder = pathlib.Path(data_dir).expanduser() / spec.name
    prepare = f"Run: {command(spec.name, data_dir)}"
    if not (folder / _MANIFEST).is_file():
        raise DataError(f"no prepared {spec.name} data in {os.fspath(data_dir)}", remedy=prepare)
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        if manifest["format"] != _MANIFEST_FORMAT:
            raise DataError(
                f"format of {folder / _MANIFEST}",
                value=manifest["format"],
                expected=str(_MANIFEST_FORMAT),
                remedy=prepare,
            )
        found = DatasetSpec(manifest["dataset"], manifest["version"])
        splits = {name: _split_from_json(entry) for name, entry in manifest["splits"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{folder / _MANIFEST} is damaged ({error!r})", remedy=prepare) from error
    if found.name != spec.name:
        raise DataError(f"data set in {folder}", value=found.name, expected=spec.name, remedy=prepare)
    if found.version != spec.version:
        raise DataError(
            f"version of the {spec.name} data in {folder}",
            value=found.version,
            expected=spec.version,
            remedy=prepare,
        )
    for split in splits.values():
        for file in split.files:
            _check_size(folder / file.name, file.bytes, prepare)
    return Prepared(
        folder,
        splits,
        manifest,
        remedy=f"The data must be prepared anew: {command(spec.name, data_dir, '--force')}",
    )


class Prepared:
    """A prepared data set whose splits are read into memory when first asked for. Made by `load`."""

    def __init__(
        self, folder: pathlib.Path, splits: Mapping[str, _Split], manifest: Mapping[str, Any], *, remedy: str
    ) -> None:
        self._folder = folder
        self._splits = splits
        self._manifest = manifest
        self._remedy = remedy
        self._lock = threading.Lock()
        self._loaded: dict[str, dict[str, np.ndarray]] = {}

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits."""
        return tuple(self._splits)

    def num_examples(self, split: str) -> int:
        """Number of examples in a split."""
        return self._splits[split].examples

    def columns(self, split: str) -> dict[str, np.ndarray]:
        """All of a split's columns, read-only; the arrays are shared by all callers, from any thread.

        Raises:
          DataError: a file is not what was written; names the file and, where it can be told, the record.
        """
        with self._lock:
            if split not in self._loaded:
                self._loaded[split] = _read_split(self._folder, self._splits[split], self._remedy)
            return dict(self._loaded[split])

    def describe(self) -> dict[str, Any]:
        """What the log of a run says about the data: version, source, split sizes and checksums."""
        return {
            "dataset": self._manifest["dataset"],
            "version": self._manifest["version"],
            "source": self._manifest["source"],
            "created_with": self._manifest["created_with"],
            "split_sizes": {name: split.examples for name, split in self._splits.items()},
            "sha256": {file.name: file.sha256 for split in self._splits.values() for file in split.files},
        }


def _write_split(folder: pathlib.Path, name: str, blocks: Iterable[Block], max_file_bytes: int) -> _Split:
    parts: list[tuple[pathlib.Path, int]] = []
    examples = 0
    columns: dict[str, _Column] = {}
    stream = iter(blocks)
    block = next(stream, None)
    while block is not None:
        path = folder / f"{name}-{len(parts):05d}"
        size = count = 0
        with _writer(path) as record_writer:
            while block is not None and size < max_file_bytes:
                record_writer.write(_encode(block))
                columns = _grow(columns, block)
                examples += block.num_examples
                size += sum(column.nbytes for column in block.columns.values())
                count += 1
                block = next(stream, None)
        parts.append((path, count))
    if not examples:
        raise DataError(f"split {name!r} has no examples")
    files = []
    for index, (path, count) in enumerate(parts):
        path = path.rename(folder / f"{name}-{index:05d}-of-{len(parts):05d}.array_record")
        files.append(_File(path.name, count, path.stat().st_size, _sha256(path)))
    return _Split(examples, columns, tuple(files))


@contextlib.contextmanager
def _writer(path: pathlib.Path) -> Iterator[Any]:
    writer = array_record_module.ArrayRecordWriter(os.fspath(path), _WRITER_OPTIONS)
    try:
        yield writer
    except BaseException:
        # The first error counts; closing an unfinished file may raise another.
        with contextlib.suppress(RuntimeError):
            writer.close()
        raise
    try:
        writer.close()
    except RuntimeError as error:
        # The writer works in the background and tells of a full disk only here.
        raise OSError(str(error)) from error


def _grow(total: Mapping[str, _Column], block: Block) -> dict[str, _Column]:
    """The columns of a split after one more block."""
    grown = {name: _Column(_little_endian(array).str, array.shape) for name, array in block.columns.items()}
    if not total:
        return grown
    if {name: (c.dtype, c.shape[1:]) for name, c in grown.items()} != {
        name: (c.dtype, c.shape[1:]) for name, c in total.items()
    }:
        raise ValueError(f"blocks of one split differ in their columns: {grown} after {dict(total)}")
    return {
        name: _Column(c.dtype, (total[name].shape[0] + c.shape[0], *c.shape[1:])) for name, c in grown.items()
    }


def _little_endian(array: np.ndarray) -> np.dtype:
    return array.dtype.newbyteorder("<")


def _encode(block: Block) -> bytes:
    if block.num_examples < 1:
        raise ValueError(f"a block holds at least one example, not {block.num_examples}")
    header: dict[str, Any] = {"num_examples": block.num_examples, "columns": []}
    payload = []
    for name, array in block.columns.items():
        if array.ndim < 1 or array.dtype.kind not in "biufc":
            raise ValueError(f"column {name!r}: {array.dtype} with {array.ndim} axes cannot be stored")
        header["columns"].append(
            {"name": name, "dtype": _little_endian(array).str, "shape": list(array.shape)}
        )
        payload.append(np.ascontiguousarray(array, _little_endian(array)).tobytes())
    encoded_header = json.dumps(header).encode()
    body = b"".join([encoded_header, *payload])
    return _PREFIX.pack(_MAGIC, len(encoded_header), zlib.crc32(body)) + body


def _decode(record: bytes) -> Block:
    """The block in a record; its arrays are views of the record. Raises ValueError for a damaged record."""
    if len(record) < _PREFIX.size:
        raise ValueError("record is truncated")
    magic, header_size, checksum = _PREFIX.unpack_from(record)
    if magic != _MAGIC:
        raise ValueError("not a block of columns")
    if zlib.crc32(memoryview(record)[_PREFIX.size :]) != checksum:
        raise ValueError("CRC-32 does not match")
    start = _PREFIX.size + header_size
    header = json.loads(record[_PREFIX.size : start])
    columns = {}
    for column in header["columns"]:
        dtype, shape = np.dtype(column["dtype"]), tuple(column["shape"])
        count = int(np.prod(shape, dtype=np.int64))
        columns[column["name"]] = np.frombuffer(record, dtype, count, start).reshape(shape)
        start += count * dtype.itemsize
    return Block(header["num_examples"], columns)


def _read_split(folder: pathlib.Path, split: _Split, remedy: str) -> dict[str, np.ndarray]:
    columns = {name: np.empty(column.shape, column.dtype) for name, column in split.columns.items()}
    filled = dict.fromkeys(columns, 0)
    for file in split.files:
        path = folder / file.name
        _check_size(path, file.bytes, remedy)
        intact = _sha256(path) == file.sha256
        for block in _blocks(path, file.blocks, remedy):
            if not intact:
                continue  # Goes through the damaged file in search of the record to name.
            for name, array in block.columns.items():
                columns[name][filled[name] : filled[name] + len(array)] = array
                filled[name] += len(array)
        if not intact:
            raise DataError(f"{path} does not match its SHA-256 checksum in {_MANIFEST}", remedy=remedy)
    for array in columns.values():
        array.flags.writeable = False
    return columns


def _blocks(path: pathlib.Path, count: int, remedy: str) -> Iterator[Block]:
    """The blocks of a file; DataError naming file and record where one cannot be read."""
    reader = array_record_module.ArrayRecordReader(os.fspath(path), _READER_OPTIONS)
    if not reader.ok() or reader.num_records() != count:
        raise DataError(f"{path} is damaged: not an ArrayRecord file of {count} records", remedy=remedy)
    for index in range(count):
        try:
            block = _decode(reader.read([index])[0])
        except (RuntimeError, ValueError, KeyError, TypeError, IndexError) as error:
            raise DataError(f"record {index} of {path} is damaged ({error})", remedy=remedy) from error
        yield block
    reader.close()


def _check_size(path: pathlib.Path, expected: int, remedy: str) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataError(f"{path} is missing, the prepared data are incomplete", remedy=remedy) from error
    if size != expected:
        raise DataError(f"size of {path}", value=size, expected=f"{expected} bytes", remedy=remedy)


def _sha256(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _split_from_json(entry: Mapping[str, Any]) -> _Split:
    return _Split(
        examples=int(entry["examples"]),
        columns={name: _Column(c["dtype"], tuple(c["shape"])) for name, c in entry["columns"].items()},
        files=tuple(_File(**file) for file in entry["files"]),
    )
