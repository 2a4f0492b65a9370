"""From a split's pure `batch(k)` to batches on the devices.

grain runs `batch` in threads ahead of the training and keeps the position; transfers to the devices are started a
little ahead as well. The position that is saved is that of the last batch handed out, not of those in flight.
"""

import collections
import dataclasses
import sys
from collections.abc import Callable, Iterator
from typing import Any

import grain

from algoperf_jax.workload import Batch, SplitReader


@dataclasses.dataclass(frozen=True)
class FeedOptions:
    """How far ahead batches are made.

    Attributes:
      threads: threads that make host batches; 0 makes them when asked.
      host_batches: host batches kept ready.
      device_batches: batches whose transfer is started before they are asked for.
    """

    threads: int = 1
    host_batches: int = 4
    device_batches: int = 1


def host_batches(reader: SplitReader, options: FeedOptions) -> grain.DatasetIterator:
    """Grain iterator over the NumPy batches of a split, with `get_state` and `set_state`."""
    count = sys.maxsize if reader.num_batches is None else reader.num_batches
    read = grain.ReadOptions(
        num_threads=options.threads, prefetch_buffer_size=options.host_batches if options.threads else 0
    )
    return iter(grain.MapDataset.range(count).map(reader.batch).to_iter_dataset(read))


class DeviceFeed(Iterator[Batch]):
    """Iterator over batches on the devices."""

    def __init__(
        self,
        reader: SplitReader,
        put_batch: Callable[[Batch], Batch],
        options: FeedOptions = FeedOptions(),
    ) -> None:
        """Args:
        reader: the split.
        put_batch: starts the transfer of a host batch and returns the global arrays.
        options: how far ahead batches are made.
        """
        self._host = host_batches(reader, options)
        self._put_batch = put_batch
        self._ahead = options.device_batches
        self._position = self._host.get_state()
        self._queue: collections.deque[tuple[Batch, Any]] = collections.deque()

    def __iter__(self) -> "DeviceFeed":
        return self

    def __next__(self) -> Batch:
        while len(self._queue) <= self._ahead:
            try:
                batch = self._put_batch(next(self._host))
            except StopIteration:
                break
            self._queue.append((batch, self._host.get_state()))
        if not self._queue:
            raise StopIteration
        batch, self._position = self._queue.popleft()
        return batch

    def position(self) -> Any:
        """State from which iteration goes on after the last batch that was handed out (JSON-able)."""
        return self._position

    def seek(self, position: Any) -> None:
        """Goes on from a position that `position()` gave."""
        self._queue.clear()
        self._host.set_state(position)
        self._position = position
