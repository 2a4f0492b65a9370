"""The logs of 2026, on 4 A100s, give every digit of the published analysis."""

import os
import pathlib
import tarfile
from collections.abc import Callable

import pandas as pd
import pytest

import scoring
from scoring import comparisons, summaries, times, usage
from tests.scoring.golden_tables import SCORE_TOLERANCE, assert_close, read_table

Published = Callable[[str], scoring.Logs]
LOG_SET = "v06_a100_self_tuning"
both_rules = pytest.mark.parametrize("rule", times.RULES)


@both_rules
def test_scores_times_and_profiles_of_all_sixteen(published: Published, rule: str) -> None:
    scores = scoring.score(published(LOG_SET), rule=rule)
    expected = read_table(f"{LOG_SET}/scores.csv")
    assert len(expected) == 16
    assert_close(scores.leaderboard.set_index("submission"), expected, SCORE_TOLERANCE)
    assert_close(scores.times, read_table(f"{LOG_SET}/time_to_targets.csv"))
    profile = read_table(f"{LOG_SET}/performance_profile_score.csv")
    assert [str(ratio) for ratio in scores.profile.columns] == list(profile.columns)
    assert (scores.profile.sort_index().to_numpy() == profile.sort_index().to_numpy()).all()


@both_rules
def test_the_leaderboard_by_steps(published: Published, rule: str) -> None:
    found = comparisons.by_steps_and_time(published(LOG_SET), rule=rule).set_index("submission")
    expected = read_table(f"{LOG_SET}/leaderboard_by_steps_and_time.csv")
    assert found.index.tolist() == expected.index.tolist()
    found = found.rename(columns={"score_by_time": "score_by_wallclock", "rank_by_time": "rank_by_wallclock"})
    assert_close(found, expected, SCORE_TOLERANCE)


def test_step_times(published: Published) -> None:
    found = summaries.step_times(published(LOG_SET)).unstack("workload")
    assert_close(found, read_table(f"{LOG_SET}/step_time.csv"))


def test_shares_of_evaluation(published: Published) -> None:
    table = usage.usage(published(LOG_SET))
    found = table.pivot_table(index="submission", columns="workload", values="median_evaluation_share", dropna=False)
    assert_close(pd.DataFrame(found.drop(columns="all")), read_table(f"{LOG_SET}/eval_share.csv"))


def test_meta_data_of_the_reference_says_its_edition_by_the_budget(tmp_path: pathlib.Path) -> None:
    if "ALGOPERF_TEST_DATA" not in os.environ:
        pytest.skip("ALGOPERF_TEST_DATA, the folder with the published logs, is not set")
    archive = pathlib.Path(os.environ["ALGOPERF_TEST_DATA"]) / "leaderboard_logs/format_samples.tar.xz"
    with tarfile.open(archive) as file:
        file.extractall(tmp_path, filter="data")
    (logs,) = tmp_path.rglob("external_tuning")
    assert len(scoring.load(logs, "v0.6").trials) == 2
    with pytest.raises(scoring.ScoringError, match=r"is of the edition v0\.6, not of v0\.6-a100; score it with"):
        scoring.load(logs, "v0.6-a100")
