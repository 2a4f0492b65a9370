"""The console output of studies."""

import dataclasses
import io
from typing import Any

from rich.console import Console

from algoperf_jax.tuning.study_report import print_study, print_trial_heading
from algoperf_jax.tuning.study_result import StudyResult, TrialRecord
from configs import base
from tests.algoperf_jax.example_result import RESULT


def record(study: int, trial: int, rate: float, **changes: Any) -> TrialRecord:
    result = dataclasses.replace(RESULT, **changes)
    point = {"learning_rate": rate, "name": "[red]x"}
    return TrialRecord(study, trial, point, result.status, result.reason, result)


FAILED = record(1, 2, 0.02, status="failed", reason="odd [/b] text", time_to_target_sec=None, best={}, steps=0)
WITHOUT_RESULT = TrialRecord(1, 3, {"learning_rate": 0.1, "name": "[red]x"}, "failed", "no state", None)
INTERRUPTED = record(2, 1, 1 / 3, status="interrupted", time_to_target_sec=None, not_comparable=["config.max_steps"])


def report(*records: TrialRecord, overwrite: bool = False, **settings: Any) -> list[list[str]]:
    """The lines, each split into cells."""
    file = io.StringIO()
    study = StudyResult(records, settings.get("num_planned", len(records)), settings.get("interrupted", False))
    print_study(Console(file=file, width=200), study, overwrite=overwrite)
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in file.getvalue().splitlines()]


def test_table_of_a_study() -> None:
    lines = report(record(1, 1, 0.01), FAILED, WITHOUT_RESULT, INTERRUPTED, num_planned=6, interrupted=True)
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
        "median of these times over the studies: not reached",
        "not comparable: this run set config.max_steps",
        "interrupted: 3 of 6 trials have ended; the same command resumes",
    ]


def test_table_of_a_study_without_trials() -> None:
    lines = report(num_planned=2, interrupted=True, overwrite=True)
    assert lines[0] == ["no trial has begun"]
    without = "the same command without --config.overwrite=True resumes"
    assert lines[-1] == [f"interrupted: 0 of 2 trials have ended; {without}"]


def test_hyperparameters_that_are_the_same_in_all_trials_are_shown_if_no_others_are() -> None:
    lines = report(record(1, 1, 0.01), record(2, 1, 0.01))
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
