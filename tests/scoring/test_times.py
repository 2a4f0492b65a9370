"""Times to target by hand: trials, studies, submissions, and the rules on the table."""

import pathlib

import numpy as np
import pandas as pd
import pytest

import scoring
from scoring import times
from scoring.targets import Targets
from tests.scoring.log_trees import targets, write_hit, write_trial

INF, NAN = np.inf, np.nan


def table(**columns: list[float]) -> pd.DataFrame:
    rows = len(next(iter(columns.values())))
    return pd.DataFrame(columns, index=pd.Index([f"s{number}" for number in range(rows)], name="submission"))


def counted(version: Targets, **columns: list[float]) -> dict[str, list[float]]:
    return times.counted_times(table(**columns), version).to_dict("list")


def test_the_first_evaluation_that_reaches_the_target_counts(tmp_path: pathlib.Path) -> None:
    write_trial(
        tmp_path, "s/study_0/alpha_jax/trial_1", [(1.0, 9.0), (20.0, NAN), (30.0, 0.5), (40.0, 0.9), (50.0, 0.1)]
    )
    hits = times.first_hits(scoring.load(tmp_path, targets()))
    assert hits[["hit_row", "hit_time_sec", "hit_step"]].to_numpy().tolist() == [[2.0, 30.0, 21.0]]


def test_the_fastest_trial_and_the_earliest_row(tmp_path: pathlib.Path) -> None:
    write_trial(tmp_path, "s/study_0/alpha_jax/trial_1", [(1.0, 9.0), (300.0, 0.4)])
    write_trial(tmp_path, "s/study_0/alpha_jax/trial_2", [(1.0, 9.0), (100.0, 9.0), (150.0, 0.4)])
    logs = scoring.load(tmp_path, targets())
    chosen = {}
    for rule in times.RULES:
        study = times.study_times(logs, rule=rule).iloc[0]
        chosen[rule] = [study["chosen_trial"], study["chosen_eval_row"], study["value"]]
    assert chosen == {"documented": ["trial_2", 2, 150.0], "official": ["trial_1", 1, 300.0]}
    assert times.study_times(logs, unit="steps")["value"].tolist() == [11.0]


def test_a_hit_after_the_budget_is_a_miss_by_the_documented_rule_only(tmp_path: pathlib.Path) -> None:
    write_hit(tmp_path, "s/study_0/alpha_jax/trial_1", 120.0)
    version = targets(budget_sec=100.0)
    found = {}
    for ruleset in ("external", "self"):
        logs = scoring.load(tmp_path, version, ruleset=ruleset)
        found[ruleset] = [scoring.score(logs, rule=rule).times.loc["s", "alpha"] for rule in times.RULES]
        late = scoring.score(logs).findings["reason"].tolist()
        assert ("reaches the target after the budget: a miss" in late) == (ruleset == "external")
    assert found == {"external": [INF, 120.0], "self": [120.0, 120.0]}


def test_medians_over_studies(tmp_path: pathlib.Path) -> None:
    studies = {"odd": [1.0, 2.0, INF], "even": [1.0, 4.0], "missed": [1.0, INF], "late": [1.0, INF, INF]}
    rows = [(name, "alpha", f"study_{k}", value) for name, values in studies.items() for k, value in enumerate(values)]
    found = times.medians(pd.DataFrame(rows, columns=["submission", "workload", "study", "value"]))
    assert found["alpha"].to_dict() == {"odd": 2.0, "even": 2.5, "missed": INF, "late": INF}


def test_four_times_the_best_counts_and_more_does_not() -> None:
    assert counted(targets(), alpha=[100.0, 400.0, 400.0001, NAN])["alpha"] == pytest.approx(
        [100.0, 400.0, INF, NAN], nan_ok=True
    )


@pytest.mark.parametrize(
    ("base", "variant", "expected"),
    [
        ([100.0, 90.0, 95.0], [100.0, INF, 401.0], [100.0, INF, INF]),  # a variant missed, or too slow
        ([100.0, INF], [100.0, 10.0], [100.0, INF]),  # a submission that missed the base is not the best on the variant
        ([100.0, 500.0], [1000.0, 100.0], [INF, INF]),  # one that is slow on the base is
        ([100.0, 100.0], [100.0, NAN], [100.0, INF]),  # a variant that was never run
    ],
)
def test_held_out_workloads_disqualify(base: list[float], variant: list[float], expected: list[float]) -> None:
    assert counted(targets(held_out=["alpha_var"]), alpha=base, alpha_var=variant) == {"alpha": expected}


def test_workloads_that_are_not_named_do_not_count() -> None:
    version = targets()
    assert counted(version, alpha=[1.0, 2.0], other=[1.0, INF], alpha_var=[1.0, INF]) == {"alpha": [1.0, 2.0]}
    taken = times.counted_times(table(alpha=[1.0, 2.0], alpha_var=[1.0, INF]), version, empty_means_all=True)
    assert taken.to_dict("list") == {"alpha": [1.0, INF]}


@pytest.mark.parametrize("arguments", [{"rule": "best"}, {"ties": "slowest"}, {"unit": "epochs"}])
def test_unknown_choices_are_refused(tmp_path: pathlib.Path, arguments: dict[str, str]) -> None:
    write_hit(tmp_path, "s/study_0/alpha_jax/trial_1", 20.0)
    with pytest.raises(scoring.ScoringError, match="unknown choice"):
        times.study_times(scoring.load(tmp_path, targets()), **arguments)
