"""The command line itself."""

import signal
from collections.abc import Iterator

import pytest

import workloads
from algoperf_jax.main import StopOnSignal, main
from algoperf_jax.submission.framework_names import ENTRIES, algorithm_names
from tests.algoperf_jax.conftest import Command


@pytest.fixture
def signals() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_shows_a_command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    assert "python -m algoperf_jax.main --config=configs/ogbg.py" in capsys.readouterr().out


def test_list_has_every_workload_and_algorithm(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in (*workloads.names(), *(a for f in ENTRIES for a in algorithm_names(f))))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_first_signal_asks_to_stop_and_the_second_acts_at_once(number: signal.Signals, signals: None) -> None:
    stop_requested = StopOnSignal()
    assert not stop_requested()
    signal.raise_signal(number)
    assert stop_requested()
    assert signal.getsignal(number) is signal.SIG_DFL


def test_exit_code_of_a_trial_that_ended_well(command: Command) -> None:
    finished = command()
    assert (finished.code, finished.err) == (0, "")
    assert "training complete" in finished.out
    assert "starting on 1 x cpu, builtin data (256 training examples), batch size 32, 67 parameters" in finished.out
