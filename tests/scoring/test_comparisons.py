"""Speedups, contributions of workloads, and scores without one of them."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import scoring
from scoring.comparisons import contributions, leave_one_out, speedup_table
from tests.scoring.golden_tables import LOG_SETS, SCORE_TOLERANCE, assert_close, read_table
from tests.scoring.log_tables_by_hand import logs_of
from tests.scoring.log_trees import targets
from tests.scoring.test_published import scored

INF, NAN = math.inf, math.nan
Published = Callable[[str], scoring.Logs]


@pytest.fixture
def logs() -> scoring.Logs:
    times = {
        ("fast", "alpha"): [[100.0]],
        ("fast", "beta"): [[INF]],
        ("slow", "alpha"): [[200.0]],
        ("slow", "beta"): [[100.0]],
        ("part", "alpha"): [[250.0]],
    }
    return logs_of(times, targets(["alpha", "beta"], budget_sec=399.0))


def test_speedups_by_hand(logs: scoring.Logs) -> None:
    found = speedup_table(logs, scoring.score(logs), "slow")
    table = found.workloads.set_index(["submission", "workload"])
    expected = {
        ("fast", "alpha"): [100.0, 200.0, 399.0, 2.0],
        ("fast", "beta"): [INF, 100.0, 399.0, 0.25],
        ("part", "alpha"): [250.0, 200.0, 399.0, 0.8],
        ("part", "beta"): [NAN, 100.0, 399.0, NAN],
        ("slow", "alpha"): [200.0, 200.0, 399.0, 1.0],
        ("slow", "beta"): [100.0, 100.0, 399.0, 1.0],
    }
    assert list(table.columns) == ["time_sec", "baseline_time_sec", "budget_sec", "speedup"]
    for key, row in expected.items():
        assert table.loc[key].tolist() == pytest.approx(row, nan_ok=True)
    means = found.means.set_index("submission")
    assert list(means.index) == ["slow", "fast", "part"]
    assert means["workloads"].tolist() == [2, 2, 1]
    assert means.loc["fast"].tolist()[1:] == pytest.approx([0.5**0.5, 1.125, 2 / 4.5, 100 * (1 - 2**0.5)])
    assert means.loc["part"].isna().tolist() == [False, True, True, True, True]


def test_a_self_tuning_miss_counts_as_the_longer_budget() -> None:
    times = {("a", "alpha"): [[INF]], ("b", "alpha"): [[100.0]]}
    logs = logs_of(times, targets(budget_sec=266.0), ruleset="self")
    table = speedup_table(logs, scoring.score(logs), "b").workloads
    assert table["budget_sec"].tolist() == [399.0, 399.0]
    assert table["speedup"].tolist() == [0.25, 1.0]


def test_without_a_budget_a_miss_has_no_speedup() -> None:
    times = {("a", "alpha"): [[INF]], ("b", "alpha"): [[100.0]], ("c", "alpha"): [[INF]], ("d", "alpha"): [[50.0]]}
    logs = logs_of(times, targets())
    found = {
        baseline: speedup_table(logs, scoring.score(logs), baseline).workloads["speedup"].tolist() for baseline in "ab"
    }
    assert found["a"] == pytest.approx([NAN] * 4, nan_ok=True)
    assert found["b"] == pytest.approx([NAN, 1.0, NAN, 2.0], nan_ok=True)


def test_speedups_that_cannot_be_computed(logs: scoring.Logs) -> None:
    with pytest.raises(scoring.ScoringError, match="no submission 'baseline' in the logs; there are fast, part, slow"):
        speedup_table(logs, scoring.score(logs))
    with pytest.raises(scoring.ScoringError, match="the scores are in steps"):
        speedup_table(logs, scoring.score(logs, unit="steps"), "slow")


@pytest.mark.parametrize("log_set", ["v05_external_tuning", "v05_self_tuning"])
def test_published_speedups(published: Published, log_set: str) -> None:
    logs = published(log_set)
    expected = read_table(f"{log_set}/speedups_vs_baseline.csv")
    found = speedup_table(logs, scored(logs, log_set, "index_rule_listing_order"))
    means = found.means.set_index("submission").drop("baseline")
    columns = {
        "geomean_speedup(documented: ref/submission)": "geometric_mean",
        "arithmetic_mean_speedup": "arithmetic_mean",
        "harmonic_mean_speedup": "harmonic_mean",
        "official_percent_faster": "percent_faster",
    }
    expected = expected[list(columns)].rename(columns=columns)
    # A percentage is the small difference of two numbers near 1.
    assert_close(means[["percent_faster"]], expected[["percent_faster"]], 1e-10)
    assert_close(means[list(columns.values())[:3]], expected[list(columns.values())[:3]])


def test_v06_speedups_use_their_own_budgets(published: Published) -> None:
    logs = published("v06_external_tuning")
    means: Any = speedup_table(logs, scoring.score(logs, rule="official")).means.set_index("submission")
    assert 1.0 / means.loc["shampoo", "geometric_mean"] == pytest.approx(0.846915, abs=5e-7)


@pytest.mark.parametrize("arguments", [{}, {"scale": "log"}, {"max_ratio": 2.0, "points": 7}, {"rule": "official"}])
@pytest.mark.parametrize("log_set", LOG_SETS)
def test_contributions_add_up_to_the_score(published: Published, log_set: str, arguments: dict) -> None:
    scores = scoring.score(published(log_set), **arguments)
    table = contributions(scores)
    order = scores.leaderboard["submission"].tolist()
    assert table["submission"].drop_duplicates().tolist() == order
    sums = pd.DataFrame(table.groupby("submission").sum(numeric_only=True)).loc[order]
    for name, score in (("", "score"), ("exact_", "exact_score")):
        expected = scores.leaderboard[score].to_numpy()
        np.testing.assert_allclose(sums[f"{name}contribution"], expected, atol=SCORE_TOLERANCE)
        np.testing.assert_allclose(sums[f"{name}share"], np.where(expected > 0.0, 1.0, 0.0), atol=SCORE_TOLERANCE)


def test_contributions_by_hand(logs: scoring.Logs) -> None:
    table = contributions(scoring.score(logs)).set_index(["submission", "workload"])
    assert table.loc[("slow", "alpha"), "ratio"] == 2.0
    assert table.loc[("slow", "alpha")].tolist()[1:] == pytest.approx(
        [66.5 / 99 / 2, 66.5 / 165.5, 1 / 3, 2 / 5], abs=SCORE_TOLERANCE
    )
    assert table.loc[("slow", "beta"), "contribution"] == 0.5
    assert table.loc[("fast", "beta")].tolist() == [INF, 0.0, 0.0, 0.0, 0.0]
    assert table.loc[("part", "beta"), ["contribution", "exact_contribution"]].tolist() == [0.0, 0.0]


def test_a_score_of_nothing_has_no_shares() -> None:
    logs = logs_of({("a", "alpha"): [[INF]]}, targets())
    table = contributions(scoring.score(logs))
    assert table[["contribution", "exact_contribution"]].to_numpy().tolist() == [[0.0, 0.0]]
    assert table[["share", "exact_share"]].isna().to_numpy().all()


def test_leaving_one_out_by_hand(logs: scoring.Logs) -> None:
    found = leave_one_out(scoring.score(logs))
    table = found.scores.set_index(["left_out", "submission"])
    # With all: slow 0.84, fast 0.5, part 0.25.
    assert table["rank"].to_dict() == {
        ("alpha", "slow"): 1,
        ("alpha", "fast"): 2,
        ("alpha", "part"): 2,
        ("beta", "slow"): 2,
        ("beta", "fast"): 1,
        ("beta", "part"): 3,
    }
    assert table["rank_change"].tolist() == [0, 0, -1, 1, -1, 0]
    assert table.loc[("beta", "slow"), "score"] == pytest.approx(66.5 / 99, abs=SCORE_TOLERANCE)
    assert table.loc[("beta", "slow"), "exact_score"] == pytest.approx(2 / 3, abs=SCORE_TOLERANCE)
    assert table.loc[("alpha", "fast"), "score_change"] == -0.5
    assert found.changes.set_index("left_out")["ranks_changed"].to_dict() == {"alpha": 1, "beta": 2}
    assert found.changes["largest_score_change"].tolist() == [0.5, 0.5]


def test_leaving_one_out_is_scoring_without_it(published: Published) -> None:
    logs = published("v05_external_tuning")
    whole = logs.targets
    table = leave_one_out(scoring.score(logs)).scores
    for name in whole.base_workloads:
        base = tuple(other for other in whole.base_workloads if other != name)
        held_out = tuple(variant for variant in whole.held_out_workloads if whole.base_of(variant) != name)
        fewer = dataclasses.replace(whole, base_workloads=base, held_out_workloads=held_out)
        expected = scoring.score(dataclasses.replace(logs, targets=fewer)).leaderboard.set_index("submission")
        found = table[table["left_out"] == name].set_index("submission")[["score", "exact_score"]]
        assert_close(found, expected, SCORE_TOLERANCE)


def test_with_one_workload_there_is_nothing_to_leave_out() -> None:
    found = leave_one_out(scoring.score(logs_of({("a", "alpha"): [[1.0]]}, targets())))
    assert (len(found.scores), len(found.changes)) == (0, 0)
    assert list(found.changes.columns) == ["left_out", "ranks_changed", "largest_score_change"]
    assert {"left_out", "submission", "score", "rank"} < set(found.scores.columns)
