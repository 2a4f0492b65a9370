"""The built-in stand-in for the Criteo click logs: rows drawn from a model of who clicks on what.

A category is drawn by Zipf's law, from as many values as its column has buckets, and hashed to a bucket, as the values
of the real data are. So most rows of a batch share a few buckets, and others are rare. Integers are drawn by the same
law; some are 0, as missing ones are, and a few are negative. The logit of a click is linear in the logarithms of the
integers, with an effect of each bucket, and the products of the latent factors of all pairs of buckets in a row. An
effect is that of one of 1,024 classes of buckets in a column, so all tables stay in the processor's cache.

Rows are made on demand, a block at a time, from the version, the split and the number of the block. All arithmetic
before the last step, which decides about the click, is exact or rounded as IEEE 754 prescribes, so all machines draw
the same rows: the line between the neighboring powers of two takes the place of 2^x.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int32, UInt32

from algoperf_jax.workload import Budget, Facts, Goal
from workloads.criteo1tb.schema import (
    CATEGORIES,
    COLUMN_SIZES,
    INTEGERS,
    LABEL,
    NUM_CATEGORIES,
    NUM_COLUMNS,
    NUM_INTEGERS,
)

VERSION = "1"
"""Version of the rows; changes whenever they do."""
SPLITS = ("train", "validation", "test")
ROWS_PER_BLOCK = 1_024
"""Rows that are drawn together: so few that everything about them stays in the processor's cache, and that the C
library keeps the memory of intermediate arrays, whose pages the system would otherwise clear again and again."""

FACTS = Facts(
    goal=Goal(metric="loss", direction="minimize", validation=0.122, test=0.122),
    budget=Budget(max_runtime_sec=3_600, eval_period_sec=120, step_hint=2_000),
    batch_size=4_096,
    eval_batch_size=8_192,
    split_sizes={"train": 10_000_000, "eval_train": 100_000, "validation": 100_000, "test": 100_000},
)
SMALL_FACTS = Facts(
    goal=Goal(metric="loss", direction="minimize", validation=0.1125, test=0.1125),
    budget=Budget(max_runtime_sec=180, eval_period_sec=5, step_hint=3_000),
    batch_size=1_024,
    eval_batch_size=10_000,
    split_sizes={"train": 4_000_000, "eval_train": 50_000, "validation": 100_000, "test": 100_000},
)

_SEED = 20_261_128
_CLASSES_LOG2 = 10
_CLASSES = 1 << _CLASSES_LOG2
_SPREADS = (0.5, 0.3, 0.3, 0.3)
"""Standard deviations of the effect and of the latent factors in the column that tells most."""
_WEAKEST = 0.15
"""How much the column that tells least has of them."""
_MANTISSA = 23
_ONE = 127 << _MANTISSA
"""The bits of the float32 1."""
_LARGEST_INTEGERS = np.array([10, 14, 16, 9, 20, 17, 12, 10, 15, 4, 8, 11, 13], np.float32)[:, None]
"""Base-2 logarithms of the bounds of the integers."""
_ZEROS = np.array([0.45, 0.1, 0.2, 0.2, 0.03, 0.2, 0.05, 0.01, 0.05, 0.45, 0.05, 0.75, 0.2], np.float32)[:, None]
"""The share of each column of integers that is missing or 0."""
_NEGATIVE_COLUMN = 1
"""The column that is -2 instead of 0."""


@dataclasses.dataclass(frozen=True)
class Edition:
    """A population of clicks.

    Attributes:
      most_values: most values of a column, before they are hashed to its buckets.
      intercept: logit of a click without any effects.
    """

    most_values: int
    intercept: float

    def describe(self) -> dict[str, Any]:
        """Facts for the log of a run."""
        return {"version": VERSION, "most_values": self.most_values}


FULL = Edition(most_values=max(COLUMN_SIZES), intercept=-4.282)
SMALL = Edition(most_values=200, intercept=-4.056)


class _Tables(NamedTuple):
    """What the effects of an edition are computed from; the leading axis of constants is that of the columns."""

    octaves: Float32[np.ndarray, "26 1"]
    """Base-2 logarithm of the number of values, divided by 2^24 and multiplied by 2^23."""
    first_multipliers: UInt32[np.ndarray, "26 1"]
    second_multipliers: UInt32[np.ndarray, "26 1"]
    buckets: Float32[np.ndarray, "26 1"]
    """Number of buckets, divided by 2^24."""
    class_multipliers: UInt32[np.ndarray, "26 1"]
    class_starts: UInt32[np.ndarray, "26 1"]
    effects: Float32[np.ndarray, "classes 4"]
    """Effect and three latent factors of each class of each column."""
    slopes: Float32[np.ndarray, "13 1"]


@dataclasses.dataclass(frozen=True)
class GeneratedRows:
    """Consecutive rows of a split, drawn when they are read. Picklable.

    Attributes:
      edition: the population.
      split: one of `SPLITS`.
      start: the first row, a multiple of `ROWS_PER_BLOCK`.
      num_rows: number of rows.
    """

    edition: Edition
    split: str
    start: int
    num_rows: int

    def __len__(self) -> int:
        return self.num_rows

    def drawn(self) -> Int32[np.ndarray, "rows 40"]:
        """All rows, in a new array."""
        rows = np.empty((self.num_rows, NUM_COLUMNS), np.int32)
        self.read(0, rows)
        return rows

    def read(self, start: int, out: Int32[np.ndarray, "rows 40"]) -> None:
        """Draws `len(out)` consecutive rows from row `start` on into `out`."""
        start += self.start
        while len(out):
            block, skipped = divmod(start, ROWS_PER_BLOCK)
            count = min(len(out), ROWS_PER_BLOCK - skipped)
            if count == ROWS_PER_BLOCK:
                draw(self.edition, self.split, block, out[:count])
            else:
                out[:count] = _kept(self.edition, self.split, block)[skipped : skipped + count]
            start, out = start + count, out[count:]


def pieces(
    edition: Edition, split: str, num_rows: int, *, rows_per_piece: int = 64 * ROWS_PER_BLOCK
) -> list[GeneratedRows]:
    """The rows of a split in pieces, which stand in for the files of the real data."""
    return [
        GeneratedRows(edition, split, start, min(rows_per_piece, num_rows - start))
        for start in range(0, num_rows, rows_per_piece)
    ]


def draw(edition: Edition, split: str, block: int, out: Int32[np.ndarray, "1024 40"]) -> None:
    """Draws a block of rows."""
    tables = _tables(edition)
    seed = [_SEED, int(VERSION), SPLITS.index(split), block]
    random = np.random.SFC64(seed).random_raw(NUM_COLUMNS // 2 * ROWS_PER_BLOCK).view(np.uint32)
    random = random.reshape(NUM_COLUMNS, ROWS_PER_BLOCK)
    chance = random[LABEL] * 2.0**-32
    uniform = (random >> 8).view(np.int32).astype(np.float32)  # multiples of 1 below 2^24
    ids = _ids(tables, uniform[CATEGORIES])
    integers = _integers(uniform[INTEGERS])
    out[:, LABEL] = chance < _sigmoid(_logits(edition, integers, ids))
    out[:, INTEGERS] = integers.T
    out[:, CATEGORIES] = ids.T


def click_probabilities(edition: Edition, rows: Int32[np.ndarray, "rows 40"]) -> Float[np.ndarray, " rows"]:
    """The true probability of a click in each row, given all the rest of it."""
    columns = np.ascontiguousarray(rows.T)
    return _sigmoid(_logits(edition, columns[INTEGERS], columns[CATEGORIES]))


def integer_logits(edition: Edition, rows: Int32[np.ndarray, "rows 40"]) -> Float32[np.ndarray, " rows"]:
    """What the integers of each row contribute to its logit."""
    return _integer_effects(_tables(edition), np.ascontiguousarray(rows.T)[INTEGERS])


@functools.lru_cache(maxsize=16)
def _kept(edition: Edition, split: str, block: int) -> Int32[np.ndarray, "1024 40"]:
    """A block that is needed piece by piece."""
    rows = np.empty((ROWS_PER_BLOCK, NUM_COLUMNS), np.int32)
    draw(edition, split, block, rows)
    rows.flags.writeable = False
    return rows


def _ids(tables: _Tables, uniform: Float32[np.ndarray, "26 rows"]) -> Int32[np.ndarray, "26 rows"]:
    """Draws values by Zipf's law, 1 to the number of values, and hashes them to buckets."""
    value = _powers_of_two(uniform * tables.octaves).view(np.uint32)
    value *= tables.first_multipliers
    value ^= value >> 15
    value *= tables.second_multipliers
    value ^= value >> 16
    value >>= 8
    share = value.view(np.int32).astype(np.float32)
    share *= tables.buckets  # below the number of buckets, and rounded to float32
    return share.astype(np.int32)


def _integers(uniform: Float32[np.ndarray, "13 rows"]) -> Int32[np.ndarray, "13 rows"]:
    """Draws integers by Zipf's law, some of them 0."""
    below = _LARGEST_INTEGERS * _ZEROS / (1 - _ZEROS)
    integers = _powers_of_two(uniform * ((_LARGEST_INTEGERS + below) / 2) - below * (1 << _MANTISSA))
    negative = integers[_NEGATIVE_COLUMN]
    negative[negative == 0] = -2
    return integers


def _powers_of_two(exponents: Float32[np.ndarray, "..."]) -> Int32[np.ndarray, "..."]:
    """2^(x / 2^23), rounded down; linear between powers of two."""
    bits = exponents.astype(np.int32)
    bits += _ONE
    return bits.view(np.float32).astype(np.int32)


def _logarithms(integers: Int32[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
    """The base-2 logarithm of max(x, 0) + 1; linear between powers of two."""
    values = np.maximum(integers, 0).astype(np.float32)
    values += 1
    bits = values.view(np.int32)
    bits -= _ONE
    return bits.astype(np.float32) * np.float32(2.0**-_MANTISSA)


def _logits(
    edition: Edition, integers: Int32[np.ndarray, "13 rows"], ids: Int32[np.ndarray, "26 rows"]
) -> Float32[np.ndarray, " rows"]:
    tables = _tables(edition)
    number = ids.view(np.uint32) * tables.class_multipliers
    number >>= 32 - _CLASSES_LOG2
    number += tables.class_starts
    # A class is one element of 16 bytes, which is several times as fast as a row of four.
    gathered = tables.effects.view(np.complex128)[:, 0].take(number.view(np.int32))
    total = gathered.view(np.float32).reshape(*number.shape, 4).sum(0)
    pairs = (total[:, 1:] * total[:, 1:]).sum(1) / 2
    return total[:, 0] + pairs + _integer_effects(tables, integers) + np.float32(edition.intercept)


def _integer_effects(tables: _Tables, integers: Int32[np.ndarray, "13 rows"]) -> Float32[np.ndarray, " rows"]:
    return ((_logarithms(integers) - _LARGEST_INTEGERS / 2) * tables.slopes).sum(0)


def _sigmoid(logits: Float32[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


@functools.cache
def _tables(edition: Edition) -> _Tables:
    rng = np.random.Generator(np.random.Philox(key=[_SEED, int(VERSION)]))

    def column(values: Sequence[float] | np.ndarray, dtype: type) -> np.ndarray:
        return np.asarray(values).astype(dtype)[:, None]

    def odd() -> np.ndarray:
        return column(rng.integers(1 << 31, size=NUM_CATEGORIES) * 2 + 1, np.uint32)

    sizes = np.array(COLUMN_SIZES)
    num_values = np.minimum(sizes, edition.most_values)
    strength = rng.permutation(np.geomspace(1, _WEAKEST, NUM_CATEGORIES))[:, None, None]
    effects = rng.normal(size=(NUM_CATEGORIES, _CLASSES, 4)) * strength * _SPREADS
    # Only pairs of different columns interact.
    effects[..., 0] -= (effects[..., 1:] ** 2).sum(-1) / 2
    slopes = rng.normal(size=NUM_INTEGERS) / _LARGEST_INTEGERS[:, 0]
    return _Tables(
        _logarithms(num_values.astype(np.int32))[:, None] / 2,
        odd(),
        odd(),
        column(sizes / 2**24, np.float32),
        odd(),
        column(np.arange(NUM_CATEGORIES) * _CLASSES, np.uint32),
        np.ascontiguousarray(effects.reshape(-1, 4), np.float32),
        column(slopes, np.float32),
    )
