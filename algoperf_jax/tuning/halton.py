"""Quasi-random points of the unit cube, as the benchmark draws hyperparameters.

Generalized Halton sequences: coordinate `k` of point `i` is the radical inverse of `i` in a separate prime base, with
permuted digits and a shift. Halton, "On the efficiency of certain quasi-random sequences of points in evaluating
multi-dimensional integrals", Numerische Mathematik 2 (1960); Bousquet et al., "Critical hyper-parameters: no random, no
cry" (2017), arXiv:1706.03200. The points are those of AlgoPerf v0.6, bit for bit.
"""

import math
from collections.abc import Sequence

import numpy as np

_SKIPPED = 100


def odd_primes(below: int) -> tuple[int, ...]:
    """The odd primes less than `below`, ascending."""
    numbers = range(3, below, 2)
    return tuple(n for n in numbers if all(n % divisor for divisor in range(3, math.isqrt(n) + 1, 2)))


BASES = odd_primes(1000)[:-1]
"""The available bases; the benchmark omits the last prime below 1000."""


def bases(num_dims: int) -> tuple[int, ...]:
    """The bases of `num_dims` coordinates: the largest ones, ascending.

    Raises:
      ValueError: there are fewer bases.
    """
    if not 1 <= num_dims <= len(BASES):
        raise ValueError(f"{num_dims} dimensions; expected 1 to {len(BASES)}")
    return BASES[-num_dims:]


def digit_permutation(base: int) -> tuple[list[int], float]:
    """The scrambling of a base's coordinates: a permutation of its digits that keeps 0, and a shift in [0, 1)."""
    generator = np.random.RandomState(base)
    digits = list(range(1, base))
    generator.shuffle(digits)
    return [0, *digits], float(generator.random_sample())


def radical_inverse(index: int, permutation: Sequence[int]) -> float:
    """Permutes the digits of `index` and mirrors them at the point; the base is the number of digits."""
    base = len(permutation)
    value, scale = 0.0, float(base)
    while index:
        index, digit = divmod(index, base)
        value += permutation[digit] / scale
        scale *= base
    return value


def unit_cube_points(num_points: int, num_dims: int) -> list[tuple[float, ...]]:
    """The first points, each in [0, 1)^num_dims, in the order of their generation."""
    coordinates = []
    for base in bases(num_dims):
        permutation, shift = digit_permutation(base)
        indices = range(_SKIPPED + 1, _SKIPPED + 1 + num_points)
        coordinates.append([math.fmod(radical_inverse(index, permutation) + shift, 1.0) for index in indices])
    return list(zip(*coordinates, strict=True))
