"""The data files of targets."""

import csv
import json
import os
import pathlib
import re

import pytest

import scoring
import workloads
from scoring.targets import read_targets, relaxed, versions

V06 = pathlib.Path(scoring.__file__).parent / "targets" / "v0.6.json"


def test_versions_differ_in_budgets_studies_and_held_out_workloads() -> None:
    assert versions() == ["v0.5", "v0.6", "v0.6-a100"]
    old, new = read_targets("v0.5"), read_targets("v0.6")
    assert old.base_workloads == new.base_workloads
    assert [len(version.held_out_workloads) for version in (old, new)] == [6, 0]
    assert [version.studies for version in (old, new)] == [5, 3]
    assert [version.budget_sec("fastmri", "external") for version in (old, new)] == [8859.0, 4430.0]
    assert [version.budget_sec("fastmri", "self") for version in (old, new)] == [3 * 8859.0, 1.5 * 4430.0]
    assert new.budget_sec("finewebedu_lm", "self") == float("inf")
    assert [new.trials_expected(ruleset) for ruleset in ("external", "self")] == [5, 1]
    assert old.base_of("wmt_glu_tanh") == "wmt"
    assert old.base_of("mnist") is None


@pytest.mark.skipif("ALGOPERF_TEST_DATA" not in os.environ, reason="ALGOPERF_TEST_DATA is not set")
@pytest.mark.parametrize("version", ["v0.5", "v0.6"])
def test_values_are_those_of_the_published_logs(version: str) -> None:
    folder = pathlib.Path(os.environ["ALGOPERF_TEST_DATA"]) / "leaderboard_logs"
    expected = json.loads((folder / "targets_and_budgets.json").read_text())[version]
    targets = read_targets(version)
    assert list(targets.base_workloads) == expected["base_workloads_present_in_published_logs"]
    assert list(targets.held_out_workloads) == expected["held_out_workloads"]
    assert set(targets.workloads) == set(expected["workloads"])
    for name, entry in expected["workloads"].items():
        target = targets.workloads[name]
        assert (target.metric, target.direction) == (entry["metric"], entry["direction"])
        assert target.validation_target == entry["validation_target"]
        if "seen_in_logs_test_target" in entry:
            assert target.test_target == pytest.approx(entry["seen_in_logs_test_target"], rel=1e-12)
            assert target.budget_sec == entry["seen_in_logs_max_allowed_runtime_sec"]
            assert target.step_hint == entry["seen_in_logs_step_hint"]
        if version != "v0.5" and "seen_in_logs_eval_period_sec" in entry:
            assert target.eval_period_sec == entry["seen_in_logs_eval_period_sec"]


@pytest.mark.parametrize("name", workloads.names())
def test_values_are_those_that_runs_end_by(name: str) -> None:
    builtin = workloads.load(name)
    expected = [(builtin, read_targets("builtin").workloads[f"{name}_builtin"])]
    for edition in ("v0.6", "v0.6-a100"):
        if (target := read_targets(edition).workloads.get(name)) is None or target.budget_sec is None:
            continue
        real = workloads.load(name, data_dir="unread", edition=edition)
        expected.append((real, target))
        assert target.step_hint == real.budget.step_hint
        assert target.eval_period_sec == real.budget.eval_period_sec
        assert target.eval_batch_size == real.eval_batch_size
    if len(expected) == 1:
        assert not workloads.load(name, data_dir="unread").goal.has_target, "a model that is not scored has no target"
    for workload, target in expected:
        assert target.metric == workload.goal.metric
        assert (target.direction == "max") == (workload.goal.direction == "maximize")
        assert target.validation_target == workload.goal.validation
        assert target.test_target == workload.goal.test
        assert target.budget_sec == workload.budget.max_runtime_sec


def test_a_custom_file(tmp_path: pathlib.Path) -> None:
    content = json.loads(V06.read_text())
    content["base_workloads"] = ["mnist"]
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(content))
    assert read_targets(file).base_workloads == ("mnist",)


@pytest.mark.parametrize("name", ["v0.7", "nowhere.json"])
def test_unknown_targets(name: str) -> None:
    known = "v0.5, v0.6, v0.6-a100 or the path"
    with pytest.raises(scoring.ScoringError, match=f"unknown targets '{name}'; expected {known}"):
        read_targets(name)


def test_a_slip_in_the_name_of_a_version() -> None:
    with pytest.raises(scoring.ScoringError, match=r"Did you mean 'v0\.6-a100'"):
        read_targets("v0.6_a100")


@pytest.mark.skipif("ALGOPERF_TEST_DATA" not in os.environ, reason="ALGOPERF_TEST_DATA is not set")
def test_the_targets_of_2026_are_those_that_its_runs_logged() -> None:
    folder = pathlib.Path(os.environ["ALGOPERF_TEST_DATA"]) / "leaderboard_logs"
    with (folder / "trial_index_algoperf_v06_a100_self_tuning.csv").open() as file:
        rows = list(csv.DictReader(file))
    targets = read_targets("v0.6-a100")
    seen = set()
    for row in rows:
        name = re.sub("_(jax|pytorch)$", "", row["workload"])
        target = targets.workloads[name]
        assert target.budget_sec == float(row["max_runtime_sec"])
        assert target.step_hint == int(row["step_hint"])
        assert target.eval_period_sec == float(row["eval_period_sec"])
        # PyTorch evaluates criteo1tb in smaller batches.
        smaller = row["workload"] == "criteo1tb_pytorch"
        assert (8192 if smaller else target.eval_batch_size) == int(row["eval_batch_size"])
        assert target.validation_target == pytest.approx(float(row["validation_target"]), rel=1e-12)
        if target.test_target is not None:
            assert target.test_target == pytest.approx(float(row["test_target"]), rel=1e-12)
        seen.add(name)
    assert seen == set(targets.base_workloads)
    assert [read_targets(name).precision for name in versions()] == [None, "highest", "tf32"]
    assert (targets.held_out_workloads, targets.studies, targets.self_tuning_budget_factor) == ((), 3, 1.5)


def test_relaxed_targets_are_easier_in_both_directions() -> None:
    published = read_targets("v0.6-a100")
    eased = relaxed(published, 0.1)
    assert eased.version == "v0.6-a100 relaxed by 0.1"
    assert eased.workloads["finewebedu_lm"].validation_target == pytest.approx(1.1 * 22.2995)
    assert eased.workloads["wmt"].validation_target == pytest.approx(0.9 * 30.8491)
    assert eased.workloads["wmt"].budget_sec == published.workloads["wmt"].budget_sec
    assert relaxed(published, 0.0).workloads == published.workloads


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_targets_cannot_be_relaxed_by_everything(share: float) -> None:
    with pytest.raises(
        scoring.ScoringError, match=f"cannot be relaxed by {share}; expected a number from 0 to below 1"
    ):
        relaxed(read_targets("v0.6"), share)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"base_workloads": ["nothing"]}, "no target for the workload 'nothing'"),
        ({"workloads": {"mnist": {"metric": "accuracy"}}}, "not a file of targets"),
        ({"more": 1}, "not a file of targets"),
        (
            {"base_workloads": [], "workloads": {"a": {"metric": "m", "direction": "up", "validation_target": 1}}},
            "a: direction is 'up'; expected 'min' or 'max'",
        ),
        (
            {"base_workloads": [], "workloads": {"a": {"metric": "m", "direction": "min", "validation_target": 1e999}}},
            "a: validation_target is inf; expected a finite number",
        ),
    ],
)
def test_files_that_are_not_targets_are_refused(tmp_path: pathlib.Path, change: dict, words: str) -> None:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({**json.loads(V06.read_text()), **change}))
    with pytest.raises(scoring.ScoringError) as caught:
        read_targets(file)
    assert str(caught.value).startswith(str(file))
    assert words in str(caught.value)
    file.write_text("{")
    with pytest.raises(scoring.ScoringError, match="not a file of targets"):
        read_targets(file)
