"""Lets the processes that share a trial agree on one clock reading, so that all make the same decisions."""

import dataclasses
from collections.abc import Callable
from typing import Protocol

import numpy as np

_AGREEMENT_PERIOD_SEC = 0.5
_MOST_STEPS_BETWEEN = 100


@dataclasses.dataclass(frozen=True)
class Reading:
    """The basis of decisions: the same numbers in every process that shares the trial."""

    submission_seconds: float
    trial_seconds: float
    stop_requested: bool


class Agree(Protocol):
    """Combines the readings of all processes into one; returns None if no decision is due, unless `force` is true."""

    def __call__(self, step: int, reading: Reading, *, force: bool) -> Reading | None: ...


def no_need_to_agree(step: int, reading: Reading, *, force: bool) -> Reading:
    """For a single process: returns its reading at every step."""
    del step, force
    return reading


class Agreement:
    """Compares readings about twice a second rather than at every step, because a comparison waits for all processes.

    The number of steps until the next comparison depends only on numbers that all processes share, so all compare at
    the same steps.

    Args:
      gather: stacks the float64 arrays of all processes, of equal shape, along a new first axis.
    """

    def __init__(self, gather: Callable[[np.ndarray], np.ndarray]) -> None:
        self._gather = gather
        self._next_step = 1
        self._last: tuple[int, float] | None = None

    def __call__(self, step: int, reading: Reading, *, force: bool) -> Reading | None:
        if step < self._next_step and not force:
            return None
        mine = np.asarray([reading.submission_seconds, reading.trial_seconds, reading.stop_requested], np.float64)
        submission_seconds, trial_seconds, stop = self._gather(mine).reshape(-1, 3).max(axis=0)
        stride = 1
        if self._last is not None and step > self._last[0]:
            seconds_per_step = max((submission_seconds - self._last[1]) / (step - self._last[0]), 1e-6)
            stride = min(max(int(_AGREEMENT_PERIOD_SEC / seconds_per_step), 1), _MOST_STEPS_BETWEEN)
        self._last = (step, float(submission_seconds))
        self._next_step = step + stride
        return Reading(float(submission_seconds), float(trial_seconds), bool(stop))
