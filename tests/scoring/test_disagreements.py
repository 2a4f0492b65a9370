"""Where documentation and implementation disagree: the effects listed in docs/scoring-vs-official.md."""

import dataclasses
import itertools
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import scoring
import scoring.targets
from scoring import profiles
from scoring.rules import MAX_RATIO
from scoring.times import counted_times, medians
from tests.scoring import golden_tables

Published = Callable[[str], scoring.Logs]
# A difference that would be visible in the four published digits.
VISIBLE = 5e-5


def grid_scores(counted: pd.DataFrame, ratios: pd.DataFrame | None = None) -> pd.Series:
    ratios = profiles.performance_ratios(counted) if ratios is None else ratios
    return profiles.grid_scores(profiles.performance_profile(ratios, profiles.ratio_grid()))


def scores(logs: scoring.Logs) -> pd.Series:
    return pd.Series(scoring.score(logs).leaderboard.set_index("submission")["score"]).sort_index()


@pytest.mark.parametrize("log_set", golden_tables.LOG_SETS)
def test_missing_studies_as_misses_change_nothing(published: Published, log_set: str) -> None:
    logs = published(log_set)
    studies = scoring.score(logs).studies
    workloads = sorted({*logs.targets.base_workloads, *logs.targets.held_out_workloads})
    submissions = sorted(studies["submission"].unique())
    keys = itertools.product(submissions, workloads, range(logs.targets.studies))
    every = pd.MultiIndex.from_tuples(keys, names=["submission", "workload", "study"])
    numbered = studies.assign(study=studies.groupby(["submission", "workload"]).cumcount())
    filled = numbered.set_index(every.names)["value"].reindex(every, fill_value=np.inf)
    some_are_missing = np.isinf(filled).sum() > np.isinf(studies["value"]).sum()
    assert some_are_missing == log_set.startswith("v05")
    counted = counted_times(medians(filled.reset_index()), logs.targets)
    assert (grid_scores(counted) - scores(logs)).abs().max() < VISIBLE


@pytest.mark.parametrize("log_set", golden_tables.LOG_SETS)
def test_the_best_on_a_held_out_workload_only_of_those_fast_on_its_base_changes_nothing(
    published: Published, log_set: str
) -> None:
    logs = published(log_set)
    times, targets = scoring.score(logs).times, logs.targets
    slow = times > MAX_RATIO * times.min()
    for variant in targets.held_out_workloads:
        times.loc[slow[str(targets.base_of(variant))], variant] = np.inf
    assert (grid_scores(counted_times(times, targets)) - scores(logs)).abs().max() < VISIBLE


@pytest.mark.parametrize("log_set", golden_tables.LOG_SETS)
def test_ratios_to_the_best_of_all_change_nothing(published: Published, log_set: str) -> None:
    logs = published(log_set)
    result = scoring.score(logs)
    best = result.times.reindex(columns=result.counted_times.columns).min()
    ratios = (result.counted_times / best).mask(np.isinf(result.counted_times), np.inf)
    assert (grid_scores(result.counted_times, ratios) - scores(logs)).abs().max() < VISIBLE


def test_a_ninth_workload_without_logs_takes_a_ninth_of_each_score(published: Published) -> None:
    for log_set in ("v06_external_tuning", "v06_self_tuning"):
        logs = published(log_set)
        targets = logs.targets
        nine = dataclasses.replace(targets, base_workloads=(*targets.base_workloads, "finewebedu_lm"))
        found = grid_scores(counted_times(scoring.score(logs).times, nine))
        expected = {"shampoo": 0.5550, "baseline": 0.4080, "schedule_free_adamw_v2": 0.6667}
        assert found.round(4).to_dict() == {name: expected[str(name)] for name in found.index}


def test_the_older_rule_of_three_hits_in_five_trials(published: Published) -> None:
    found = {}
    for log_set in ("v05_external_tuning", "v06_external_tuning"):
        logs = published(log_set)
        studies = scoring.score(logs).studies
        studies.loc[studies["trials_reaching_target"] < 3, "value"] = np.inf
        found[log_set] = grid_scores(counted_times(medians(studies), logs.targets)).round(4)
    assert found["v05_external_tuning"][["shampoo_submission", "schedule_free_adamw"]].tolist() == [0.3460, 0.6143]
    assert found["v06_external_tuning"][["shampoo", "baseline"]].tolist() == [0.25, 0.2355]


def test_speedups_with_the_budgets_of_another_version(published: Published) -> None:
    logs = published("v06_external_tuning")
    times = scoring.score(logs, rule="official").times
    names = logs.targets.base_workloads
    for version, expected in (("v0.5", 0.835834), ("v0.6", 0.846915)):
        targets = scoring.targets.read_targets(version)
        budgets = {name: targets.budget_sec(name, "external") for name in names}
        means = profiles.speedups(times, "baseline", budgets)[1]
        assert 1 / means.loc["shampoo", "geometric_mean"] == pytest.approx(expected, abs=5e-7)
