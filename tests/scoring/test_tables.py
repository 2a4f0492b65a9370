"""From times to scores, only on tables."""

import pytest

from scoring import profiles, times
from scoring.targets import read_targets
from tests.scoring.golden_tables import LOG_SETS, SCORE_TOLERANCE, assert_close, read_table


@pytest.mark.parametrize("rule", ["min_time_rule", "index_rule_sorted_order"])
@pytest.mark.parametrize("log_set", LOG_SETS)
def test_times_become_scores(log_set: str, rule: str) -> None:
    folder = f"{log_set}/tables/{rule}"
    targets = read_targets(f"v0.{log_set[2]}")
    counted = times.counted_times(read_table(f"{folder}/time_to_target_raw.csv"), targets)
    assert_close(counted, read_table(f"{folder}/time_to_target_after_rules.csv"))
    ratios = profiles.performance_ratios(counted)
    assert_close(ratios, read_table(f"{folder}/performance_ratio.csv"))
    profile = profiles.performance_profile(ratios, profiles.ratio_grid())
    assert (profile.to_numpy() == read_table(f"{folder}/performance_profile.csv").to_numpy()).all()
    expected = read_table(f"{folder}/scores.csv")
    found = expected.assign(
        grid_trapezoid_score=profiles.grid_scores(profile), exact_integral_score=profiles.exact_scores(ratios)
    )
    assert_close(found, expected, SCORE_TOLERANCE)
