"""Files of rows of click logs, int32 [n, 40] (see `schema`); `algoperf_jax/data/row_files.py` has their format."""

import contextlib
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from algoperf_jax.data import row_files
from algoperf_jax.data.manifest import Split
from algoperf_jax.data.prepared import DatasetSpec
from algoperf_jax.data.row_files import Description, RowFormat
from workloads.criteo1tb.schema import NUM_COLUMNS

ROWS_PER_BLOCK = 8_192
"""A block is 1.3 MB: small enough that it is still in the processor's cache when its checksum is computed, and that the
blocks at both ends of a process's part of a batch cost little."""
ROW = RowFormat(np.dtype(np.int32), (NUM_COLUMNS,), ROWS_PER_BLOCK)
BYTES_PER_ROW = ROW.bytes_per_row

DATASET = DatasetSpec("criteo1tb", "1.0.0")
"""The prepared data set; its version changes whenever the rows or their files do."""


def writer(
    path: pathlib.Path, *, source: Mapping[str, Any]
) -> contextlib.AbstractContextManager[Callable[[np.ndarray], None]]:
    """Opens a file, ending in `.rows`, for writing; see `row_files.writer`."""
    return row_files.writer(path, ROW, source=source)


def remove_interrupted(folder: pathlib.Path) -> None:
    """Removes what killed processes left of files that they were writing."""
    for path in folder.glob(".*.rows.partial"):
        path.unlink(missing_ok=True)


def complete(path: pathlib.Path) -> Description | None:
    """The description of a file that was written to its end, or None: the file has to be written (again)."""
    return row_files.complete(path, ROW)


def manifest_split(paths: Sequence[pathlib.Path]) -> Split:
    """The entry of the manifest for a split of these complete files; see `row_files.manifest_split`."""
    return row_files.manifest_split(paths, ROW, column="rows")


class RowFile(row_files.RowFile):
    """A complete file of rows; see `row_files.RowFile`."""

    def __init__(self, path: pathlib.Path, num_rows: int, sha256: str, *, remedy: str) -> None:
        super().__init__(path, ROW, num_rows, sha256, remedy=remedy)
