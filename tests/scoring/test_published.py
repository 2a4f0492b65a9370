"""The published logs give the published scores, and every intermediate table."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import scoring
from scoring import profiles, summaries, times
from tests.scoring import golden_tables
from tests.scoring.golden_tables import LOG_SETS, SCORE_TOLERANCE, assert_close, read_json, read_table

Published = Callable[[str], scoring.Logs]
# Name of the tables -> arguments of `score`.
VARIANTS = {
    "min_time_rule": {"rule": "documented"},
    "index_rule_sorted_order": {"rule": "official", "ties": "name"},
    "index_rule_listing_order": {"rule": "official"},
    "steps_index_rule_sorted_order": {"rule": "official", "ties": "name", "unit": "steps"},
    "steps_min_step_rule": {"rule": "documented", "unit": "steps"},
}
STUDY = ["submission", "workload", "study"]
both = pytest.mark.parametrize("log_set", LOG_SETS)


def scored(logs: scoring.Logs, log_set: str, variant: str) -> scoring.Scores:
    arguments: dict[str, Any] = dict(VARIANTS[variant])
    if variant == "index_rule_listing_order":
        # The trials that one machine chose show which ones its directory listing preferred.
        chosen = read_table(f"{log_set}/tables/{variant}/per_study.csv", STUDY)["chosen_trial"].dropna()
        trials = logs.trials.set_index([*STUDY, "trial"])["path"]
        arguments["ties"] = [trials[(*key, trial)] for key, trial in chosen.items()]
    return scoring.score(logs, **arguments)


def printed(scores: scoring.Scores) -> dict[str, float]:
    return {name: round(score, 4) for name, score, _ in scores.leaderboard.itertuples(index=False, name=None)}


@both
def test_the_official_rule_gives_every_published_digit(published: Published, log_set: str) -> None:
    expected = read_json("scores_summary.json")[log_set]["published"]
    found = printed(scoring.score(published(log_set), rule="official"))
    assert found == (expected or {"schedule_free_adamw_v2": 0.75})
    assert list(found.values()) == sorted(found.values(), reverse=True)


@both
def test_the_documented_rule_differs_in_one_published_score(published: Published, log_set: str) -> None:
    expected = read_json("scores_summary.json")[log_set]["published"] or {"schedule_free_adamw_v2": 0.75}
    changed = {"lawa_ema": 0.3434} if log_set == "v05_external_tuning" else {}
    assert printed(scoring.score(published(log_set))) == {**expected, **changed}


@both
def test_first_hits_of_trials(published: Published, log_set: str) -> None:
    expected = read_table(f"{log_set}/per_trial.csv", [*STUDY, "trial"])
    hits = times.first_hits(published(log_set)).set_index([*STUDY, "trial"])
    hits["framework_dir"] = hits.index.get_level_values("workload") + "_" + hits["framework"]
    names = {"evaluations": "eval_rows", "hit_row": "hit_eval_row", "hit_step": "hit_global_step"}
    hits = hits.rename(columns={**names, "hit_time_sec": "hit_time_sec"})
    hits["hit_eval_row"] = hits["hit_eval_row"].replace(np.inf, np.nan)
    assert_close(hits, expected)


@pytest.mark.parametrize("variant", VARIANTS)
@both
def test_tables_from_studies_to_scores(published: Published, log_set: str, variant: str) -> None:
    logs = published(log_set)
    folder = f"{log_set}/tables/{variant}"
    studies = read_table(f"{folder}/per_study.csv", STUDY)
    scores = scored(logs, log_set, variant)
    found = scores.studies.set_index(STUDY)
    assert found["chosen_trial"].fillna("").tolist() == studies.sort_index()["chosen_trial"].fillna("").tolist()
    found["chosen_eval_row"] = found["chosen_eval_row"].astype(float)
    assert_close(found.drop(columns="chosen_trial"), studies.drop(columns="chosen_trial"))
    assert_close(scores.times, read_table(f"{folder}/time_to_target_raw.csv"))
    assert_close(scores.counted_times, read_table(f"{folder}/time_to_target_after_rules.csv"))
    assert_close(scores.ratios, read_table(f"{folder}/performance_ratio.csv"))
    expected = read_table(f"{folder}/performance_profile.csv")
    assert [str(ratio) for ratio in scores.profile.columns] == list(expected.columns)
    assert (scores.profile.sort_index().to_numpy() == expected.sort_index().to_numpy()).all()
    names = {"score": "grid_trapezoid_score", "exact_score": "exact_integral_score"}
    leaderboard = scores.leaderboard.set_index("submission").rename(columns=names)
    assert_close(leaderboard, read_table(f"{folder}/scores.csv"), SCORE_TOLERANCE)


@pytest.mark.parametrize("order", ["sorted", "listing"])
@both
def test_files_of_the_official_tool(published: Published, log_set: str, order: str) -> None:
    scores = scored(published(log_set), log_set, f"index_rule_{order}_order")
    folder = f"{log_set}/official_{order}_order"
    expected = read_table(f"{folder}/scores.csv")
    assert_close(scores.leaderboard.set_index("submission"), expected, SCORE_TOLERANCE)
    assert_close(scores.times, read_table(f"{folder}/time_to_targets.csv"))
    profile = read_table(f"{folder}/performance_profile_score.csv")
    assert (scores.profile.sort_index().to_numpy() == profile.sort_index().to_numpy()).all()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("score_linear100", {}),
        ("score_log100", {"scale": "log"}),
        ("score_linear1000", {"points": 1000}),
        ("score_linear4", {"points": 4}),
        ("score_maxtau_none", {"max_ratio": None}),
        ("steps_linear100", {"unit": "steps"}),
        ("score_ref_baseline", {"reference": "baseline"}),
    ],
)
@both
def test_alternative_scores(published: Published, log_set: str, name: str, arguments: dict) -> None:
    cases = read_json(f"{log_set}/official_function_variants_sorted_order.json")
    if name not in cases:
        assert log_set == "v06_self_tuning"
        return
    expected = {key: np.nan if value is None else value for key, value in cases[name]["scores"].items()}
    found = scoring.score(published(log_set), rule="official", ties="name", **arguments)
    assert found.leaderboard.set_index("submission")["score"].to_dict() == pytest.approx(
        expected, abs=SCORE_TOLERANCE, nan_ok=True
    )


@both
def test_summaries_of_trials(published: Published, log_set: str) -> None:
    logs = published(log_set)
    table: Any = summaries.trial_summaries(logs, rule="official")
    folder = golden_tables.path(f"{log_set}/official_sorted_order/summaries")
    renamed = {
        "val target metric name": "metric",
        "val target metric value": "validation_target",
        "val target reached": "reached",
        "best metric value on val": "best_validation",
        "time to best eval on val (s)": "time_to_best_sec",
        "time to target on val (s)": "time_to_target_sec",
        "step_time (s)": "step_time_sec",
    }
    files = sorted(folder.glob("*_summary.csv"))
    assert {file.name.removesuffix("_summary.csv") for file in files} == set(table["submission"])
    for file in files:
        expected: Any = pd.read_csv(file).rename(columns=renamed)
        found = table[table["submission"] == file.name.removesuffix("_summary.csv")]
        # The official order: by the names of workload directories, then studies and trials.
        found = found.assign(workload=found["workload"] + "_" + found["framework"])
        found = found.sort_values(["workload", "study", "trial"], ignore_index=True)
        assert found["workload"].tolist() == expected["workload"].tolist()
        assert log_set.startswith("v05") or found["step_hint"].tolist() == expected["step_hint"].tolist()
        # The v0.5 files carry the step hints of v0.6.
        assert_close(found, expected.drop(columns=["Unnamed: 0", "workload", "step_hint"]))


@pytest.mark.parametrize("log_set", LOG_SETS[:3])
def test_speedups(published: Published, log_set: str) -> None:
    logs = published(log_set)
    expected = read_table(f"{log_set}/speedups_vs_baseline.csv")
    scores = scored(logs, log_set, "index_rule_listing_order")
    # The official tool takes the budgets of v0.5 and a factor of 3 for every version.
    targets = scoring.load(logs.folder, "v0.5", ruleset=logs.ruleset).targets
    budgets = {name: targets.budget_sec(name, logs.ruleset) for name in targets.base_workloads}
    factors, means = profiles.speedups(scores.times, "baseline", budgets)
    for name in budgets:
        ratio = f"ratio_submission_over_reference:{name}"
        assert_close((1.0 / factors)[[name]].drop("baseline"), expected[[ratio]].rename(columns={ratio: name}))
    columns = {
        "geomean_speedup(documented: ref/submission)": "geometric_mean",
        "arithmetic_mean_speedup": "arithmetic_mean",
        "harmonic_mean_speedup": "harmonic_mean",
    }
    assert_close(means.drop("baseline"), expected[list(columns)].rename(columns=columns))


def test_what_is_left_out_of_the_published_logs_is_listed(published: Published) -> None:
    missing = {"v05_external_tuning": 181, "v05_self_tuning": 20, "v06_external_tuning": 4, "v06_self_tuning": 0}
    for log_set, number in missing.items():
        logs = published(log_set)
        assert logs.findings["reason"].tolist().count("no eval_measurements.csv") == number
    # Empty directories of another framework are no second run.
    assert "baseline/study_1/fastmri_pytorch" in set(published("v05_external_tuning").findings["path"])


def test_completeness_of_the_published_logs(published: Published) -> None:
    complete = {}
    for log_set in LOG_SETS:
        table = scoring.score(published(log_set)).validity
        complete[log_set] = sorted(set(table["submission"]) - set(table["submission"][~table["complete"]]))
    assert complete["v06_self_tuning"] == ["schedule_free_adamw_v2"]
    assert complete["v06_external_tuning"] == []
    assert "lawa_ema" not in complete["v05_external_tuning"]
    assert "shampoo_submission" in complete["v05_external_tuning"]
