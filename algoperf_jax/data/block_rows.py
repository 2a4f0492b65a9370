"""Rows of fixed size, too many for memory and too small to be read one by one.

They are prepared in blocks (see `prepared`), in which all columns have one row per example. A batch gathers its rows
from these blocks, which are read whole; the most recent blocks are cached. Training uses the order of
`shuffle.endless_indices_by_blocks`, which finishes a group of blocks before it starts the next.
"""

import collections
import dataclasses
import itertools
import threading
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Int, Shaped

from algoperf_jax.data import arrays, shuffle
from algoperf_jax.data.arrays import Transform
from algoperf_jax.data.records import RecordFile, opened
from algoperf_jax.errors import DataError
from algoperf_jax.workload import Placement, SplitReader


@dataclasses.dataclass(frozen=True)
class RowType:
    """The type of a column's row for one example.

    Attributes:
      dtype: type of the numbers.
      shape: without the leading axis of examples.
    """

    dtype: np.dtype
    shape: tuple[int, ...]


class _Cached:
    """A block that is read once, by the first thread that needs it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.columns: Mapping[str, np.ndarray] | None = None


class BlockRows:
    """The examples of a split by index. Thread-safe and picklable; a copy starts with an empty cache.

    Args:
      files: the files, in the order of the examples.
      block_sizes: number of examples in each block of all files, in that order.
      columns: name and type of the columns of each block.
      group: number of blocks that are shuffled together, at least 1.
      remedy: how to repair a damaged file, for errors.

    Attributes:
      block_sizes: number of examples in each block, int64.
      group: number of blocks that are shuffled together. The cache holds twice as many, plus one per thread.
    """

    def __init__(
        self,
        files: Sequence[RecordFile],
        block_sizes: Int[np.ndarray, " blocks"],
        columns: Mapping[str, RowType],
        *,
        group: int,
        remedy: str,
    ) -> None:
        if group < 1:
            raise ValueError(f"a group has at least one block, not {group}")
        self.block_sizes = np.asarray(block_sizes, np.int64)
        self.group = group
        self._files = tuple(files)
        self._columns = dict(columns)
        self._remedy = remedy
        self._first_blocks = [0, *itertools.accumulate(file.count for file in files)]
        self._ends = np.cumsum(self.block_sizes)
        self._lock = threading.Lock()
        self._kept: collections.OrderedDict[int, _Cached] = collections.OrderedDict()

    def __reduce__(self) -> tuple:
        return _restored, (self._files, self.block_sizes, self._columns, self.group, self._remedy)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def take(self, indices: Int[np.ndarray, " n"]) -> dict[str, Shaped[np.ndarray, "n ..."]]:
        """Gathers the chosen rows of every column in new arrays; fastest if `indices` increase.

        Raises:
          DataError: a block is damaged or contradicts the manifest; the message names file and record.
        """
        indices = np.asarray(indices, np.int64)
        if len(indices) and not 0 <= indices.min() <= indices.max() < len(self):
            raise IndexError(f"examples {indices.min()} to {indices.max()} are not all in 0 to {len(self) - 1}")
        taken = {name: np.empty((len(indices), *c.shape), c.dtype) for name, c in self._columns.items()}
        for block, places, rows in self._by_block(indices):
            columns = self._block(block)
            for name, column in taken.items():
                if isinstance(places, slice):
                    np.take(columns[name], rows, axis=0, out=column[places], mode="clip")
                else:
                    column[places] = columns[name][rows]
        return taken

    def _by_block(self, indices: np.ndarray) -> Iterator[tuple[int, slice | np.ndarray, np.ndarray]]:
        """For each block with some of the examples: its number, their places in `indices`, their rows in the block."""
        increasing = bool((indices[1:] >= indices[:-1]).all())
        order = None if increasing else np.argsort(indices, kind="stable")
        in_order = indices if order is None else indices[order]
        blocks = np.searchsorted(self._ends, in_order, side="right")
        bounds = np.flatnonzero(np.diff(blocks, prepend=-1, append=-1))
        for start, stop in itertools.pairwise(bounds):
            block = int(blocks[start])
            rows = in_order[start:stop] - (self._ends[block] - self.block_sizes[block])
            yield block, slice(start, stop) if order is None else order[start:stop], rows

    def _block(self, number: int) -> Mapping[str, np.ndarray]:
        with self._lock:
            cached = self._kept.setdefault(number, _Cached())
            self._kept.move_to_end(number)
            while len(self._kept) > 2 * self.group:
                self._kept.popitem(last=False)
        with cached.lock:
            if cached.columns is None:
                cached.columns = self._read(number)
            return cached.columns

    def _read(self, number: int) -> Mapping[str, np.ndarray]:
        place = int(np.searchsorted(self._first_blocks, number, side="right")) - 1
        file, record = self._files[place], number - self._first_blocks[place]
        block = opened(file, self._remedy).read(record)
        size = int(self.block_sizes[number])
        found = {name: RowType(column.dtype, column.shape[1:]) for name, column in block.columns.items()}
        lengths = {block.num_examples, *(len(column) for column in block.columns.values())}
        if lengths != {size} or found != self._columns:
            raise DataError(
                f"record {record} of {file.path} does not have the columns in the manifest",
                value=f"{sorted(lengths)} rows of {_described(found)}",
                expected=f"{size} rows of {_described(self._columns)}",
                remedy=self._remedy,
            )
        return block.columns


def _restored(
    files: Sequence[RecordFile], block_sizes: np.ndarray, columns: Mapping[str, RowType], group: int, remedy: str
) -> BlockRows:
    return BlockRows(files, block_sizes, columns, group=group, remedy=remedy)


def _described(columns: Mapping[str, RowType]) -> str:
    return ", ".join(f"{name} {column.dtype}{list(column.shape)}" for name, column in sorted(columns.items()))


def training_split(
    rows: BlockRows, *, batch_size: int, seed: int, placement: Placement, transform: Transform
) -> SplitReader:
    """The endless stream of full batches, shuffled by blocks and groups of blocks; every example has weight 1.

    Within a batch, rows are in the order of the data set, so that each process reads few blocks.
    """
    between = shuffle.endless_indices_by_blocks(rows.block_sizes, seed, group=rows.group)
    return arrays.stream_split(
        rows.take,
        lambda start, stop: np.sort(between(start, stop)),
        num_examples=len(rows),
        batch_size=batch_size,
        placement=placement,
        transform=transform,
    )


def evaluation_split(
    rows: BlockRows, *, batch_size: int, placement: Placement, transform: Transform, count: int | None = None
) -> SplitReader:
    """One pass; the last batch is padded with copies of one example, which have weight 0.

    Args:
      rows: the examples.
      batch_size: examples in a global batch.
      placement: determines the rows of this process.
      transform: turns gathered rows into `inputs` and `targets`.
      count: size of a fixed random subset, made of whole blocks except for the last; None takes all examples in order.
    """
    if count is None:
        between, num_examples = np.arange, len(rows)
    else:
        between = shuffle.endless_indices_by_blocks(rows.block_sizes, shuffle.EVAL_TRAIN_SEED, group=1)
        num_examples = min(count, len(rows))
    return arrays.pass_split(
        rows.take,
        between,
        num_examples=num_examples,
        batch_size=batch_size,
        placement=placement,
        transform=transform,
    )
