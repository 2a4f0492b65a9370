"""The main command."""

import pathlib
import signal
from collections.abc import Iterator

import pytest

import workloads
from algoperf_jax.configuration import files
from algoperf_jax.main import StopOnSignal, main
from algoperf_jax.submission.framework_names import ENTRIES, algorithm_names
from tests.algoperf_jax.conftest import Command


@pytest.fixture
def signals() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in StopOnSignal.NUMBERS}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_shows_a_command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "python -m algoperf_jax.main --config=ogbg" in out
    assert "--config.seed=INT  (default: 0)" in out


def test_list_has_every_workload_and_algorithm(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for f in ENTRIES for name in algorithm_names(f))
    lines = {line.split(" ")[0]: line for line in out.splitlines()}
    for name in workloads.base_names():
        variants = [other for other in workloads.names() if workloads.base_name(other) == name and other != name]
        assert ("variants" in lines[name]) == bool(variants)
        assert all(variant.removeprefix(f"{name}_") in lines[name] for variant in variants)
    assert lines["mnist"].endswith(
        "a one-hidden-layer classifier of digits, for development: accuracy >= 0.97 within 60 s "
        "(built-in data: accuracy >= 0.96 within 60 s)"
    )
    assert f"configurations: {', '.join(files.names())}" in out


def test_help_after_a_configuration_shows_what_it_sets(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config=mnist", "--config.seed=3", "--help"]) == 0
    out = capsys.readouterr().out
    assert "python -m algoperf_jax.main --config=ogbg" in out
    assert "--config.seed=INT  (default: 0)  (here: 3)" in out
    assert main(["--help", "--config=mnst"]) == 2
    assert "Did you mean 'mnist'?" in capsys.readouterr().err


def test_show_only_prints_the_configuration(
    capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["--config=mnist", "--config.seed=3", "--show"]) == 0
    assert "--config.seed=3  # default: 0" in capsys.readouterr().out.splitlines()
    assert not list(tmp_path.iterdir())
    assert main(["--config=mnist", "--config.sed=3", "--show"]) == 2


@pytest.mark.parametrize("number", StopOnSignal.NUMBERS)
def test_first_signal_asks_to_stop_and_the_second_acts_at_once(number: signal.Signals, signals: None) -> None:
    stop_requested = StopOnSignal()
    assert not stop_requested()
    signal.raise_signal(number)
    assert stop_requested()
    assert signal.getsignal(number) is signal.SIG_DFL


def test_a_hangup_that_is_ignored_stays_ignored(signals: None) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    stop_requested = StopOnSignal()
    signal.raise_signal(signal.SIGHUP)
    assert not stop_requested()


def test_exit_code_of_a_trial_that_ended_well(command: Command, tmp_path: pathlib.Path) -> None:
    finished = command()
    assert (finished.code, finished.err) == (0, "")
    assert "training complete" in finished.out
    assert f"to score: python -m scoring --logs={tmp_path / 'default'} --builtin\n" in finished.out
    assert "starting on 1 x cpu, builtin data (256 training examples), batch size 32, 67 parameters" in finished.out
