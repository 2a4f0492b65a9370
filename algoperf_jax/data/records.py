"""Examples that are read from disk one at a time, in any order, because all of them would not fit into memory.

They are prepared like others (see `prepared`), with one example in each block.
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
"""Files that a thread keeps open; a process may have a thousand."""


class _Opened(threading.local):
    """The files that a thread has opened, the last one used at the end."""

    def __init__(self) -> None:
        self.readers: collections.OrderedDict[RecordFile, blocks.BlockReader] = collections.OrderedDict()


_opened = _Opened()


class RecordFile(NamedTuple):
    """A file of records.

    Attributes:
      path: the file.
      count: how many examples it holds.
      sha256: its checksum, which tells it from another that had its place.
    """

    path: pathlib.Path
    count: int
    sha256: str


def opened(file: RecordFile, remedy: str) -> blocks.BlockReader:
    """The reader of a file for this thread.

    Raises:
      DataError: it is not a file of so many records; says the remedy.
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
    """The examples of a split by number. Picklable; each thread of each process opens the files that it reads.

    Attributes:
      files: in the order of the examples.
      remedy: what mends a damaged file.
    """

    files: tuple[RecordFile, ...]
    remedy: str

    def __len__(self) -> int:
        return self._ends[-1]

    def read(self, index: int) -> dict[str, np.ndarray]:
        """The columns of example `index`.

        Raises:
          DataError: the record is damaged; names file and record.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"example {index} of {len(self)}")
        number = int(np.searchsorted(self._ends, index, side="right"))
        file = self.files[number]
        return dict(opened(file, self.remedy).read(index - self._ends[number] + file.count).columns)

    @functools.cached_property
    def _ends(self) -> list[int]:
        return list(itertools.accumulate(file.count for file in self.files))
