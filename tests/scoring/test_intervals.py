"""The ends of intervals, and what each method draws."""

import math

import numpy as np
import pytest
import scipy.stats

from scoring import intervals
from scoring.intervals import METHODS, Studies
from scoring.resampling import bootstrap
from tests.scoring.log_tables_by_hand import logs_of
from tests.scoring.log_trees import targets

INF = math.inf


def studies(*times: float) -> Studies:
    return Studies(np.array(times)[:, None], np.ones(len(times), dtype=int))


def test_percentile_and_basic_ends() -> None:
    drawn = np.linspace(0.0, 1.0, 101)[:, None]
    read = np.array([0.6])
    for method in ("percentile", "hierarchical", "parametric"):
        low, high = intervals.ends(method, drawn, read, 0.9, (0.0, 1.0))
        assert [low[0], high[0]] == pytest.approx([0.05, 0.95])
    low, high = intervals.ends("basic", drawn, read, 0.9, (0.0, 1.0))
    # 1.2 - 0.95, and 1.2 - 0.05, which no score reaches.
    assert [low[0], high[0]] == pytest.approx([0.25, 1.0])


def test_bca_ends_are_those_of_scipy() -> None:
    sample = np.random.default_rng(0).exponential(size=20)
    expected = scipy.stats.bootstrap((sample,), np.mean, n_resamples=999, method="BCa", rng=np.random.default_rng(1))
    left_out = np.array([[np.delete(sample, place).mean()] for place in range(20)])
    acceleration = intervals.acceleration(left_out, np.zeros(20, dtype=int))
    drawn = expected.bootstrap_distribution[:, None]
    low, high = intervals.ends("bca", drawn, np.array([sample.mean()]), 0.95, (0.0, INF), acceleration)
    assert [low[0], high[0]] == pytest.approx(list(expected.confidence_interval), rel=1e-9)


def test_studies_are_left_out_one_at_a_time() -> None:
    cells = {("a", "w"): studies(1.0, 2.0, 4.0), ("b", "w"): studies(5.0)}
    tables, of_cell = intervals.medians_without_one(cells, ["a", "b"], ["w"])
    assert tables[:, :, 0].tolist() == [[3.0, 5.0], [2.5, 5.0], [1.5, 5.0]]
    assert of_cell.tolist() == [0, 0, 0]
    assert intervals.acceleration(np.ones((3, 2)), of_cell).tolist() == [0.0, 0.0]


def test_parametric_draws_have_the_pooled_spread_and_the_rates_of_hits() -> None:
    spread = 0.2
    cells = {
        ("a", "w"): studies(*(100.0 * np.exp([-spread, spread]))),
        ("b", "w"): studies(100.0, 100.0, 100.0),
        ("c", "w"): studies(INF),
    }
    draws = 20_000
    found = intervals.drawn_medians(cells, ["a", "b", "c"], ["v", "w"], method="parametric", draws=draws, seed=0)
    assert np.isnan(found[:, :, 0]).all()
    # The squares add up to 2 * 0.2^2 with three degrees of freedom.
    pooled = spread * math.sqrt(2 / 3)
    single = np.log(found[:, 2, 1])
    hits = np.isfinite(single)
    assert single[hits].std() == pytest.approx(pooled, rel=0.03)
    assert single[hits].mean() == pytest.approx(math.log(100.0), abs=0.01)
    # Half a hit among one more study than was read; for the others, both or at least two studies have to hit.
    rates = [(2.5 / 3) ** 2, 3 * 0.875**2 * 0.125 + 0.875**3, 0.25]
    assert np.isfinite(found[:, :, 1]).mean(axis=0) == pytest.approx(rates, abs=4 * math.sqrt(0.25 / draws))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_intervals_and_is_named(method: str) -> None:
    generator = np.random.default_rng(3)
    names = [(submission, workload) for submission in "abc" for workload in ("alpha", "alpha_var", "beta")]
    times = {name: 100.0 * np.exp(0.5 * generator.standard_normal((4, 3))) for name in names}
    found = bootstrap(
        logs_of(times, targets(["alpha", "beta"], ["alpha_var"], budget_sec=200.0)), interval=method, resamples=100
    )
    table = found.intervals
    assert found.method == method
    assert set(table["method"]) == {method}
    for name, least, most in (("score", 0.0, 1.0), ("exact_score", 0.0, 1.0), ("rank", 1, 3)):
        low, high = (table[f"{name}_{end}"].to_numpy() for end in ("low", "high"))
        assert ((least <= low) & (low <= high) & (high <= most)).all()
    assert (table["score_low"].to_numpy() < table["score_high"].to_numpy()).any()


def test_one_study_is_not_certain_by_default() -> None:
    logs = logs_of({("a", "alpha"): [[100.0]], ("b", "alpha"): [[105.0]]}, targets())
    table = bootstrap(logs, resamples=200).intervals
    assert table["rank_low"].tolist() == [1, 1]
    assert table["rank_high"].tolist() == [2, 2]
