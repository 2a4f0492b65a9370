"""From a split's pure `batch(k)` to batches on the devices.

grain makes batches and starts their transfers in threads ahead of the training, and keeps the position: that of the
last batch handed out, not of those in flight.
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
      threads: threads that make batches; 0 makes them when asked.
      batches_ahead: batches kept ready, on the devices where they go there.
    """

    threads: int = 1
    batches_ahead: int = 3


def iterate(batch: Callable[[int], Batch], num_batches: int | None, options: FeedOptions) -> grain.DatasetIterator:
    """Grain iterator over `batch(0)`, `batch(1)`, ..., with `get_state` and `set_state`; endless without a number."""
    # Whole batches are grain's elements. See findings/grain_workers_change_batches.sh and grain_sampler_shards.sh.
    count = sys.maxsize if num_batches is None else num_batches
    read = grain.ReadOptions(
        num_threads=options.threads, prefetch_buffer_size=options.batches_ahead if options.threads else 0
    )
    return iter(grain.MapDataset.range(count).map(batch).to_iter_dataset(read))


class DeviceFeed(Iterator[Batch]):
    """Iterator over the batches of a split on the devices."""

    def __init__(self, reader: SplitReader, put_batch: PutBatch, options: FeedOptions = FeedOptions()) -> None:
        """Args:
        reader: the split.
        put_batch: starts the transfer of a host batch; called in the feed's threads.
        options: how far ahead batches are made.
        """
        self._batches = iterate(lambda k: reader.put(k, put_batch), reader.num_batches, options)

    def __iter__(self) -> "DeviceFeed":
        return self

    def __next__(self) -> Batch:
        return next(self._batches)

    def position(self) -> Any:
        """State from which iteration goes on after the last batch that was handed out (JSON-able)."""
        return self._batches.get_state()

    def seek(self, position: Any) -> None:
        """Goes on from a position that `position()` gave."""
        self._batches.set_state(position)
