"""Batches of click logs: rows in sequence, file after file.

The examples are too many to be shuffled one by one, and the workload does not ask for it: only the files are in random
order. So a batch consists of a few ranges of consecutive rows, each read at once.
"""

import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import array_api_compat
import numpy as np
from jaxtyping import Int32, Int64

from algoperf_jax.data import prepared, shuffle
from algoperf_jax.data.arrays import round_up
from algoperf_jax.data.sources import PreparedSource
from algoperf_jax.workload import Batch, Data, Placement, SplitName, SplitReader
from workloads.criteo1tb import builtin
from workloads.criteo1tb.rows import BYTES_PER_ROW, DATASET, RowFile
from workloads.criteo1tb.schema import CATEGORIES, INTEGERS, LABEL, NUM_COLUMNS


class RowSource(Protocol):
    """Rows that are read from any position on, by any number of threads: a file, or a piece of the built-in data."""

    def __len__(self) -> int: ...

    def read(self, start: int, out: Int32[np.ndarray, "rows 40"]) -> None:
        """Reads `len(out)` consecutive rows from row `start` on into `out`."""
        ...


Order = Callable[[int], Int64[np.ndarray, " sources"]]
"""The order of the sources in each epoch: `epoch -> indices`."""


def open_data(data_dir: str | None, *, split_sizes: Mapping[str, int], edition: builtin.Edition) -> Data:
    """The click logs prepared in `data_dir`, or the built-in ones; nothing is read or drawn yet.

    Args:
      data_dir: folder of all prepared data sets.
      split_sizes: number of rows of each built-in split. With prepared data, only that of `eval_train` matters.
      edition: the built-in data.
    """
    if data_dir is None:
        generated = {split: builtin.pieces(edition, split, split_sizes[split]) for split in builtin.SPLITS}
        description = {"dataset": "generated", **edition.describe(), "split_sizes": dict(split_sizes)}
        return Data(
            origin="builtin",
            open=functools.partial(_open_split, generated.__getitem__, split_sizes["eval_train"]),
            describe=lambda: description,
        )
    source = PreparedSource(data_dir, DATASET)
    files = functools.cache(functools.partial(prepared_files, source, data_dir))
    return Data(
        origin="prepared",
        open=functools.partial(_open_split, files, split_sizes["eval_train"]),
        describe=functools.partial(_describe_prepared, source),
    )


def prepared_files(source: PreparedSource, data_dir: str, split: str) -> list[RowFile]:
    """The prepared files of a split.

    Raises:
      DataError: the data is missing, incomplete or of another version.
    """
    found = source.opened()
    arguments = found.arguments or ["--from=FOLDER"]
    command = prepared.command(DATASET.name, data_dir, *arguments)
    return [
        RowFile(path, file.bytes // BYTES_PER_ROW, file.sha256, remedy=f"Remove {path}, then run: {command}")
        for path, file in found.files(split)
    ]


def _open_split(
    sources: Callable[[str], Sequence[RowSource]],
    num_eval_train: int,
    split: SplitName,
    *,
    batch_size: int,
    seed: int,
    placement: Placement,
) -> SplitReader:
    if split == "train":
        return training_split(sources(split), batch_size=batch_size, seed=seed, placement=placement)
    if split == "eval_train":
        files = sources("train")
        files = [files[index] for index in shuffle.epoch_order(len(files), shuffle.EVAL_TRAIN_SEED, 0)]
        return evaluation_split(files, batch_size=batch_size, placement=placement, most=num_eval_train)
    return evaluation_split(sources(split), batch_size=batch_size, placement=placement)


def training_split(files: Sequence[RowSource], *, batch_size: int, seed: int, placement: Placement) -> SplitReader:
    """The endless stream of all files in a new random order in each epoch, the rows of a file in sequence.

    Batch k is rows k B to (k + 1) B - 1 of that stream. So batches run across the ends of files and epochs, and no row
    is left out. Rows have weight 1.
    """
    stream = RowStream(files, lambda epoch: shuffle.epoch_order(len(files), seed, epoch))
    own = placement.rows(batch_size)

    def batch(k: int) -> Batch:
        out = np.empty((own.stop - own.start, NUM_COLUMNS), np.int32)
        stream.read(k * batch_size + own.start, out)
        return {"rows": out, "weights": np.ones(len(out), np.float32)}

    return SplitReader(num_examples=len(stream), num_batches=None, batch=batch, finish=finish)


def evaluation_split(
    files: Sequence[RowSource], *, batch_size: int, placement: Placement, most: int | None = None
) -> SplitReader:
    """One pass over the rows in sequence, or over the first `most` of them.

    Batches are padded as by `arrays.evaluation_split`, with rows of zeros, which have weight 0.
    """
    stream = RowStream(files, lambda epoch: np.arange(len(files)))
    num_examples = len(stream) if most is None else min(most, len(stream))
    size = min(batch_size, num_examples)
    own = placement.rows(round_up(size, placement.device_count))

    def batch(k: int) -> Batch:
        real = max(0, min(own.stop, size, num_examples - k * size) - own.start)
        out = np.empty((own.stop - own.start, NUM_COLUMNS), np.int32)
        stream.read(k * size + own.start, out[:real])
        out[real:] = 0
        return {"rows": out, "weights": (np.arange(len(out)) < real).astype(np.float32)}

    return SplitReader(num_examples=num_examples, num_batches=-(-num_examples // size), batch=batch, finish=finish)


class RowStream:
    """The rows of several sources one after the other, epoch after epoch.

    Args:
      sources: the sources.
      order: their order in each epoch.
    """

    def __init__(self, sources: Sequence[RowSource], order: Order) -> None:
        self._sources = sources
        self._sizes = np.array([len(source) for source in sources], np.int64)
        self._order = order
        self._ends = functools.lru_cache(maxsize=4)(lambda epoch: np.cumsum(self._sizes[self._order(epoch)]))

    def __len__(self) -> int:
        """The number of rows in an epoch."""
        return int(self._sizes.sum())

    def read(self, start: int, out: Int32[np.ndarray, "rows 40"]) -> None:
        """Reads `len(out)` rows from position `start` of the stream on into `out`."""
        while len(out):
            epoch, position = divmod(start, len(self))
            ends = self._ends(epoch)
            number = int(np.searchsorted(ends, position, side="right"))
            source = self._sources[self._order(epoch)[number]]
            remaining = int(ends[number]) - position
            count = min(len(out), remaining)
            source.read(len(source) - remaining, out[:count])
            start, out = start + count, out[count:]


def finish(batch: Batch) -> Batch:
    """`rows` int32 [..., 40] -> `inputs` float32 [..., 39] and `targets` float32 [...]; see `SplitReader.finish`.

    `inputs` are log(max(x, 0) + 1) of each integer x, and the ids.
    """
    rows = batch["rows"]
    namespace = array_api_compat.array_namespace(rows)
    values = namespace.astype(rows, namespace.float32)
    logarithms = namespace.log(namespace.clip(values[..., INTEGERS], min=0) + 1)
    inputs = namespace.concat([logarithms, values[..., CATEGORIES]], axis=-1)
    return {"inputs": inputs, "targets": values[..., LABEL], "weights": batch["weights"]}


def _describe_prepared(source: PreparedSource) -> dict[str, Any]:
    """The facts of the data set, with one checksum for all of its many files."""
    found = source.describe()
    checksums = json.dumps(found.pop("sha256"), sort_keys=True)
    return {**found, "sha256": {"checksums of all files": hashlib.sha256(checksums.encode()).hexdigest()}}
