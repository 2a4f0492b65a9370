"""Masks that keep columns of k-space: the centre, and others at random (Zbontar et al. 2018, section 4.2).

The random numbers are those of TensorFlow's stateless generator, Philox 4x32-10 (Salmon et al. 2011,
https://doi.org/10.1145/2063384.2063405), so the masks are those of published results.
"""

import numpy as np

CENTER_FRACTION = 0.08
ACCELERATION = 4
EVALUATION_SEED = np.zeros((1, 2), np.int64)
"""Seed of the masks of validation and test slices: all slices of one width share a mask."""

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_SEEDING_KEY = np.array([0x3EC8F720, 0x02461E29], np.uint32)
_LOW, _SHIFT = np.uint64(0xFFFFFFFF), np.uint64(32)


def num_low_frequencies(width: int) -> int:
    """Number of columns in the centre that are always kept."""
    return int(np.float32(width) * np.float32(CENTER_FRACTION))


def probability(width: int) -> np.float32:
    """Probability of keeping a column outside the centre, such that a quarter of all columns is kept on average."""
    low = np.float32(num_low_frequencies(width))
    return (np.float32(width) / np.float32(ACCELERATION) - low) / (np.float32(width) - low)


def kept_columns(width: int, uniforms: np.ndarray) -> np.ndarray:
    """Turns random numbers in 0 .. 1 into masks.

    Args:
      width: number of columns of k-space.
      uniforms: float32 [..., at least width].

    Returns:
      bool [..., width].
    """
    low = num_low_frequencies(width)
    start = (width - low + 1) // 2
    kept = uniforms[..., :width] < probability(width)
    kept[..., start : start + low] = True
    return kept


def fold_in(seed: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Derives one seed per number: int64 [2], int64 [n] -> int64 [n, 2]."""
    words = _words(seed[None], 2).astype(np.uint64)
    first = (words[:, 0] | (words[:, 1] << _SHIFT)).view(np.int64)
    return np.stack([np.broadcast_to(first, numbers.shape), numbers], axis=1)


def uniforms(seeds: np.ndarray, count: int) -> np.ndarray:
    """Random numbers in 0 .. 1: seeds int64 [n, 2] -> float32 [n, count]."""
    mantissas = _words(seeds, count) & np.uint32(0x7FFFFF)
    return (mantissas | np.uint32(0x3F800000)).view(np.float32) - np.float32(1)


def _words(seeds: np.ndarray, count: int) -> np.ndarray:
    """The first words of each seed's stream, uint32 [n, count]."""
    halves = np.ascontiguousarray(seeds, "<i8").view("<u4").reshape(-1, 4)
    mixed = _philox(halves, np.broadcast_to(_SEEDING_KEY, (len(halves), 2)))
    num_blocks = -(-count // 4)
    counters = np.zeros((len(halves), num_blocks, 4), np.uint32)
    # The counter starts at 0, and its lower words suffice for far more blocks than any mask needs.
    counters[..., 0] = np.arange(num_blocks)
    counters[..., 2:] = mixed[:, None, 2:]
    keys = np.repeat(mixed[:, :2], num_blocks, axis=0)
    return _philox(counters.reshape(-1, 4), keys).reshape(len(halves), -1)[:, :count]


def _philox(counters: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Computes Philox blocks: counters uint32 [n, 4], keys uint32 [n, 2] -> uint32 [n, 4]."""
    c0, c1, c2, c3 = counters.astype(np.uint64).T
    k0, k1 = keys.astype(np.uint64).T
    for number in range(_ROUNDS):
        key0 = (k0 + np.uint64(number * _KEY_STEPS[0])) & _LOW
        key1 = (k1 + np.uint64(number * _KEY_STEPS[1])) & _LOW
        product0, product1 = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0, c1 = (product1 >> _SHIFT) ^ c1 ^ key0, product1 & _LOW
        c2, c3 = (product0 >> _SHIFT) ^ c3 ^ key1, product0 & _LOW
    return np.stack([c0, c1, c2, c3], axis=1).astype(np.uint32)
