"""Several processes that share one run through `jax.distributed`."""

from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from algoperf_jax.errors import ConfigError
from algoperf_jax.trial.agreement import Agree, Agreement, no_need_to_agree


def initialize(settings: Any) -> None:
    """Joins the processes of a run, if `config.distributed` names several; must be called before any use of a device.

    The processes stay joined: for further trials, this does nothing.

    Raises:
      ConfigError: the settings are incomplete, or the other processes cannot be reached.
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
            f"config.distributed: the processes cannot connect ({str(error).splitlines()[0]})",
            expected=f"{settings.num_processes} processes that can reach {settings.coordinator_address}",
        ) from error


def is_leader() -> bool:
    """Whether this process writes the logs."""
    return jax.process_index() == 0


def agreement() -> Agree:
    """Makes the function by which the processes of a run agree on a clock reading, that of the slowest."""
    return no_need_to_agree if jax.process_count() == 1 else Agreement(_gather)


def _gather(mine: np.ndarray) -> np.ndarray:
    # Sent as bytes: without 64-bit mode JAX would round the seconds to float32.
    gathered = multihost_utils.process_allgather(mine.view(np.uint8))
    return np.asarray(gathered, np.uint8).view(np.float64)
