"""Settings for several processes, and their agreement on the time."""

from typing import Any

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from algoperf_jax.devices import distributed
from algoperf_jax.errors import ConfigError
from algoperf_jax.trial.loop import Reading


def settings(**given: Any) -> ConfigDict:
    return ConfigDict({"coordinator_address": None, "num_processes": None, "process_id": None, **given})


def test_nothing_set_runs_alone() -> None:
    distributed.initialize(settings())


def test_incomplete_settings_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"config\.distributed\.num_processes is missing"):
        distributed.initialize(settings(coordinator_address="127.0.0.1:1", process_id=0))


def test_process_id_out_of_range_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"config\.distributed\.process_id: found 2; expected 0 to 1"):
        distributed.initialize(settings(coordinator_address="127.0.0.1:1", num_processes=2, process_id=2))


def test_under_slurm_nothing_is_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    """JAX's own guess is one port for all steps of an allocation."""
    joined: list[tuple[Any, ...]] = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda *arguments: joined.append(arguments))
    slurm = {"JOB_ID": "7", "STEP_ID": "1", "STEP_NODELIST": "host1", "NTASKS": "2", "PROCID": "1", "LOCALID": "0"}
    for name, value in slurm.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    distributed.initialize(settings())
    assert joined == []
    with pytest.raises(ConfigError, match=r"config\.distributed\.coordinator_address is missing"):
        distributed.initialize(settings(num_processes=2, process_id=1))
    distributed.initialize(settings(coordinator_address="host2:1234", num_processes=2, process_id=1))
    assert joined == [("host2:1234", 2, 1)]


class OtherProcess:
    """A stub of the exchange with a process whose clock is ahead by `lead` seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, lead: float, stop: bool = False) -> None:
        self.exchanges = 0
        self.lead, self.stop = lead, stop
        monkeypatch.setattr(distributed.multihost_utils, "process_allgather", self.gather)

    def gather(self, mine: np.ndarray) -> np.ndarray:
        self.exchanges += 1
        theirs = mine.view(np.float64) + np.asarray([self.lead, self.lead, float(self.stop)])
        return np.stack([mine, theirs.view(np.uint8)])


def test_the_slowest_process_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    other = OtherProcess(monkeypatch, lead=0.125, stop=True)
    seconds = 1e8 + 1 / 3  # float32 would lose this
    agreed = distributed.Agreement(distributed._gather)(1, Reading(seconds, seconds + 1, False), force=False)
    assert agreed == Reading(seconds + 0.125, seconds + 1.125, True)
    assert other.exchanges == 1


@pytest.mark.parametrize(("step_sec", "exchanges"), [(2.0, 100), (0.25, 50), (0.001, 3)])
def test_fast_steps_agree_about_twice_a_second(
    monkeypatch: pytest.MonkeyPatch, step_sec: float, exchanges: int
) -> None:
    other = OtherProcess(monkeypatch, lead=0.0)
    agree = distributed.Agreement(distributed._gather)
    for step in range(1, 101):
        agree(step, Reading(step_sec * step, step_sec * step, False), force=False)
    assert other.exchanges == pytest.approx(exchanges, abs=1)


def test_force_agrees_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    OtherProcess(monkeypatch, lead=0.0)
    agree = distributed.Agreement(distributed._gather)
    for step in range(1, 4):
        agree(step, Reading(0.001 * step, 0.0, False), force=False)
    assert agree(4, Reading(0.004, 0.0, False), force=False) is None
    assert agree(4, Reading(0.004, 0.0, False), force=True) is not None
