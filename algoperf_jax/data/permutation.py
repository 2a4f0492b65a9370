"""A random order of billions of numbers, computed on demand instead of stored in a table.

A Feistel network with keyed rounds permutes all numbers of a given number of bits. Numbers that it maps outside the
desired range are mapped again until they are inside ("cycle walking"), which permutes the range: J. Black and P.
Rogaway, Ciphers with Arbitrary Finite Domains, CT-RSA 2002, sections 3 and 4. For ranges of more than 8 numbers, at
most half of all numbers are outside. This shuffles examples; it is not a secure cipher.
"""

import dataclasses

import numpy as np
from jaxtyping import Int64, UInt32, UInt64

_ROUNDS = 8
_LEAST_BITS = 4
"""Enough for both halves to mix."""
_KEY_COUNTER = (0, 0, 2, 0)
"""Position of the round keys in the stream of a Philox key, separate from all draws in `shuffle`."""


@dataclasses.dataclass(frozen=True)
class Permutation:
    """A permutation of 0, ..., size - 1 for each pair of seed and epoch.

    Attributes:
      size: number of numbers, 1 to 2**62.
      seed: together with `epoch` determines the order, the same on every machine.
      epoch: number of the epoch.
    """

    size: int
    seed: int
    epoch: int

    def __post_init__(self) -> None:
        if not 1 <= self.size <= 1 << 62:
            raise ValueError(f"a permutation has 1 to 2**62 numbers, not {self.size}")

    def __call__(self, positions: Int64[np.ndarray, "*shape"]) -> Int64[np.ndarray, "*shape"]:
        """The numbers at the given positions."""
        values = np.array(positions, np.uint64).reshape(-1)
        bits = max(_LEAST_BITS, (self.size - 1).bit_length())
        low, keys = bits // 2, self._round_keys()
        values = _feistel(values, low, bits - low, keys)
        outside = np.flatnonzero(values >= self.size)
        while len(outside):
            values[outside] = walked = _feistel(values[outside], low, bits - low, keys)
            outside = outside[walked >= self.size]
        return values.astype(np.int64).reshape(np.shape(positions))

    def _round_keys(self) -> UInt32[np.ndarray, " rounds"]:
        drawn = np.random.Philox(key=[self.seed, self.epoch], counter=list(_KEY_COUNTER)).random_raw(_ROUNDS)
        return (drawn >> np.uint64(32)).astype(np.uint32)


def _feistel(
    values: UInt64[np.ndarray, " n"], low: int, high: int, keys: UInt32[np.ndarray, " rounds"]
) -> UInt64[np.ndarray, " n"]:
    """Permutes the numbers of `low` + `high` bits, 1 to 32 each; the two halves modify each other in turn."""
    left = (values & np.uint64((1 << low) - 1)).astype(np.uint32)
    right = (values >> np.uint64(low)).astype(np.uint32)
    for index, key in enumerate(keys):
        if index % 2:
            right ^= _mixed(left, key) >> np.uint32(32 - high)
        else:
            left ^= _mixed(right, key) >> np.uint32(32 - low)
    return left | (right.astype(np.uint64) << np.uint64(low))


def _mixed(half: UInt32[np.ndarray, " n"], key: np.uint32) -> UInt32[np.ndarray, " n"]:
    """Mixes a half and a key into 32 bits, with the finalizer of MurmurHash3 (A. Appleby, public domain)."""
    mixed = half ^ key
    mixed ^= mixed >> np.uint32(16)
    mixed *= np.uint32(0x85EBCA6B)
    mixed ^= mixed >> np.uint32(13)
    mixed *= np.uint32(0xC2B2AE35)
    mixed ^= mixed >> np.uint32(16)
    return mixed
