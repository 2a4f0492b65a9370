"""Several processes that share one run through `jax.distributed`."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from algoperf_jax.errors import ConfigError
from algoperf_jax.trial.loop import Agree, Reading, no_need_to_agree

_AGREEMENT_PERIOD_SEC = 0.5
_MOST_STEPS_BETWEEN = 100


def initialize(settings: Any) -> None:
    """Joins the processes of a run, if `config.distributed` names several. Comes before any use of a device.

    The processes stay joined: further trials in them find that nothing is left to do.

    Raises:
      ConfigError: the settings are incomplete, or the others cannot be reached.
    """
    given = {key: value for key, value in settings.items() if value is not None}
    if not given or jax.distributed.is_initialized():
        return
    missing = sorted(set(settings) - set(given))
    if missing:
        raise ConfigError(
            f"config.distributed.{missing[0]} is missing",
            expected="coordinator_address, num_processes and process_id together",
        )
    if not settings.process_id < settings.num_processes:
        raise ConfigError(
            "config.distributed.process_id",
            value=settings.process_id,
            expected=f"0 to {settings.num_processes - 1}",
        )
    try:
        jax.distributed.initialize(settings.coordinator_address, settings.num_processes, settings.process_id)
    except (RuntimeError, ValueError) as error:
        raise ConfigError(
            f"config.distributed: the processes did not find each other ({str(error).splitlines()[0]})",
            expected=f"{settings.num_processes} processes, all reaching {settings.coordinator_address}",
        ) from error


def is_leader() -> bool:
    """Whether this process writes the logs."""
    return jax.process_index() == 0


def agreement() -> Agree:
    """How the processes of this run come to one reading of the clock: the slowest one's."""
    return no_need_to_agree if jax.process_count() == 1 else Agreement(_gather)


def _gather(mine: np.ndarray) -> np.ndarray:
    # Sent as bytes: without 64-bit mode JAX would round the seconds to float32.
    gathered = multihost_utils.process_allgather(mine.view(np.uint8))
    return np.asarray(gathered, np.uint8).view(np.float64)


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
