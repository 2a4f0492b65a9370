"""The progress display of a trial."""

import io

import pytest
from rich.console import Console

from algoperf_jax.outputs.progress import Progress
from algoperf_jax.trial.clock import Bucket, Clock
from algoperf_jax.trial.events import Event
from algoperf_jax.workload import Goal
from tests.algoperf_jax.trial.scripted_trial import FakeTime

GOAL = Goal("accuracy", "maximize", validation=0.9, test=0.8)
EVALUATION = Event("evaluation", 20, {}, {"validation/accuracy": 0.5, "test/accuracy": 0.25, "validation/loss": 1.0})


class Shown:
    """A progress display on a fake clock, and its output."""

    def __init__(self, goal: Goal = GOAL, max_steps: int | None = None, *, terminal: bool = False) -> None:
        self.time = FakeTime()
        self.clock = Clock.start(Bucket.SUBMISSION, now=self.time.now)
        self.file = io.StringIO()
        self.progress = Progress(
            Console(file=self.file, force_terminal=terminal, width=40),
            title="tiny/[nadamw]",
            goal=goal,
            budget_sec=60.0,
            max_steps=max_steps,
            period_sec=15.0,
            now=lambda: self.time.seconds,
        )

    def step(self, number: int, seconds: float) -> None:
        self.time.sleep(seconds)
        self.clock = self.clock.book(Bucket.SUBMISSION)
        self.progress.show(number, self.clock)

    @property
    def lines(self) -> list[str]:
        return self.file.getvalue().splitlines()


def test_lines_are_due_once_per_period() -> None:
    shown = Shown()
    shown.time.sleep(14.9)
    assert not shown.progress.is_due()
    shown.time.sleep(0.1)
    assert shown.progress.is_due()
    shown.step(5, 0.0)
    assert not shown.progress.is_due()


def test_line_has_step_loss_metric_time_and_rate() -> None:
    shown = Shown(max_steps=100)
    shown.step(10, 15.0)
    shown.progress(Event("train", 20, {}, {"loss": 1.23456, "grad_norm": 2.0}))
    shown.progress(EVALUATION)
    shown.step(40, 15.0)
    # Lines do not wrap on a narrow terminal, and brackets are not markup.
    assert shown.lines == [
        "tiny/[nadamw]: step 10 of 100, 15 s of 60 s",
        "tiny/[nadamw]: step 20: evaluation: validation accuracy 0.5000, test accuracy 0.2500 (target > 0.9 and > 0.8)",
        "tiny/[nadamw]: step 40 of 100, loss 1.2346, validation accuracy 0.5000, test accuracy 0.2500, 30 s of 60 s, "
        "2 steps/s",
    ]


@pytest.mark.parametrize(
    ("goal", "expected"),
    [
        (Goal("accuracy", "maximize", 0.9, None), "validation accuracy 0.5000 (target > 0.9)"),
        (Goal("loss", "minimize", 0.5, None), "validation loss 1.0000 (target < 0.5)"),
    ],
)
def test_evaluation_without_a_test_target(goal: Goal, expected: str) -> None:
    shown = Shown(goal)
    shown.progress(Event("evaluation", 20, {}, {"validation/accuracy": 0.5, "validation/loss": 1.0}))
    assert shown.lines == [f"tiny/[nadamw]: step 20: evaluation: {expected}"]


def test_other_events_are_not_shown() -> None:
    shown = Shown()
    for kind in ("start", "resume", "end"):
        shown.progress(Event(kind, 0, {}, {"status": "failed"}))
    shown.progress(Event("train", 0, {}, {"grad_norm": 1.0}))
    assert shown.lines == []


def test_terminal_keeps_one_line_up_to_date() -> None:
    shown = Shown(terminal=True)
    shown.progress.start()
    shown.time.sleep(0.5)
    assert shown.progress.is_due()
    shown.step(7, 0.0)
    shown.progress.stop()
    output = shown.file.getvalue()
    assert "tiny/[nadamw]: step 7" in output
    # The cursor goes back and the line is erased.
    assert "\x1b[2K" in output
