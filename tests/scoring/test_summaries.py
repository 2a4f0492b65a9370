"""Runs that ended early, and whether logs are complete."""

import pathlib
from collections.abc import Callable

import pytest

import scoring
from scoring.summaries import ended_early, require_complete, trial_summaries
from tests.scoring import golden_tables
from tests.scoring.log_trees import targets, write_hit, write_trial


def test_runs_that_ended_early(tmp_path: pathlib.Path) -> None:
    budget = 100.0
    steady = [(10.0 * number, 9.0) for number in range(1, 11)]
    for number, rows in enumerate(
        (
            steady,  # spent its budget
            steady[:7],  # three evaluation periods left, no more
            steady[:6],  # four
            [*steady[:5], (55.0, 0.4)],  # reached the target
            [(60.0, 9.0)],  # only one evaluation
        ),
        1,
    ):
        write_trial(tmp_path, f"s/study_0/alpha_jax/trial_{number}", rows)
    logs = scoring.load(tmp_path, targets(budget_sec=budget))
    assert ended_early(logs).tolist() == [False, False, True, False, True]
    scores = scoring.score(logs)
    noted = scores.findings[scores.findings["reason"].str.startswith("ended early")]
    assert [path[-7:] for path in noted["path"]] == ["trial_3", "trial_5"]
    assert scores.validity["ended_early"].tolist() == [2]
    assert trial_summaries(logs)["ended_early"].tolist() == ended_early(logs).tolist()
    assert not ended_early(scoring.load(tmp_path, targets())).any(), "without a budget nothing is early"


def test_strict_scoring_names_the_first_gap(tmp_path: pathlib.Path) -> None:
    judged_by = targets(studies=2, trials=2)
    for study in range(2):
        for trial in (1, 2):
            write_hit(tmp_path, f"s/study_{study}/alpha_jax/trial_{trial}", 10.0)
    require_complete(scoring.load(tmp_path, judged_by))
    (tmp_path / "s/study_1/alpha_jax/trial_2/eval_measurements.csv").unlink()
    with pytest.raises(scoring.ScoringError, match=r"s has 2 of 2 studies of alpha, with 1 to 2 of 2 trials"):
        require_complete(scoring.load(tmp_path, judged_by))


@pytest.mark.parametrize("log_set", golden_tables.LOG_SETS)
def test_of_the_published_logs_one_set_is_complete(published: Callable[[str], scoring.Logs], log_set: str) -> None:
    logs = published(log_set)
    if log_set == "v06_self_tuning":
        require_complete(logs)
    else:
        with pytest.raises(scoring.ScoringError, match="logs are not complete"):
            require_complete(logs)
