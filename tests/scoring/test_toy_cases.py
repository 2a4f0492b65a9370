"""Small log trees, each for one rule, with the results of the official tool."""

import json
import pathlib
import tarfile
from typing import Any

import pytest

import scoring
from scoring.targets import Targets, WorkloadTarget
from tests.scoring import golden_tables

ARCHIVE = pathlib.Path(__file__).parents[1] / "golden" / "scoring" / "toy_cases.tar.xz"
# Here the official tool ends with a traceback, or takes what the file system lists first; tested below.
OTHERWISE = {
    "t06s_missing_workload_strict",
    "t07_two_studies_strict",
    "t17_unknown_workload",
    "t18_base_workload_nobody_ran",
    "t19_two_frameworks_same_workload",
    "t20_first_trial_lacks_metric_column",
    "t21_timestamped_sibling_directory",
}
CASES = {case["case"]: case for case in json.loads((ARCHIVE.parent / "toy_expected.json").read_text())}


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("toys")
    with tarfile.open(ARCHIVE) as file:
        file.extractall(folder, filter="data")
    return folder / "toy_cases"


def load(folder: pathlib.Path, ruleset: str = "self") -> scoring.Logs:
    content = json.loads((folder / "targets.json").read_text())
    workloads = {
        name: WorkloadTarget(
            entry["target_metric_name"],
            "max" if entry["target_metric_name"] == "accuracy" else "min",
            entry["validation_target_value"],
        )
        for name, entry in content["workloads"].items()
    }
    base, held_out = tuple(content["base_workloads"]), tuple(content["held_out_workloads"])
    return scoring.load(folder / "logs", Targets("toy", base, held_out, 3, 5, 1.5, workloads), ruleset=ruleset)


@pytest.mark.parametrize("name", sorted(set(CASES) - OTHERWISE))
def test_the_official_rule_on(toys: pathlib.Path, name: str) -> None:
    case: dict[str, Any] = CASES[name]
    assert case["exit_code"] == 0
    logs = load(toys / name, "self" if "--self_tuning_ruleset" in case["flags"] else "external")
    scores = scoring.score(logs, rule="official", ties="name")
    found = scores.leaderboard.set_index("submission")["score"].to_dict()
    assert found == pytest.approx(case["scores"], abs=golden_tables.SCORE_TOLERANCE)
    for submission, times in case["time_to_target"].items():
        for workload, time in times.items():
            expected = float(time) if time else float("nan")
            assert scores.times.loc[submission, workload] == pytest.approx(expected, nan_ok=True)
    for submission, points in case["profile_breakpoints"].items():
        heights = scores.profile.loc[submission]
        changes = heights[heights.diff().fillna(1.0) != 0.0]
        found_points = [[float(str(place)), float(height)] for place, height in changes.items()]
        assert found_points == [pytest.approx(point) for point in points]


def test_the_case_list_is_complete() -> None:
    assert set(CASES) >= OTHERWISE
    assert len(CASES) == 25


def test_the_documented_rule_takes_the_fastest_trial(toys: pathlib.Path) -> None:
    scores = scoring.score(load(toys / "t08_eval_row_beats_time", "external"))
    assert scores.times["alpha"].to_dict() == {"x": 150.0, "y": 100.0}
    scores = scoring.score(load(toys / "t09_tie_first_listed", "external"))
    assert scores.times.loc["x", "alpha"] == 250.0


def test_the_official_rule_breaks_ties_by_time_unless_told_otherwise(toys: pathlib.Path) -> None:
    logs = load(toys / "t09_tie_first_listed", "external")
    assert scoring.score(logs, rule="official").times.loc["x", "alpha"] == 250.0
    assert scoring.score(logs, rule="official", ties="name").times.loc["x", "alpha"] == 300.0
    reverse = sorted(logs.trials["path"], reverse=True)
    assert scoring.score(logs, rule="official", ties=reverse).times.loc["x", "alpha"] == 250.0


def test_only_the_official_rule_takes_further_variants_as_held_out(toys: pathlib.Path) -> None:
    logs = load(toys / "t16_extra_variant_with_empty_held_out_list")
    documented, official = scoring.score(logs), scoring.score(logs, rule="official")
    assert documented.counted_times["alpha"].to_dict() == {"a": 100.0, "b": 120.0}
    reasons = [set(scores.findings["reason"]) for scores in (documented, official)]
    assert "alpha_var: not scored with the targets toy" in reasons[0]
    assert "alpha_var: treated as held out, since none is named with the targets toy" in reasons[1]


def test_an_unknown_workload_is_left_out_and_listed(toys: pathlib.Path) -> None:
    logs = load(toys / "t17_unknown_workload")
    assert set(logs.trials["workload"]) == {"alpha"}
    left_out = logs.findings[logs.findings["kind"] == "left out"]
    assert left_out["path"].tolist() == [f"a/study_{study}/gamma_jax" for study in range(3)]
    assert set(left_out["reason"]) == {"unknown workload: toy has no target for it"}


def test_a_base_workload_that_nobody_ran_stays_in_the_denominator(toys: pathlib.Path) -> None:
    scores = scoring.score(load(toys / "t18_base_workload_nobody_ran"))
    assert scores.leaderboard["score"].tolist() == [0.5]
    assert "no submission has logs of beta: a miss for all" in set(scores.findings["reason"])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("t19_two_frameworks_same_workload", "a has alpha in a second framework"),
        ("t20_first_trial_lacks_metric_column", "no column 'validation/loss'"),
    ],
)
def test_ambiguous_logs_are_refused(toys: pathlib.Path, name: str, words: str) -> None:
    with pytest.raises(scoring.ScoringError, match=words):
        load(toys / name)


def test_a_timestamped_directory_counts_with_its_submission(toys: pathlib.Path) -> None:
    folder = toys / "t21_timestamped_sibling_directory"
    logs = load(folder, "external")
    assert set(logs.trials["submission"]) == {"a", "b"}
    assert scoring.score(logs).times["alpha"].to_dict() == {"a": 100.0, "b": 50.0}
    assert "its trials count as those of a" in set(logs.findings["reason"])
    with pytest.raises(
        scoring.ScoringError, match=r"2 trials of alpha in study_0 of a, where toy has 1 .*: 1 in a/study"
    ):
        load(folder)


def test_only_the_official_rule_counts_trials_with_longer_names(toys: pathlib.Path) -> None:
    logs = load(toys / "t22_trial_name_prefix_match")
    assert scoring.score(logs, rule="official").times.loc["a", "alpha"] == 10.0
    assert set(logs.findings["kind"]) == {"left out", "noted"}
    assert set(scoring.score(logs).studies["chosen_trial"].dropna()) <= {"trial_1"}


@pytest.mark.parametrize("name", ["t06s_missing_workload_strict", "t07_two_studies_strict"])
def test_incomplete_logs_are_reported(toys: pathlib.Path, name: str) -> None:
    assert False in scoring.score(load(toys / name)).validity["complete"].tolist()
