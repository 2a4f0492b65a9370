"""Examples that are read from disk one by one, in any order, because they do not fit into memory together.

They are prepared like others (see `prepared`), with one example per block.
"""

import collections
import dataclasses
import functools
import itertools
import pathlib
import threading
from typing import NamedTuple

import numpy as np

from algoperf_jax.data import blocks

_MOST_OPENED = 64
"""Number of files that a thread keeps open; a process may have about a thousand."""


class _Opened(threading.local):
    """The files that a thread has open, least recently used first."""

    def __init__(self) -> None:
        self.readers: collections.OrderedDict[RecordFile, blocks.BlockReader] = collections.OrderedDict()


_opened = _Opened()


class RecordFile(NamedTuple):
    """A file of records.

    Attributes:
      path: the file.
      count: number of examples in it.
      sha256: its checksum; distinguishes it from an earlier file at the same path.
    """

    path: pathlib.Path
    count: int
    sha256: str


def opened(file: RecordFile, remedy: str) -> blocks.BlockReader:
    """Returns this thread's reader of a file; opens it on first use.

    Raises:
      DataError: the file does not have this number of records; the message ends with the remedy.
    """
    readers = _opened.readers
    if file not in readers:
        while len(readers) >= _MOST_OPENED:
            readers.popitem(last=False)[1].close()
        readers[file] = blocks.BlockReader(file.path, file.count, remedy=remedy)
    readers.move_to_end(file)
    return readers[file]


@dataclasses.dataclass(frozen=True)
class Records:
    """The examples of a split by index. Picklable; each thread of each process opens the files that it reads.

    Attributes:
      files: the files in the order of the examples.
      remedy: how to repair a damaged file, for errors.
    """

    files: tuple[RecordFile, ...]
    remedy: str

    def __len__(self) -> int:
        return self._ends[-1]

    def read(self, index: int) -> dict[str, np.ndarray]:
        """The columns of example `index`.

        Raises:
          DataError: the record is damaged; the message names file and record.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"example {index} is not in 0 to {len(self) - 1}")
        number = int(np.searchsorted(self._ends, index, side="right"))
        file = self.files[number]
        return dict(opened(file, self.remedy).read(index - self._ends[number] + file.count).columns)

    @functools.cached_property
    def _ends(self) -> list[int]:
        return list(itertools.accumulate(file.count for file in self.files))
