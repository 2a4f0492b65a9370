"""Feeds the devices with batches, made ahead by a split's pure function `batch(k)`.

grain makes batches and starts their transfers in threads ahead of the training. It tracks the position of the last
batch handed out, not of those in flight.
"""

import dataclasses
import sys
from collections.abc import Callable, Iterator
from typing import Any

import grain

from algoperf_jax.workload import Batch, PutBatch, SplitReader


@dataclasses.dataclass(frozen=True)
class FeedOptions:
    """How far ahead batches are made.

    Attributes:
      threads: number of threads that make batches; 0 makes batches on request.
      batches_ahead: number of batches to keep ready, on the devices for a `DeviceFeed`.
    """

    threads: int = 1
    batches_ahead: int = 3


def iterate(batch: Callable[[int], Batch], num_batches: int | None, options: FeedOptions) -> grain.DatasetIterator:
    """A grain iterator over `batch(0)`, `batch(1)`, ..., endless if `num_batches` is None."""
    # grain's elements are whole batches. See findings/grain_workers_change_batches.sh and grain_sampler_shards.sh.
    count = sys.maxsize if num_batches is None else num_batches
    read = grain.ReadOptions(
        num_threads=options.threads, prefetch_buffer_size=options.batches_ahead if options.threads else 0
    )
    return iter(grain.MapDataset.range(count).map(batch).to_iter_dataset(read))


class DeviceFeed(Iterator[Batch]):
    """Iterator over the batches of a split on the devices.

    Args:
      reader: the split.
      put_batch: starts the transfer of a host batch; called in the feed's threads.
      options: how far ahead batches are made.
    """

    def __init__(self, reader: SplitReader, put_batch: PutBatch, options: FeedOptions = FeedOptions()) -> None:
        self._batches = iterate(lambda k: reader.put(k, put_batch), reader.num_batches, options)

    def __iter__(self) -> "DeviceFeed":
        return self

    def __next__(self) -> Batch:
        return next(self._batches)

    def position(self) -> Any:
        """The position after the last batch handed out, JSON-able."""
        return self._batches.get_state()

    def seek(self, position: Any) -> None:
        """Continues from a position returned by `position()`."""
        self._batches.set_state(position)
