"""A damaged or missing file of a trial loses at most its content, never the run."""

import csv
import json
import os
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from algoperf_jax.outputs import environment
from tests.algoperf_jax.conftest import Command

Write = Callable[..., pathlib.Path]
TrialDirectory = Callable[[str], pathlib.Path]

INTERRUPT = """
import os, signal

def update_params(workload, global_step, optimizer_state, current_param_container, model_state, **rest):
    workload.metrics_logger.append_scalar_metrics({"loss": 1.0}, global_step)
    if global_step == 2:
        os.kill(os.getpid(), signal.SIGTERM)
    return optimizer_state, current_param_container, model_state
"""


@pytest.fixture
def arguments(submission: Write) -> list[str]:
    """The arguments of a run of six steps, with an evaluation after each, interrupted after the third."""
    return [
        f"--config.submission={submission(INTERRUPT)}",
        "--config.eval_period_sec=1e-9",
        "--config.max_steps=6",
    ]


def rows(folder: pathlib.Path, name: str = "eval_measurements.csv") -> list[dict[str, str]]:
    with (folder / name).open(newline="") as file:
        return list(csv.DictReader(file))


def notes(folder: pathlib.Path) -> list[str]:
    """The notes of the resumed process in the log."""
    records = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    (resumed,) = [record for record in records if record["kind"] == "resume"]
    return resumed["values"].get("notes", [])


def delete(path: pathlib.Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def cut(path: pathlib.Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: pathlib.Path) -> None:
    os.truncate(path, 0)


def zeros(path: pathlib.Path) -> None:
    """Damages a file as a crash of the machine may while it is written."""
    size = path.stat().st_size
    os.truncate(path, size // 2)
    os.truncate(path, size)


@pytest.mark.parametrize(
    ("name", "damage", "expected"),
    [
        ("events.jsonl", delete, ["events.jsonl is damaged"]),
        ("events.jsonl", cut, ["events.jsonl is damaged"]),
        ("events.jsonl", zeros, ["events.jsonl is damaged"]),
        ("config.json", delete, ["config.json is missing or damaged"]),
        ("config.json", empty, ["config.json is missing or damaged"]),
        ("config.json", cut, ["config.json is missing or damaged"]),
        ("measurements.csv", delete, []),
        ("eval_measurements.csv", cut, []),
        ("meta_data_0.json", delete, []),
        ("meta_data_0.json", zeros, []),
        ("flags_0.json", cut, []),
        ("tensorboard", delete, []),
        ("submission", delete, ["the copy of the submission"]),
        ("submission/algorithm.py", cut, ["the copy of the submission"]),
        ("rule_report.json", zeros, []),
        ("parameters.txt", delete, []),
        ("learning_curve.png", delete, []),
    ],
)
def test_an_interrupted_trial_resumes(
    name: str,
    damage: Callable[[pathlib.Path], None],
    expected: list[str],
    arguments: list[str],
    command: Command,
    trial: TrialDirectory,
) -> None:
    assert "interrupted" in command(*arguments).out
    folder = trial("algorithm")
    before = rows(folder)
    damage(folder / name)
    finished = command(*arguments)
    assert (finished.code, finished.err) == (0, "")
    assert "resuming from step 3" in finished.out
    found = notes(folder)
    assert len(found) == len(expected)
    for line, words in zip(found, expected, strict=True):
        assert words in line
        assert finished.out.count(line) == 1
    assert json.loads((folder / "result.json").read_text())["status"] == "training_complete"
    after = rows(folder)
    assert [row["global_step"] for row in after] == ["1", "2", "3", "4", "5", "6"]
    for row, same in zip(after[:3], before, strict=True):
        assert {key: row[key] for key in row if key != "preemption_count"} == {
            key: same[key] for key in same if key != "preemption_count"
        }
    assert {"meta_data_1.json", "flags_1.json", "learning_curve.png", "rule_report.json"} <= set(os.listdir(folder))
    assert len(list((folder / "tensorboard").iterdir())) == (1 if name == "tensorboard" else 2)


def test_several_files_may_be_lost_at_once(
    arguments: list[str], command: Command, trial: TrialDirectory, tmp_path: pathlib.Path
) -> None:
    command(*arguments)
    folder = trial("algorithm")
    for path in folder.iterdir():
        if path.name != "checkpoints":
            delete(path)
    finished = command(*arguments)
    assert (finished.code, finished.err) == (0, "")
    assert "resuming from step 3" in finished.out
    assert [row["global_step"] for row in rows(folder)] == ["1", "2", "3", "4", "5", "6"]
    words = (
        "config.json is missing",
        "cannot check that the configuration is unchanged",
        "the copy of the submission",
        "events.jsonl is damaged",
    )
    assert all(any(word in line for line in notes(folder)) for word in words)


def test_another_submission_is_refused_although_the_copy_is_lost(
    arguments: list[str], command: Command, trial: TrialDirectory, submission: Write
) -> None:
    command(*arguments)
    delete(trial("algorithm") / "submission")
    submission(INTERRUPT, "# changed")
    assert "algorithm.py of the submission" in command(*arguments).error()
    submission(INTERRUPT)
    assert command(*arguments).code == 0


@pytest.mark.parametrize("damage", [cut, empty, zeros])
def test_the_result_of_a_finished_trial_is_made_again(
    damage: Callable[[pathlib.Path], None], arguments: list[str], command: Command, trial: TrialDirectory
) -> None:
    command(*arguments)
    command(*arguments)
    folder = trial("algorithm")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    damage(folder / "result.json")
    finished = command(*arguments)
    assert (finished.code, finished.err) == (0, "")
    assert "result.json is damaged" in finished.out
    assert "already finished" in finished.out
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert "damaged" not in command(*arguments).out


def test_a_result_that_the_log_has_not_either_is_found_by_resuming(
    arguments: list[str], command: Command, trial: TrialDirectory
) -> None:
    command(*arguments)
    command(*arguments)
    folder = trial("algorithm")
    before = json.loads((folder / "result.json").read_text())
    cut(folder / "result.json")
    empty(folder / "events.jsonl")
    finished = command(*arguments)
    assert (finished.code, finished.err) == (0, "")
    assert "resuming from step 6" in finished.out
    after = json.loads((folder / "result.json").read_text())
    for key in ("status", "steps", "best", "time_to_target_sec"):
        assert after[key] == before[key]
    assert [row["global_step"] for row in rows(folder)] == ["1", "2", "3", "4", "5", "6"]
    assert (folder / "result.json.damaged").exists()


@pytest.mark.parametrize("name", ["measurements.csv", "eval_measurements.csv"])
@pytest.mark.parametrize("damage", [delete, cut, zeros])
def test_the_tables_of_a_finished_trial_are_made_again(
    name: str,
    damage: Callable[[pathlib.Path], None],
    arguments: list[str],
    command: Command,
    trial: TrialDirectory,
) -> None:
    command(*arguments)
    command(*arguments)
    folder = trial("algorithm")
    before = (folder / name).read_bytes()
    damage(folder / name)
    finished = command(*arguments)
    assert (finished.code, finished.err) == (0, "")
    assert f"{name}: missing or damaged; restored from events.jsonl" in finished.out
    assert (folder / name).read_bytes() == before


def test_a_finished_trial_with_a_damaged_configuration_shows_its_result(
    arguments: list[str], command: Command, trial: TrialDirectory
) -> None:
    command(*arguments)
    command(*arguments)
    empty(trial("algorithm") / "config.json")
    finished = command(*arguments)
    assert finished.code == 0
    assert "config.json is missing or damaged" in finished.out
    assert "already finished" in finished.out


def test_lost_checkpoints_cost_no_log(arguments: list[str], command: Command, trial: TrialDirectory) -> None:
    command(*arguments)
    folder = trial("algorithm")
    content = (folder / "events.jsonl").read_text()
    delete(folder / "checkpoints")
    finished = command(*arguments)
    assert finished.code == 0
    assert "starting on" in finished.out
    assert "has no checkpoint to resume from" in finished.out
    assert (folder / "events_before_0.jsonl").read_text() == content


def test_a_resume_on_another_number_of_cores_is_reported_and_logged(
    arguments: list[str], command: Command, trial: TrialDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    command(*arguments)
    folder = trial("algorithm")
    cores = json.loads((folder / "meta_data_0.json").read_text())["cpu_usable_count"]
    assert cores == len(os.sched_getaffinity(0))
    monkeypatch.setattr(environment.os, "sched_getaffinity", lambda pid: set(range(cores + 1)))
    finished = command(*arguments)
    (line,) = notes(folder)
    assert f"usable cores: {cores} before, {cores + 1} now" in line
    assert "may not be bit for bit" in line
    assert finished.out.count(line) == 1
    assert json.loads((folder / "meta_data_1.json").read_text())["cpu_usable_count"] == cores + 1


def test_facts_that_affect_rounding() -> None:
    def facts(platform: str = "cpu", **changes: Any) -> dict[str, Any]:
        versions, devices = {"jax": changes.pop("jax", "1")}, {"platform": platform, "count": changes.pop("count", 1)}
        machine = {"cpu_usable_count": 1, "cpu_model_name": "a", "omp_num_threads": None, "mem.total": 1}
        return {**machine, "versions": versions, "devices": devices, **changes}

    differences = environment.rounding_differences
    assert differences(facts(), facts("cpu", **{"mem.total": 2})) == []
    assert differences(facts(), facts(cpu_usable_count=2, cpu_model_name="b")) == [
        "usable cores: 1 before, 2 now",
        "processor: a before, b now",
    ]
    assert differences(facts(), facts(jax="2", omp_num_threads="1")) == [
        "OMP_NUM_THREADS: None before, 1 now",
        "jax: 1 before, 2 now",
    ]
    assert differences(facts(), facts(count=8)) == ["devices: 1 before, 8 now"]
    assert differences(facts("gpu"), facts("gpu", cpu_usable_count=2)) == []
    assert differences({}, facts()) == differences({"versions": None, "devices": 3}, facts()) == []
