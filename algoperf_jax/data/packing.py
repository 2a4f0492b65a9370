"""Packs examples of different sizes into bins of fixed size: molecules into a batch's shards, sentences into its rows.

Bins are filled greedily in order: an example goes into the current bin or, if it does not fit, starts the next one. So
a bin is a range of the order, and the starts of the bins describe them completely.
"""

import bisect
import collections
import threading
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, Int64

from algoperf_jax.data.shuffle import IndexStream

_STRETCH = 1 << 18
"""Examples whose bins are found at once, if there are so many in an epoch."""
_TABLES = 4


def greedy_starts(
    sizes: Sequence[Int[np.ndarray, " n"]],
    capacities: Sequence[int],
    *,
    most: int,
    group: int | None = None,
    first: int = 0,
    starts_before: int | None = None,
) -> Int64[np.ndarray, " bins+1"]:
    """Fills bins greedily in order; returns where each bin starts.

    Args:
      sizes: for each limit, the sizes of the examples in the order of filling, not negative.
      capacities: for each limit, the largest sum of sizes in a bin.
      most: the largest number of examples in a bin.
      group: no bin crosses a multiple of this many positions; None for no such borders.
      first: position of the first example in the whole order, for counting groups.
      starts_before: return only bins that start before this many examples; default n.

    Returns:
      The first example of each bin, and the end of the last bin.

    Raises:
      ValueError: an example does not fit into a bin.
    """
    count = len(sizes[0])
    starts_before = count if starts_before is None else starts_before
    positions = np.arange(starts_before)
    stops = np.minimum(positions + most, count)
    if group is not None:
        stops = np.minimum(stops, ((first + positions) // group + 1) * group - first)
    for of_examples, capacity in zip(sizes, capacities, strict=True):
        ends = np.cumsum(of_examples, dtype=np.int64)
        begins = ends[:starts_before] - of_examples[:starts_before]
        stops = np.minimum(stops, np.searchsorted(ends, begins + capacity, side="right"))
    if (stuck := np.flatnonzero(stops <= positions)).size:
        found = [int(of_examples[stuck[0]]) for of_examples in sizes]
        raise ValueError(f"example {stuck[0]} of size {found} does not fit a bin of {list(capacities)}")
    next_start = stops.tolist()
    chain = [0]
    while chain[-1] < starts_before:
        chain.append(next_start[chain[-1]])
    return np.asarray(chain, np.int64)


class BinStream:
    """The bins of an endless stream of examples. Their starts are found one stretch of the stream at a time.

    Thread-safe. Bins may cross the end of an epoch, so that none is left half empty. Where a stretch starts depends on
    the stretches before it, so the first batch after a resume takes a pass over the sizes of all examples before it.
    Only the starts of the stretches and a few tables are kept: memory depends neither on the size of an epoch nor on
    the length of a run.

    Args:
      sizes: for each limit, the sizes of the examples by index.
      capacities: for each limit, the largest sum of sizes in a bin.
      between: the order of the examples, in epochs of n.
      most: the largest number of examples in a bin.
      group: no bin crosses a multiple of this many positions; None for no such borders.
    """

    def __init__(
        self,
        sizes: Sequence[Int[np.ndarray, " n"]],
        capacities: Sequence[int],
        between: IndexStream,
        *,
        most: int,
        group: int | None = None,
    ) -> None:
        self._sizes = sizes
        self._capacities = capacities
        self._between = between
        self._most = most
        self._group = group
        self._stretch = min(_STRETCH, len(sizes[0]))
        self._lock = threading.Lock()
        # For each stretch that is known: the number of its first bin, and the position where that begins.
        self._first_bins = [0]
        self._positions = [0]
        self._tables: collections.OrderedDict[int, np.ndarray] = collections.OrderedDict()

    def bins(self, start: int, stop: int) -> list[Int64[np.ndarray, " examples"]]:
        """The indices of the examples in each of the bins `start` to `stop - 1`."""
        with self._lock:
            starts = self._starts(start, stop)
        return np.split(self._between(int(starts[0]), int(starts[-1])), starts[1:-1] - starts[0])

    def _starts(self, start: int, stop: int) -> Int64[np.ndarray, " bins+1"]:
        """Where the bins `start` to `stop` begin, the latter included."""
        while self._first_bins[-1] <= stop:
            table = self._table(len(self._first_bins) - 1)
            self._first_bins.append(self._first_bins[-1] + len(table) - 1)
            self._positions.append(int(table[-1]))
        pieces = []
        while start <= stop:
            stretch = bisect.bisect_right(self._first_bins, start) - 1
            first = self._first_bins[stretch]
            pieces.append(self._table(stretch)[:-1][start - first : stop + 1 - first])
            start += len(pieces[-1])
        return np.concatenate(pieces)

    def _table(self, stretch: int) -> Int64[np.ndarray, " bins+1"]:
        """Where the bins of a known stretch begin, and the end of the last."""
        if stretch not in self._tables:
            position = self._positions[stretch]
            # The last bin may extend beyond the stretch, by at most the examples of one bin.
            order = self._between(position, position + self._stretch + self._most)
            starts = greedy_starts(
                [of_examples[order] for of_examples in self._sizes],
                self._capacities,
                most=self._most,
                group=self._group,
                first=position,
                starts_before=self._stretch,
            )
            self._tables[stretch] = position + starts
        self._tables.move_to_end(stretch)
        while len(self._tables) > _TABLES:
            self._tables.popitem(last=False)
        return self._tables[stretch]
