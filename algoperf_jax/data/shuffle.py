"""Random order as a pure function of a seed and a position."""

import functools
from collections.abc import Callable

import numpy as np
from jaxtyping import Int64

from algoperf_jax.data.permutation import Permutation

LARGEST_TABLE = 1 << 22
"""Orders of larger data sets are computed on demand; others are tables of at most 32 MiB."""

EVAL_TRAIN_SEED = 0
"""Fixed, so that every trial of every algorithm is evaluated on the same training examples."""


@functools.lru_cache(maxsize=8)
def _permutation(num_examples: int, seed: int, epoch: int) -> np.ndarray:
    order = np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(num_examples)
    order.flags.writeable = False
    return order


def epoch_order(num_examples: int, seed: int, epoch: int) -> Int64[np.ndarray, " num_examples"]:
    """The order of the examples in one epoch; the most recent orders are cached."""
    return _permutation(num_examples, seed, epoch)


IndexStream = Callable[[int, int], Int64[np.ndarray, " stop-start"]]
"""Gives the example indices at positions `start` to `stop - 1` of an endless stream. All positions are equally fast to
reach, so a resume costs nothing."""


def endless_indices(num_examples: int, seed: int) -> IndexStream:
    """An endless sequence of permutations of the examples, a different one in each epoch."""

    def within(epoch: int, start: int, stop: int) -> np.ndarray:
        if num_examples <= LARGEST_TABLE:
            return epoch_order(num_examples, seed, epoch)[start:stop]
        return Permutation(num_examples, seed, epoch)(np.arange(start, stop))

    return _endless(num_examples, within)


def endless_indices_by_blocks(block_sizes: Int64[np.ndarray, " blocks"], seed: int, *, group: int) -> IndexStream:
    """An endless sequence of shuffled passes over all blocks, for rows that are read from disk block by block.

    In each epoch the blocks are in random order. The rows of each `group` consecutive blocks in that order are shuffled
    together, so that only `group` blocks are needed at a time. Examples are indexed consecutively within a block, and
    those of block b follow those of block b - 1.

    Args:
      block_sizes: number of examples of each block, at least 1 each.
      seed: determines the order.
      group: number of blocks that are shuffled together; with all blocks, this is a full shuffle.
    """
    block_sizes = np.asarray(block_sizes, np.int64)
    num_blocks = len(block_sizes)
    block_starts = np.cumsum(block_sizes) - block_sizes

    @functools.lru_cache(maxsize=4)
    def epoch_layout(epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """The order of the blocks, the start of each group in the epoch, and the end of the last group."""
        order = _generator(seed, epoch, _BLOCK_ORDER).permutation(num_blocks)
        ends = np.cumsum(block_sizes[order])
        return order, np.concatenate([[0], ends[group - 1 : -1 : group], ends[-1:]])

    @functools.lru_cache(maxsize=4)
    def group_order(epoch: int, number: int) -> np.ndarray:
        """The examples of a group in random order."""
        blocks = epoch_layout(epoch)[0][number * group : (number + 1) * group]
        examples = ranges(block_starts[blocks], block_sizes[blocks])
        _generator(seed, epoch, _ROW_ORDER, number).shuffle(examples)
        return examples

    def within(epoch: int, start: int, stop: int) -> np.ndarray:
        bounds = epoch_layout(epoch)[1]
        first, last = np.searchsorted(bounds, [start, stop - 1], side="right") - 1
        pieces = [group_order(epoch, number) for number in range(first, last + 1)]
        return np.concatenate(pieces)[start - bounds[first] : stop - bounds[first]]

    return _endless(int(block_sizes.sum()), within)


def ranges(starts: Int64[np.ndarray, " n"], lengths: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " total"]:
    """Concatenates the ranges `starts[i], ..., starts[i] + lengths[i] - 1`."""
    stops = np.cumsum(lengths)
    return np.arange(stops[-1] if len(stops) else 0) + np.repeat(starts - (stops - lengths), lengths)


def _endless(num_examples: int, within: Callable[[int, int, int], np.ndarray]) -> IndexStream:
    """The stream whose epochs are `within(epoch, start, stop)`."""

    def between(start: int, stop: int) -> np.ndarray:
        pieces = []
        while start < stop:
            epoch, offset = divmod(start, num_examples)
            take = min(stop - start, num_examples - offset)
            pieces.append(within(epoch, offset, offset + take))
            start += take
        return np.concatenate(pieces) if pieces else np.zeros(0, np.int64)

    return between


_EXAMPLE, _BATCH, _BLOCK_ORDER, _ROW_ORDER = 1, 2, 3, 4


def _generator(seed: int, epoch: int, purpose: int, number: int = 0) -> np.random.Generator:
    """A generator whose draws are independent of all other generators in this module."""
    return np.random.Generator(np.random.Philox(key=[seed, epoch], counter=[0, 0, purpose, number]))


def batch_generator(seed: int, batch_index: int) -> np.random.Generator:
    """The generator for augmentation of global batch `batch_index`, independent of the shuffling."""
    return _generator(seed, batch_index, _BATCH)


def example_generator(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The generator for augmentation of one example in one epoch, regardless of its position in the epoch."""
    return _generator(seed, epoch, _EXAMPLE, index)


def eval_train_indices(num_train: int, count: int) -> Int64[np.ndarray, " min(count,num_train)"]:
    """A fixed random subset of the training split, in increasing order."""
    return np.sort(endless_indices(num_train, EVAL_TRAIN_SEED)(0, min(count, num_train)))
