import functools
import pickle
import zlib

import numpy as np
import pytest

from algoperf_jax.workload import Facts
from workloads.criteo1tb import builtin, schema
from workloads.criteo1tb.builtin import ROWS_PER_BLOCK, Edition, GeneratedRows

EDITIONS = {"full": (builtin.FULL, builtin.FACTS), "small": (builtin.SMALL, builtin.SMALL_FACTS)}
COUNT = 200 * ROWS_PER_BLOCK


@functools.cache
def drawn(edition: Edition, split: str = "train", count: int = COUNT) -> np.ndarray:
    rows = np.empty((count, schema.NUM_COLUMNS), np.int32)
    GeneratedRows(edition, split, 0, count).read(0, rows)
    rows.flags.writeable = False
    return rows


def log_loss(probability: np.ndarray, predicted: np.ndarray) -> float:
    """The expected log loss of predictions, given the true probabilities."""
    return -float((probability * np.log(predicted) + (1 - probability) * np.log1p(-predicted)).mean())


@pytest.mark.parametrize(("name", "digest"), [("full", 1818095923), ("small", 3551775938)])
def test_rows_are_those_of_this_version(name: str, digest: int) -> None:
    """If this fails because the rows were changed, change `VERSION`, and record the new checksum."""
    rows = drawn(EDITIONS[name][0], count=ROWS_PER_BLOCK)
    assert zlib.crc32(rows.astype("<i4").tobytes()) == digest


@pytest.mark.parametrize(
    ("start", "count"), [(0, 2 * ROWS_PER_BLOCK), (ROWS_PER_BLOCK - 3, ROWS_PER_BLOCK + 9), (5, 1)]
)
def test_any_range_is_the_same(start: int, count: int) -> None:
    whole = GeneratedRows(builtin.SMALL, "train", ROWS_PER_BLOCK, 5 * ROWS_PER_BLOCK)
    rows = np.empty((count, schema.NUM_COLUMNS), np.int32)
    pickle.loads(pickle.dumps(whole)).read(start, rows)
    np.testing.assert_array_equal(rows, drawn(builtin.SMALL)[ROWS_PER_BLOCK + start :][:count])


def test_pieces_make_up_the_split() -> None:
    pieces = builtin.pieces(builtin.SMALL, "train", COUNT + 10)
    assert sum(len(piece) for piece in pieces) == COUNT + 10
    last = pieces[-1]
    rows = np.empty((len(last), schema.NUM_COLUMNS), np.int32)
    last.read(0, rows)
    np.testing.assert_array_equal(rows, drawn(builtin.SMALL, count=COUNT + 10)[-len(last) :])


@pytest.mark.parametrize("name", EDITIONS)
def test_splits_and_blocks_differ(name: str) -> None:
    parts = [drawn(EDITIONS[name][0], split, 2 * ROWS_PER_BLOCK) for split in builtin.SPLITS]
    rows = np.concatenate(parts)
    assert len(np.unique(rows, axis=0)) > 0.999 * len(rows)


@pytest.mark.parametrize("name", EDITIONS)
def test_rows_have_the_true_schema(name: str) -> None:
    rows = drawn(EDITIONS[name][0])
    assert set(np.unique(rows[:, schema.LABEL])) == {0, 1}
    ids = rows[:, schema.CATEGORIES]
    assert ids.min() >= 0
    assert (ids.max(0) < schema.COLUMN_SIZES).all()
    np.testing.assert_array_equal(ids.astype(np.float32).astype(np.int64), ids)
    integers = rows[:, schema.INTEGERS]
    assert integers.min() == -2
    assert ((integers == 0).mean(0) > 0.005).sum() == schema.NUM_INTEGERS - 1
    # Heavy tails: the largest are hundreds of times the median.
    assert (integers.max(0) > 100 * np.maximum(np.median(integers, 0), 1)).sum() > 5


def test_categories_follow_the_law_of_zipf() -> None:
    """Each octave of ranks has the same share of the rows, so the most frequent of n values has 1 / log2(n + 1)."""
    rows = drawn(builtin.FULL)
    for column in (0, 1, 10):
        counts = np.sort(np.unique(rows[:, schema.CATEGORIES][:, column], return_counts=True)[1])[::-1]
        octave = COUNT / np.log2(schema.COLUMN_SIZES[column] + 1)
        np.testing.assert_allclose(counts[0], octave, rtol=0.1)
        np.testing.assert_allclose(counts[15:31].sum(), octave, rtol=0.1)
    # Most values of the largest columns are seen once, as in the real data.
    assert len(np.unique(rows[:, schema.CATEGORIES][:, 0])) > 0.2 * COUNT


def test_columns_of_the_small_edition_have_few_values() -> None:
    ids = drawn(builtin.SMALL)[:, schema.CATEGORIES]
    sizes = [len(np.unique(column)) for column in ids.T]
    assert max(sizes) <= builtin.SMALL.most_values
    assert sum(sizes) > 3_000


@pytest.mark.parametrize("name", EDITIONS)
def test_ids_and_integers_tell_who_clicks(name: str) -> None:
    edition, facts = EDITIONS[name]
    rows = drawn(edition)
    clicked, probability = rows[:, schema.LABEL], builtin.click_probabilities(edition, rows)
    np.testing.assert_allclose(clicked.mean(), probability.mean(), atol=0.001)
    np.testing.assert_allclose(probability.mean(), 0.029, atol=0.001)
    # Where the true probability is high, so is the share of clicks.
    likely = probability > np.quantile(probability, 0.99)
    np.testing.assert_allclose(clicked[likely].mean(), probability[likely].mean(), atol=0.03)

    prior = log_loss(probability, np.full(COUNT, probability.mean()))
    true = log_loss(probability, probability)
    by_integers = log_loss(probability, _by_quantile(builtin.integer_logits(edition, rows), probability))
    np.testing.assert_allclose([prior, by_integers, true], [0.131, 0.125, 0.096], atol=0.002)
    assert true + 0.005 < _target(facts) < by_integers - 0.001


def _by_quantile(values: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """The best prediction that knows only one value of each row: the mean probability of those with a similar value."""
    group = np.digitize(values, np.quantile(values, np.linspace(0, 1, 201)[1:-1]))
    return (np.bincount(group, probability) / np.bincount(group))[group]


def _target(facts: Facts) -> float:
    assert facts.goal.validation is not None
    assert (facts.goal.metric, facts.goal.direction) == ("loss", "minimize")
    assert facts.goal.test == facts.goal.validation
    return facts.goal.validation
