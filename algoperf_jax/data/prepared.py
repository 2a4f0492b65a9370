"""Real data sets on disk: ArrayRecord files of column blocks, and a manifest with their checksums.

A prepared data set is the folder `<data_dir>/<dataset>/`. Each split is one or more files
`<split>-00000-of-00001.array_record`, and `manifest.json` lists them with sizes and SHA-256 checksums. A record is a
block: many examples as columns. Columns of consecutive blocks are concatenated along axis 0, so ragged data are just
columns of other lengths (such as `node_features` [sum of nodes, 9] and `num_nodes` [examples]).

`blocks` describes the layout of a record.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import platform
import shlex
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import metadata
from typing import Any

import numpy as np

from algoperf_jax.data import blocks as block_files
from algoperf_jax.data.block_rows import BlockRows, RowType
from algoperf_jax.data.blocks import Block as Block
from algoperf_jax.data.blocks import in_blocks as in_blocks
from algoperf_jax.data.manifest import Column, File, Split, run_lengths, split_from_json
from algoperf_jax.data.records import RecordFile, Records
from algoperf_jax.errors import DataError

PathLike = str | os.PathLike[str]

MANIFEST = "manifest.json"
UNFINISHED = "unfinished.json"
"""The file that marks a folder whose preparation can be continued; see `continued`."""
_MANIFEST_FORMAT = 1


@dataclasses.dataclass(frozen=True)
class DatasetSpec:
    """The identity of a data set that a workload reads.

    Attributes:
      name: the name of the workload that prepares it, and of its folder in the data directory.
      version: changes whenever the conversion's output changes.
      compressed: whether the files are compressed. Data that is read again for every batch and compresses badly, such
        as noisy measurements, is read faster uncompressed.
    """

    name: str
    version: str
    compressed: bool = True


def _no_facts() -> Mapping[str, Any]:
    return {}


@dataclasses.dataclass(frozen=True)
class Conversion:
    """The result of converting raw files.

    Attributes:
      splits: split name -> blocks; read once, in this order.
      facts: returns further JSON values for the manifest and the logs of runs; called after the last block.
    """

    splits: Mapping[str, Iterable[Block]]
    facts: Callable[[], Mapping[str, Any]] = _no_facts


def command(name: str, data_dir: PathLike, *arguments: str) -> str:
    """The command that prepares a data set, quoted for a shell."""
    return shlex.join(["python", "-m", "algoperf_jax.prepare", name, f"--data_dir={os.fspath(data_dir)}", *arguments])


def write(
    data_dir: PathLike,
    spec: DatasetSpec,
    splits: Mapping[str, Iterable[Block]],
    *,
    source: str,
    facts: Callable[[], Mapping[str, Any]] = _no_facts,
    max_file_bytes: int = 1 << 28,
) -> None:
    """Writes a data set, replacing an older one of the same name.

    Blocks are written as they come, into a temporary folder that gets its final name at the very end, so an interrupted
    preparation never looks complete. Two processes must not write the same data set at the same time.

    Args:
      data_dir: folder of all prepared data sets; created if missing.
      spec: name and version.
      splits: split name -> blocks.
      source: origin of the raw data, for the logs of runs.
      facts: as in `Conversion`.
      max_file_bytes: start a new file when the columns of the current one exceed this size before compression.

    Raises:
      DataError: a split is empty or cannot be written (disk full, read-only); nothing is left behind.
    """
    folder = pathlib.Path(data_dir).expanduser()
    partial, old, final = folder / f".{spec.name}.partial", folder / f".{spec.name}.old", folder / spec.name
    try:
        for leftover in (partial, old):
            shutil.rmtree(leftover, ignore_errors=True)
        partial.mkdir(parents=True)
        written = {
            name: _write_split(partial, name, blocks, max_file_bytes, compressed=spec.compressed)
            for name, blocks in splits.items()
        }
        write_manifest(partial, spec, written, source=source, facts=facts())
        if final.exists():
            final.rename(old)
        partial.rename(final)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise DataError(
            f"preparing {spec.name} in {folder} failed ({error}); the partial output was removed",
            remedy=f"Fix this or choose another data_dir, then run: {command(spec.name, data_dir)}",
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_manifest(
    folder: pathlib.Path,
    spec: DatasetSpec,
    splits: Mapping[str, Split],
    *,
    source: str,
    facts: Mapping[str, Any],
    arguments: Sequence[str] = (),
) -> None:
    """Writes the manifest of a data set whose files are in `folder`; `arguments` are for `recorded_arguments`."""
    manifest = {
        "format": _MANIFEST_FORMAT,
        "dataset": spec.name,
        "version": spec.version,
        "source": source,
        "arguments": list(arguments),
        "created_with": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "array_record": metadata.version("array_record"),
        },
        "facts": facts,
        "splits": {name: dataclasses.asdict(split) for name, split in splits.items()},
    }
    partial = folder / f".{MANIFEST}.partial"
    partial.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    partial.rename(folder / MANIFEST)


def recorded_arguments(folder: pathlib.Path) -> list[str]:
    """Arguments of the command that made a data set, besides its name and folder; none if they are not known.

    Only data sets whose preparation can be continued record them; see `continued`.
    """
    for name in (UNFINISHED, MANIFEST):
        try:
            return [str(argument) for argument in json.loads((folder / name).read_text(encoding="utf-8"))["arguments"]]
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return []


def check_replaceable(data_dir: PathLike, spec: DatasetSpec) -> None:
    """Checks that what `write` will replace, if anything, is a prepared data set and not a folder of the user's.

    Raises:
      DataError: it is something else.
    """
    folder = pathlib.Path(data_dir).expanduser() / spec.name
    known = any((folder / name).exists() for name in (MANIFEST, UNFINISHED))
    if folder.exists() and not known and any(folder.iterdir()):
        raise DataError(
            f"{folder} is not a prepared data set, and would be replaced by one",
            remedy="Move or remove it, or choose another --data_dir.",
        )


def load(data_dir: PathLike, spec: DatasetSpec) -> "Prepared":
    """Opens a prepared data set; checks the manifest and the file sizes, but reads no examples yet.

    Raises:
      DataError: the data set is missing, incomplete or has another version; the message gives the command that prepares
        it.
    """
    folder = pathlib.Path(data_dir).expanduser() / spec.name
    prepare = f"Run: {command(spec.name, data_dir, *recorded_arguments(folder))}"
    if (folder / UNFINISHED).is_file():
        raise DataError(
            f"the preparation of {spec.name} in {os.fspath(data_dir)} has not finished",
            remedy=prepare,
        )
    if not (folder / MANIFEST).is_file():
        raise DataError(f"no prepared {spec.name} data in {os.fspath(data_dir)}", remedy=prepare)
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if manifest["format"] != _MANIFEST_FORMAT:
            raise DataError(
                f"format of {folder / MANIFEST}",
                value=manifest["format"],
                expected=str(_MANIFEST_FORMAT),
                remedy=prepare,
            )
        found = DatasetSpec(manifest["dataset"], manifest["version"])
        splits = {name: split_from_json(entry) for name, entry in manifest["splits"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{folder / MANIFEST} is damaged ({error!r})", remedy=prepare) from error
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
        remedy=f"Prepare the data again: {command(spec.name, data_dir, '--force')}",
    )


class Prepared:
    """A prepared data set, made by `load`; splits are read on demand: whole, by example or by block."""

    def __init__(
        self, folder: pathlib.Path, splits: Mapping[str, Split], manifest: Mapping[str, Any], *, remedy: str
    ) -> None:
        self._folder = folder
        self._splits = splits
        self._manifest = manifest
        self._remedy = remedy
        self._lock = threading.Lock()
        self._loaded: dict[str, dict[str, np.ndarray]] = {}

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits."""
        return tuple(self._splits)

    @property
    def facts(self) -> Mapping[str, Any]:
        """Further values from the conversion; see `Conversion`."""
        return self._manifest.get("facts", {})

    @property
    def arguments(self) -> list[str]:
        """See `recorded_arguments`."""
        return self._manifest.get("arguments", [])

    def num_examples(self, split: str) -> int:
        """Number of examples in a split."""
        return self._splits[split].examples

    def files(self, split: str) -> tuple[tuple[pathlib.Path, File], ...]:
        """The files of a split in their order, for data sets that are not ArrayRecord files."""
        return tuple((self._folder / file.name, file) for file in self._splits[split].files)

    def columns(self, split: str) -> dict[str, np.ndarray]:
        """All columns of a split, read-only; the arrays are shared by all callers and threads.

        Raises:
          DataError: a file has changed since it was written; the message names the file and, if known, the record.
        """
        with self._lock:
            if split not in self._loaded:
                try:
                    self._loaded[split] = _read_split(self._folder, self._splits[split], self._remedy)
                except OSError as error:
                    raise DataError(f"reading prepared data failed ({error})", remedy=self._remedy) from error
            return dict(self._loaded[split])

    def records(self, split: str) -> Records:
        """The examples of a split with one example per block, to be read one by one."""
        return Records(self._record_files(split), self._remedy)

    def rows(self, split: str, *, group: int) -> BlockRows:
        """The examples of a split with one row per example in all columns, to be read block by block; see `BlockRows`.

        Raises:
          DataError: the manifest is too old to list the number of examples in each block.
        """
        found = self._splits[split]
        block_sizes = found.block_sizes()
        if block_sizes is None:
            raise DataError(
                f"{self._folder / MANIFEST} does not list the number of examples in each block of {split}",
                remedy=self._remedy,
            )
        if ragged := [name for name, column in found.columns.items() if column.shape[0] != found.examples]:
            raise ValueError(f"columns {ragged} of {split} do not have one row per example")
        columns = {name: RowType(np.dtype(c.dtype), c.shape[1:]) for name, c in found.columns.items()}
        return BlockRows(self._record_files(split), block_sizes, columns, group=group, remedy=self._remedy)

    def _record_files(self, split: str) -> tuple[RecordFile, ...]:
        return tuple(
            RecordFile(self._folder / file.name, file.blocks, file.sha256) for file in self._splits[split].files
        )

    def describe(self) -> dict[str, Any]:
        """Facts for the log of a run: version, source, split sizes and checksums."""
        return {
            "dataset": self._manifest["dataset"],
            "version": self._manifest["version"],
            "source": self._manifest["source"],
            "created_with": self._manifest["created_with"],
            **({"facts": self.facts} if self.facts else {}),
            "split_sizes": {name: split.examples for name, split in self._splits.items()},
            "sha256": {file.name: file.sha256 for split in self._splits.values() for file in split.files},
        }


def _write_split(
    folder: pathlib.Path, name: str, blocks: Iterable[Block], max_file_bytes: int, *, compressed: bool
) -> Split:
    parts: list[tuple[pathlib.Path, list[int]]] = []
    examples = 0
    columns: dict[str, Column] = {}
    stream = iter(blocks)
    block = next(stream, None)
    while block is not None:
        path = folder / f"{name}-{len(parts):05d}"
        size, sizes = 0, []
        with block_files.writer(path, compressed=compressed) as write_block:
            while block is not None and size < max_file_bytes:
                write_block(block)
                columns = _grow(columns, block)
                examples += block.num_examples
                size += sum(column.nbytes for column in block.columns.values())
                sizes.append(block.num_examples)
                block = next(stream, None)
        parts.append((path, sizes))
    if not examples:
        raise DataError(f"split {name!r} has no examples")
    files = []
    for index, (path, sizes) in enumerate(parts):
        path = path.rename(folder / f"{name}-{index:05d}-of-{len(parts):05d}.array_record")
        files.append(File(path.name, len(sizes), path.stat().st_size, _sha256(path), run_lengths(sizes)))
    return Split(examples, columns, tuple(files))


def _grow(total: Mapping[str, Column], block: Block) -> dict[str, Column]:
    """The columns of a split after one more block."""
    grown = {name: Column(block_files.little_endian(array).str, array.shape) for name, array in block.columns.items()}
    if not total:
        return grown
    if {name: (c.dtype, c.shape[1:]) for name, c in grown.items()} != {
        name: (c.dtype, c.shape[1:]) for name, c in total.items()
    }:
        raise ValueError(f"blocks of one split differ in their columns: {grown} after {dict(total)}")
    return {name: Column(c.dtype, (total[name].shape[0] + c.shape[0], *c.shape[1:])) for name, c in grown.items()}


def _read_split(folder: pathlib.Path, split: Split, remedy: str) -> dict[str, np.ndarray]:
    columns = {name: np.empty(column.shape, column.dtype) for name, column in split.columns.items()}
    filled = dict.fromkeys(columns, 0)
    for file in split.files:
        path = folder / file.name
        _check_size(path, file.bytes, remedy)
        intact = _sha256(path) == file.sha256
        for index, block in enumerate(block_files.read(path, file.blocks, remedy=remedy)):
            if not intact:
                continue  # Read the rest of the damaged file to find the record to name.
            try:
                for name, array in block.columns.items():
                    columns[name][filled[name] : filled[name] + len(array)] = array
                    filled[name] += len(array)
            except (KeyError, ValueError) as error:
                raise DataError(
                    f"record {index} of {path} does not have the columns in {MANIFEST} ({error})",
                    remedy=remedy,
                ) from error
        if not intact:
            raise DataError(f"{path} does not match its SHA-256 checksum in {MANIFEST}", remedy=remedy)
    for name, array in columns.items():
        if filled[name] != len(array):
            raise DataError(
                f"length of column {name!r} in {folder}",
                value=filled[name],
                expected=f"{len(array)} as in {MANIFEST}",
                remedy=remedy,
            )
        array.flags.writeable = False
    return columns


def _check_size(path: pathlib.Path, expected: int, remedy: str) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataError(f"{path} is missing; the prepared data is incomplete", remedy=remedy) from error
    if size != expected:
        raise DataError(f"size of {path}", value=size, expected=f"{expected} bytes", remedy=remedy)


def _sha256(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
