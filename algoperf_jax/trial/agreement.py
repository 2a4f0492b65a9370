"""How the processes that share a trial come to one reading of the clock, so that all decide alike."""

import dataclasses
from collections.abc import Callable
from typing import Protocol

import numpy as np

_AGREEMENT_PERIOD_SEC = 0.5
_MOST_STEPS_BETWEEN = 100


@dataclasses.dataclass(frozen=True)
class Reading:
    """What decisions are made from: the same numbers in every process that shares the trial."""

    submission_seconds: float
    trial_seconds: float
    stop_requested: bool


class Agree(Protocol):
    """Makes one reading of those of all processes; None when no decision is due yet. `force` demands one."""

    def __call__(self, step: int, reading: Reading, *, force: bool) -> Reading | None: ...


def no_need_to_agree(step: int, reading: Reading, *, force: bool) -> Reading:
    """One process decides alone, at every step."""
    del step, force
    return reading


class Agreement:
    """Compares readings about twice a second rather than at every step, since a comparison waits for all.

    The number of steps until the next comparison follows from numbers that all processes share, so all compare at the
    same steps.
    """

    def __init__(self, gather: Callable[[np.ndarray], np.ndarray]) -> None:
        """`gather` brings together the float64 array of each process, of one shape, along a new first axis."""
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
