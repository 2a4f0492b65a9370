"""Random order as a pure function of a seed and a position."""

import functools
from collections.abc import Callable

import numpy as np

EVAL_TRAIN_SEED = 0
"""Fixed, so that every trial of every algorithm judges the same training examples."""


@functools.lru_cache(maxsize=8)
def _permutation(num_examples: int, seed: int, epoch: int) -> np.ndarray:
    order = np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(num_examples)
    order.flags.writeable = False
    return order


def epoch_order(num_examples: int, seed: int, epoch: int) -> np.ndarray:
    """The order of the examples in one epoch, int64 [num_examples]; the last few are cached."""
    return _permutation(num_examples, seed, epoch)


def endless_indices(num_examples: int, seed: int) -> Callable[[int, int], np.ndarray]:
    """An endless stream of example indices: one permutation after another, each epoch in its own order.

    Returns:
      `(start, stop) -> int64 [stop - start]`, the stream's positions `start` to `stop`.
    """

    def between(start: int, stop: int) -> np.ndarray:
        pieces = []
        while start < stop:
            epoch, offset = divmod(start, num_examples)
            take = min(stop - start, num_examples - offset)
            pieces.append(epoch_order(num_examples, seed, epoch)[offset : offset + take])
            start += take
        return np.concatenate(pieces) if pieces else np.zeros(0, np.int64)

    return between


def batch_generator(seed: int, batch_index: int) -> np.random.Generator:
    """The generator for augmentation of global batch `batch_index`, independent of the shuffling's draws."""
    return np.random.Generator(np.random.Philox(key=[seed, batch_index], counter=[1, 0, 0, 0]))


def example_generator(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The generator for augmentation of one example in one epoch, wherever in the epoch it comes."""
    return np.random.Generator(np.random.Philox(key=[seed, epoch], counter=[0, 0, 1, index]))


def eval_train_indices(num_train: int, count: int) -> np.ndarray:
    """A fixed random subset of the training split, in increasing order, int64 [min(count, num_train)]."""
    return np.sort(epoch_order(num_train, EVAL_TRAIN_SEED, 0)[:count])
