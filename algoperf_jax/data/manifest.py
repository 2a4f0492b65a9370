"""The entries for splits and files in the manifest of a prepared data set."""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class File:
    """A file of blocks: ArrayRecord, or of a format of the workload's own (see `continued`).

    Attributes:
      name: file name in the folder of the data set.
      blocks: number of blocks.
      bytes: size of the file.
      sha256: checksum of the file; in a format of the workload's own, of whatever lists the checksums of its blocks.
      block_sizes: number of examples in each block, as runs (number of blocks, examples in each); empty in older
        manifests.
    """

    name: str
    blocks: int
    bytes: int
    sha256: str
    block_sizes: Sequence[tuple[int, int]] = ()


@dataclasses.dataclass(frozen=True)
class Column:
    """The arrays of all blocks of a split, concatenated along axis 0.

    Attributes:
      dtype: NumPy's name of the type, including the byte order.
      shape: shape after concatenation.
    """

    dtype: str
    shape: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Split:
    """A split of a data set.

    Attributes:
      examples: number of examples.
      columns: the columns by name.
      files: the files in the order of the examples.
    """

    examples: int
    columns: Mapping[str, Column]
    files: tuple[File, ...]

    def block_sizes(self) -> np.ndarray | None:
        """Number of examples in each block of all files, int64; None if the manifest does not list it."""
        runs = [run for file in self.files for run in file.block_sizes]
        sizes = np.repeat([size for _, size in runs], [count for count, _ in runs]).astype(np.int64)
        known = (len(sizes), sizes.sum()) == (sum(file.blocks for file in self.files), self.examples)
        return sizes if known else None


def run_lengths(sizes: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Encodes sizes as runs (count, size)."""
    return tuple((len(list(run)), size) for size, run in itertools.groupby(sizes))


def split_from_json(entry: Mapping[str, Any]) -> Split:
    """Reads a split from JSON written with `dataclasses.asdict`."""
    return Split(
        examples=int(entry["examples"]),
        columns={name: Column(c["dtype"], tuple(c["shape"])) for name, c in entry["columns"].items()},
        files=tuple(File(**file) for file in entry["files"]),
    )
