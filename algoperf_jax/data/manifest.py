"""What the manifest of a prepared data set says about its splits and files."""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class File:
    """A file of blocks.

    Attributes:
      name: in the folder of the data set.
      blocks: how many.
      bytes: its size.
      sha256: its checksum.
      block_sizes: examples of its blocks in order, as runs (how many blocks, examples of each); empty in manifests that
        were written before this was listed.
    """

    name: str
    blocks: int
    bytes: int
    sha256: str
    block_sizes: Sequence[tuple[int, int]] = ()


@dataclasses.dataclass(frozen=True)
class Column:
    """The arrays of all blocks of a split together.

    Attributes:
      dtype: as NumPy writes it, with the order of bytes.
      shape: concatenated along axis 0.
    """

    dtype: str
    shape: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Split:
    """A split of a data set.

    Attributes:
      examples: how many.
      columns: by name.
      files: in the order of the examples.
    """

    examples: int
    columns: Mapping[str, Column]
    files: tuple[File, ...]

    def block_sizes(self) -> np.ndarray | None:
        """Number of examples of each block of all files, int64; None where the manifest does not say it."""
        runs = [run for file in self.files for run in file.block_sizes]
        sizes = np.repeat([size for _, size in runs], [count for count, _ in runs]).astype(np.int64)
        known = (len(sizes), sizes.sum()) == (sum(file.blocks for file in self.files), self.examples)
        return sizes if known else None


def run_lengths(sizes: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Sizes as runs (how many, size of each)."""
    return tuple((len(list(run)), size) for size, run in itertools.groupby(sizes))


def split_from_json(entry: Mapping[str, Any]) -> Split:
    """A split as `dataclasses.asdict` and JSON have written it."""
    return Split(
        examples=int(entry["examples"]),
        columns={name: Column(c["dtype"], tuple(c["shape"])) for name, c in entry["columns"].items()},
        files=tuple(File(**file) for file in entry["files"]),
    )
