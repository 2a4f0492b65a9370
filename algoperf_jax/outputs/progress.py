"""Shows the progress of a trial: a live line on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable

from rich.console import Console
from rich.status import Status
from rich.text import Text

from algoperf_jax.trial.clock import Bucket, Clock
from algoperf_jax.trial.events import Event
from algoperf_jax.workload import Goal

_LIVE_PERIOD_SEC = 0.5


class Progress:
    """Shows step, loss, metric, used part of the budget and steps per second. A sink.

    Args:
      console: where to write; on a terminal one line is updated, elsewhere lines are added.
      title: name of the run.
      goal: target, whose metric is shown.
      budget_sec: limit on the submission time.
      max_steps: limit on steps, or None.
      period_sec: seconds between plain lines.
      now: the time in seconds.
    """

    def __init__(
        self,
        console: Console,
        *,
        title: str,
        goal: Goal,
        budget_sec: float,
        max_steps: int | None,
        period_sec: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self.title = title
        self._goal = goal
        self._budget_sec = budget_sec
        self._max_steps = max_steps
        self._period_sec = _LIVE_PERIOD_SEC if console.is_terminal else period_sec
        self._now = now
        self._shown_at = now()
        self._shown_step: int | None = None
        self._shown_submission_sec = 0.0
        self._loss = ""
        self._metric = ""
        self._rate = ""
        self._status: Status | None = Status("starting", console=console) if console.is_terminal else None

    def start(self) -> None:
        """Starts showing the live line."""
        if self._status is not None:
            self._status.start()

    def stop(self) -> None:
        """Removes the live line."""
        if self._status is not None:
            self._status.stop()

    def say(self, line: str) -> None:
        """Prints a permanent line."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def is_due(self) -> bool:
        """Whether it is time for another line."""
        return self._now() - self._shown_at >= self._period_sec

    def show(self, step: int, clock: Clock) -> None:
        """Shows a progress line."""
        submission_sec = clock.seconds(Bucket.SUBMISSION)
        if self._shown_step is not None and submission_sec > self._shown_submission_sec:
            rate = (step - self._shown_step) / (submission_sec - self._shown_submission_sec)
            self._rate = f"{rate:.3g} steps/s"
        self._shown_at, self._shown_step, self._shown_submission_sec = self._now(), step, submission_sec
        steps = f"step {step}" + (f" of {self._max_steps}" if self._max_steps else "")
        used = f"{submission_sec:.0f} s of {self._budget_sec:.0f} s"
        line = ", ".join(part for part in (steps, self._loss, self._metric, used, self._rate) if part)
        if self._status is not None:
            self._status.update(Text(f"{self.title}: {line}"))
        else:
            self.say(f"{self.title}: {line}")

    def __call__(self, event: Event) -> None:
        """Takes losses and evaluations from events."""
        if event.kind == "train" and "loss" in event.values:
            self._loss = f"loss {event.values['loss']:.4f}"
        elif event.kind == "evaluation":
            self._metric = self._describe(event)
            self.say(f"{self.title}: step {event.step}: evaluation: {self._metric} (target {self._target()})")

    def _describe(self, event: Event) -> str:
        metric = self._goal.metric
        shown = [
            f"{split} {metric} {event.values[key]:.4f}"
            for split in ("validation", "test")
            if (key := f"{split}/{metric}") in event.values
        ]
        return ", ".join(shown)

    def _target(self) -> str:
        sign = ">" if self._goal.direction == "maximize" else "<"
        targets = [target for target in (self._goal.validation, self._goal.test) if target is not None]
        return " and ".join(f"{sign} {target:g}" for target in targets) or "none"
