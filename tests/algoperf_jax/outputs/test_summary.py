"""The summary and the plot at the end of a run."""

import dataclasses
import io
import pathlib
from typing import Any

import pytest
from rich.console import Console

from algoperf_jax.errors import RunError
from algoperf_jax.outputs.summary import draw_learning_curve, print_finished, print_next_steps, print_summary
from algoperf_jax.trial.run_state import Evaluation
from algoperf_jax.workload import Goal
from configs import base
from tests.algoperf_jax.example_result import RESULT

GOAL = Goal("accuracy", "maximize", validation=0.9, test=0.8)


def evaluation(step: int, accuracy: float) -> Evaluation:
    return Evaluation(step, {"validation/accuracy": accuracy, "train/accuracy": accuracy, "score": step / 10})


def summary(**changes: Any) -> str:
    file = io.StringIO()
    print_summary(Console(file=file, width=200), dataclasses.replace(RESULT, **changes))
    return file.getvalue()


def row(name: str, **changes: Any) -> str:
    lines = [[cell.strip() for cell in line.split("│")] for line in summary(**changes).splitlines()]
    (found,) = [cells[2] for cells in lines if len(cells) == 4 and cells[1] == name]
    return found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("outcome", "target reached"),
        ("time to validation target", "12.3 s"),
        ("steps", "100"),
        ("best on validation", "accuracy 0.9500 (target 0.9)"),
        ("best on test", "accuracy 0.8500 (target 0.8)"),
        ("submission time", "20.0 s of 60 s"),
        ("other time", "setup 1.0 s, evaluation 2.0 s, logging 3.0 s, other 4.0 s"),
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


def test_the_reasons_for_an_incomparable_run_are_shown() -> None:
    assert row("not comparable", not_comparable=["config.max_steps"]) == "this run set config.max_steps"


@pytest.mark.parametrize("history", [[], [evaluation(10, 0.5), evaluation(20, float("nan"))]])
def test_learning_curve(history: list[Evaluation], tmp_path: pathlib.Path) -> None:
    path = tmp_path / "curve.png"
    draw_learning_curve(path, history, GOAL, title="tiny")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_learning_curve_that_cannot_be_written(tmp_path: pathlib.Path) -> None:
    with pytest.raises(RunError, match="cannot be written: No such file or directory"):
        draw_learning_curve(tmp_path / "missing" / "curve.png", [], GOAL, title="tiny")


def test_line_about_a_finished_trial() -> None:
    file = io.StringIO()
    print_finished(Console(file=file, width=20), RESULT)
    expected = "already finished: target reached, time to validation target 12.3 s, 100 steps\n"
    assert file.getvalue() == expected


RESUME = "to resume: python -m algoperf_jax.main --config=mnist '--config.submission=a b.py'"


@pytest.mark.parametrize(
    ("changes", "options", "line"),
    [
        ({}, {}, "to score: python -m scoring --logs=experiments/default --builtin"),
        ({"data_dir": "data", "experiment_dir": "my logs"}, {}, "to score: python -m scoring --logs='my logs/default'"),
        (
            {"ruleset": "self", "data_dir": "data"},
            {},
            "to score: python -m scoring --logs=experiments/default --ruleset=self",
        ),
        (
            {},
            {"interrupted": True},
            RESUME,
        ),
        (
            {"overwrite": True},
            {"interrupted": True},
            f"{RESUME} --config.overwrite=False",
        ),
        (
            {},
            {"interrupted": True, "processes": 2},
            "to resume: start all processes again, without --config.overwrite=True",
        ),
    ],
)
def test_next_steps(changes: dict[str, Any], options: dict[str, Any], line: str) -> None:
    config = base.get_config()
    config.update(changes)
    stream = io.StringIO()
    arguments = ["--config=mnist", "--config.submission=a b.py"]
    print_next_steps(Console(file=stream), config, arguments, **{"interrupted": False, "processes": 1, **options})
    assert stream.getvalue() == f"{line}\n"
