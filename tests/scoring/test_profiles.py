"""Ratios, profiles and scores by hand."""

import numpy as np
import pandas as pd
import pytest

from scoring import ScoringError, profiles

INF, NAN = np.inf, np.nan


def table(alpha: list[float], beta: list[float]) -> pd.DataFrame:
    index = pd.Index(["fast", "slow", "lost"][: len(alpha)], name="submission")
    return pd.DataFrame({"alpha": alpha, "beta": beta}, index=index)


def test_ratios_to_the_best_and_to_a_reference() -> None:
    times = table([110.0, 220.0, INF], [INF, INF, NAN])
    np.testing.assert_array_equal(profiles.performance_ratios(times), [[1.0, INF], [2.0, INF], [INF, NAN]])
    np.testing.assert_array_equal(profiles.performance_ratios(times, "slow"), [[0.5, INF], [1.0, INF], [INF, NAN]])
    with pytest.raises(ScoringError, match="no submission 'nobody'"):
        profiles.performance_ratios(times, "nobody")


def test_the_profile_counts_workloads_within_each_ratio() -> None:
    profile = profiles.performance_profile(table([1.0, 2.0, INF], [1.0, 2.5, NAN]), np.array([1.0, 2.0, 2.5, 4.0]))
    assert profile.to_numpy().tolist() == [[1.0, 1.0, 1.0, 1.0], [0.0, 0.5, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]]


@pytest.mark.parametrize(
    ("ratio", "index", "exact"),
    # The index of the first point of the grid not below the ratio; half a step before it belongs to it.
    [(1.0, 0, 1.0), (1.2, 7, 2.8 / 3), (2.0, 33, 2 / 3), (3.0, 66, 1 / 3), (4.0, 99, 0.0), (INF, None, 0.0)],
)
def test_scores_of_one_ratio(ratio: float, index: int | None, exact: float) -> None:
    ratios = pd.DataFrame({"alpha": [ratio]}, index=pd.Index(["s"], name="submission"))
    profile = profiles.performance_profile(ratios, profiles.ratio_grid())
    expected = 0.0 if index is None else 1.0 if index == 0 else (99 - index + 0.5) / 99
    assert profiles.grid_scores(profile).tolist() == pytest.approx([expected], abs=1e-12)
    assert profiles.exact_scores(ratios).tolist() == pytest.approx([exact], abs=1e-12)


def test_the_exact_integral_is_the_limit_of_fine_grids() -> None:
    ratios = table([1.0, 2.2], [1.7, 3.9])
    fine = profiles.performance_profile(ratios, profiles.ratio_grid(points=300_001))
    np.testing.assert_allclose(profiles.grid_scores(fine), profiles.exact_scores(ratios), atol=1e-5)


def test_never_read_counts_as_a_miss_and_below_one_as_one() -> None:
    ratios = table([1.0, 0.5], [NAN, INF])
    assert profiles.exact_scores(ratios).tolist() == [0.5, 0.5]
    profile = profiles.performance_profile(ratios, profiles.ratio_grid())
    assert profiles.grid_scores(profile).to_numpy() == pytest.approx([0.5, 0.5])


def test_logarithmic_profiles() -> None:
    ratios = table([1.0, 2.0], [1.0, 4.0])
    grid = profiles.ratio_grid(points=100_001, scale="log")
    found = profiles.grid_scores(profiles.performance_profile(ratios, grid), scale="log")
    assert found.to_numpy() == pytest.approx([1.0, 0.25], abs=1e-4)


def test_a_profile_without_width_has_no_score() -> None:
    ratios = table([1.0], [1.0])
    grid = profiles.ratio_grid(profiles.largest_ratio(ratios))
    assert np.isnan(profiles.grid_scores(profiles.performance_profile(ratios, grid))["fast"])
    assert profiles.largest_ratio(table([1.0, 3.0], [INF, NAN])) == 3.0


def test_speedups_by_hand() -> None:
    times = table([50.0, 100.0, 200.0], [80.0, INF, NAN])
    factors, means = profiles.speedups(times, "slow", {"alpha": 500.0, "beta": 319.0})
    np.testing.assert_allclose(factors, [[2.0, 4.0], [1.0, 1.0], [0.5, NAN]])
    np.testing.assert_allclose(means.loc["fast"], [8**0.5, 3.0, 8 / 3])
    assert means.loc["lost"].isna().tolist() == [True] * 3
    with pytest.raises(ScoringError, match="no submission 'nobody'"):
        profiles.speedups(times, "nobody", {})
