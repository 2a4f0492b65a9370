"""The summary and the picture at the end of a run."""

import io
import pathlib
from typing import Any

import pytest
from rich.console import Console

from algoperf_jax.errors import RunError
from algoperf_jax.outputs.summary import (
    draw_learning_curve,
    print_finished,
    print_study,
    print_summary,
    print_trial_heading,
    time_to_target,
)
from algoperf_jax.trial.run_state import Evaluation
from algoperf_jax.tuning.study_result import StudyResult, TrialRecord
from algoperf_jax.workload import Goal
from configs import base

GOAL = Goal("accuracy", "maximize", validation=0.9, test=0.8)
RESULT: dict[str, Any] = {
    "workload": "tiny",
    "data": "builtin",
    "submission": "nadamw",
    "status": "target_reached",
    "reason": "",
    "time_to_target_sec": 12.34,
    "metric": "accuracy",
    "steps": 100,
    "best": {"validation": 0.95, "test": 0.85},
    "targets": {"validation": 0.9, "test": 0.8},
    "budget_sec": 60.0,
    "seconds": {"setup": 1.0, "submission": 20.0, "evaluation": 2.0, "logging": 3.0, "other": 4.0},
    "steps_per_sec": 5.0,
    "compile_count": 7,
    "compile_sec": 8.0,
    "memory_peak_bytes": {"host": 2**30, "device": 2**29},
    "not_comparable": [],
    "learning_curve": "/some/where/learning_curve.png",
    "directory": "/some/where",
}


def evaluation(step: int, accuracy: float) -> Evaluation:
    return Evaluation(step, {"validation/accuracy": accuracy, "train/accuracy": accuracy, "score": step / 10})


def summary(**changes: Any) -> str:
    file = io.StringIO()
    print_summary(Console(file=file, width=200), {**RESULT, **changes})
    return file.getvalue()


def row(name: str, **changes: Any) -> str:
    lines = [[cell.strip() for cell in line.split("│")] for line in summary(**changes).splitlines()]
    (found,) = [cells[2] for cells in lines if len(cells) == 4 and cells[1] == name]
    return found


def test_time_to_target_is_that_of_the_first_evaluation_that_met_it() -> None:
    history = [evaluation(10, 0.5), evaluation(20, 0.9), evaluation(30, 0.91), evaluation(40, 0.99)]
    assert time_to_target(history, GOAL) == 3.0
    assert time_to_target(history[:2], GOAL) is None
    assert time_to_target([], GOAL) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("outcome", "target reached"),
        ("time to validation target", "12.3 s"),
        ("steps", "100"),
        ("best on validation", "accuracy 0.9500 (target 0.9)"),
        ("best on test", "accuracy 0.8500 (target 0.8)"),
        ("submission time", "20.0 s of 60 s"),
        ("beside it", "setup 1.0 s, evaluation 2.0 s, logging 3.0 s, other 4.0 s"),
        ("steps per second", "5"),
        ("compilation", "7 programs, 8.0 s"),
        ("memory peak", "host 1.00 GiB, device 0.50 GiB"),
    ],
)
def test_rows(name: str, expected: str) -> None:
    assert row(name) == expected


def test_title_and_places() -> None:
    lines = summary().splitlines()
    assert "tiny (builtin data) with nadamw" in lines[0]
    assert lines[-2:] == ["learning curve: /some/where/learning_curve.png", "directory: /some/where"]


@pytest.mark.parametrize("status", ["target_reached", "budget_spent", "training_complete", "interrupted", "failed"])
def test_every_status_has_words(status: str) -> None:
    assert row("outcome", status=status)


def test_failed_before_anything_was_measured() -> None:
    changes = {"status": "failed", "time_to_target_sec": None, "best": {}, "steps": 0, "steps_per_sec": None}
    assert row("reason", reason="odd [/b] text", **changes) == "odd [/b] text"
    assert row("time to validation target", **changes) == "not reached"
    assert "best" not in summary(**changes)
    assert "steps per second" not in summary(**changes)


def test_what_makes_a_run_incomparable_is_said() -> None:
    assert row("not comparable", not_comparable=["config.max_steps"]) == "this run set config.max_steps"


@pytest.mark.parametrize("history", [[], [evaluation(10, 0.5), evaluation(20, float("nan"))]])
def test_learning_curve(history: list[Evaluation], tmp_path: pathlib.Path) -> None:
    path = tmp_path / "curve.png"
    draw_learning_curve(path, history, GOAL, title="tiny")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_learning_curve_that_cannot_be_written(tmp_path: pathlib.Path) -> None:
    with pytest.raises(RunError, match="cannot be written: No such file or directory"):
        draw_learning_curve(tmp_path / "missing" / "curve.png", [], GOAL, title="tiny")


# --- studies ---------------------------------------------------------------------------------------------------------


def record(study: int, trial: int, rate: float, **changes: Any) -> TrialRecord:
    result = {**RESULT, **changes}
    point = {"learning_rate": rate, "name": "[red]x"}
    return TrialRecord(study, trial, point, result["status"], result["reason"], result)


FAILED = record(1, 2, 0.02, status="failed", reason="odd [/b] text", time_to_target_sec=None, best={}, steps=0)
WITHOUT_RESULT = TrialRecord(1, 3, {"learning_rate": 0.1, "name": "[red]x"}, "failed", "no state", None)
INTERRUPTED = record(2, 1, 1 / 3, status="interrupted", time_to_target_sec=None, not_comparable=["config.max_steps"])


def study_report(*records: TrialRecord, overwrite: bool = False, **settings: Any) -> list[list[str]]:
    """The lines, each cut into cells."""
    file = io.StringIO()
    study = StudyResult(records, settings.get("num_planned", len(records)), settings.get("interrupted", False))
    print_study(Console(file=file, width=200), study, overwrite=overwrite)
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in file.getvalue().splitlines()]


def test_table_of_a_study() -> None:
    lines = study_report(record(1, 1, 0.01), FAILED, WITHOUT_RESULT, INTERRUPTED, num_planned=6, interrupted=True)
    assert lines[0] == ["tiny (builtin data) with nadamw: validation accuracy, target 0.9"]
    rows = [cells for cells in lines if len(cells) == 7 and cells[0]]
    assert rows == [
        ["1", "1", "target", "12.3 s", "0.9500", "100", "learning_rate 0.01"],
        ["1", "2", "failed", "not", "", "0", "learning_rate 0.02"],
        ["1", "3", "failed", "not", "", "", "learning_rate 0.1"],
        ["2", "1", "interrupt", "not", "0.9500", "100", "learning_rate 0.333"],
    ]
    assert [cells[0] for cells in lines if len(cells) == 1][-7:] == [
        "study 1, trial 2 failed: odd [/b] text",
        "study 1, trial 3 failed: no state",
        "study 1: fastest time to the validation target: 12.3 s",
        "study 2: fastest time to the validation target: not reached",
        "median over the studies of these times: not reached",
        "not comparable: this run set config.max_steps",
        "interrupted: 3 of 6 trials have ended; the same command goes on",
    ]


def test_table_of_a_study_of_which_nothing_ran() -> None:
    lines = study_report(num_planned=2, interrupted=True, overwrite=True)
    assert lines[0] == ["no trial began"]
    without = "the same command without --config.overwrite=True goes on"
    assert lines[-1] == [f"interrupted: 0 of 2 trials have ended; {without}"]


def test_hyperparameters_that_are_the_same_in_all_trials_are_shown_if_no_others_are() -> None:
    lines = study_report(record(1, 1, 0.01), record(2, 1, 0.01))
    assert [cells[6] for cells in lines if len(cells) == 7 and cells[0] == "1"] == ["learning_rate 0.01"]
    assert [cells[6] for cells in lines if len(cells) == 7 and "name" in cells[6]] == ["name [red]x"] * 2


def test_line_before_a_trial() -> None:
    file = io.StringIO()
    config: Any = base.named("tiny", "")
    config.update(study=2, trial=3, seed=7)
    print_trial_heading(Console(file=file, width=20), config, number=8, of=15)
    config.hyperparameters = {"rate": 0.012345, "kind": "[b]"}
    print_trial_heading(Console(file=file, width=20), config, number=8, of=15)
    assert file.getvalue().splitlines() == [
        "study 2, trial 3 (8 of 15): default hyperparameters, seed 7",
        "study 2, trial 3 (8 of 15): kind=[b], rate=0.0123, seed 7",
    ]


def test_line_about_a_finished_trial() -> None:
    file = io.StringIO()
    print_finished(Console(file=file, width=20), RESULT)
    expected = "finished already: target reached, time to validation target 12.3 s, 100 steps\n"
    assert file.getvalue() == expected
