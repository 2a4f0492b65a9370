"""Studies at the command line: all trials, remaining trials, and failing trials."""

import dataclasses
import json
import pathlib
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jax
import pytest
from rich.console import Console

from algoperf_jax.errors import DataError, SubmissionError
from algoperf_jax.outputs.result import TrialResult
from algoperf_jax.tuning import study
from configs import base
from tests import one_device
from tests.algoperf_jax.conftest import Command
from tests.algoperf_jax.example_result import RESULT

ROOT = pathlib.Path(__file__).parents[3]
Write = Callable[..., pathlib.Path]

# Does what its hyperparameters say, once: a file records that it was done.
OBEY = """
import os, pathlib, signal

def update_params(hyperparameters, global_step, optimizer_state, current_param_container, model_state, **rest):
    mark = pathlib.Path({folder!r}) / "obeyed"
    if hyperparameters.order == "interrupt" and global_step == 1 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.{signal})
    if hyperparameters.order == "fail":
        raise ValueError("as ordered")
    return optimizer_state, current_param_container, model_state
"""


@pytest.fixture
def space(tmp_path: pathlib.Path) -> Callable[..., str]:
    def write(*orders: str) -> str:
        path = tmp_path / "space.json"
        path.write_text(json.dumps([{"order": order, "number": number} for number, order in enumerate(orders)]))
        return f"--config.search_space={path}"

    return write


@pytest.fixture
def obedient(submission: Write, tmp_path: pathlib.Path) -> str:
    return f"--config.submission={submission(OBEY.format(folder=str(tmp_path), signal='SIGUSR1'))}"


def results(experiment_dir: pathlib.Path) -> dict[str, Any]:
    """`study_<k>/.../trial_<j>` -> result, of the finished trials."""
    paths = sorted((experiment_dir / "default").rglob("result.json"))
    return {f"{path.parts[-4]}/{path.parts[-2]}": json.loads(path.read_text()) for path in paths}


def statuses(experiment_dir: pathlib.Path) -> dict[str, str]:
    return {name: result["status"] for name, result in results(experiment_dir).items()}


def contents(experiment_dir: pathlib.Path, *trials: str) -> dict[pathlib.Path, tuple[int, bytes]]:
    """File -> time of its last change and content, of finished trials."""
    folders = [pathlib.Path(results(experiment_dir)[trial]["directory"]) for trial in trials]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def names(studies: int, trials: int) -> list[str]:
    return [f"study_{k}/trial_{j}" for k in range(1, studies + 1) for j in range(1, trials + 1)]


# --- all trials ------------------------------------------------------------------------------------------------------


def test_interrupted_study_resumes(command: Command, space: Any, obedient: str, tmp_path: pathlib.Path) -> None:
    arguments = [space("train", "interrupt", "train"), obedient, "--config.num_studies=2", "--config.max_steps=4"]
    first = command(*arguments)
    assert (first.code, first.err) == (0, "")
    assert "interrupted: 1 of 6 trials have ended; the same command resumes" in first.out
    assert list(results(tmp_path)) == ["study_1/trial_1"]
    finished = contents(tmp_path, "study_1/trial_1")
    second = command(*arguments)
    assert (second.code, second.err) == (0, "")
    assert "resuming from step 2" in second.out
    assert statuses(tmp_path) == dict.fromkeys(names(2, 3), "training_complete")
    assert contents(tmp_path, "study_1/trial_1") == finished
    assert "study 2, trial 3 (6 of 6): order=train, number=2, seed" in second.out
    assert "median of these times over the studies: not reached" in second.out
    assert "not comparable: this run set config.max_steps" in second.out
    # Each trial records its hyperparameters and the study run that it belongs to.
    seeds = set()
    for name, result in results(tmp_path).items():
        own = json.loads((pathlib.Path(result["directory"]) / "config.json").read_text())
        number = int(name[-1]) - 1
        assert own["hyperparameters"] == {"order": ("train", "interrupt", "train")[number], "number": number}
        assert name == f"study_{own['study']}/trial_{own['trial']}"
        assert own["num_studies"] == 2
        seeds.add(own["seed"])
    assert len(seeds) == 6
    everything = contents(tmp_path, *names(2, 3))
    again = command(*arguments)
    assert (again.code, again.err) == (0, "")
    assert again.out.count("already finished") == 6
    assert contents(tmp_path, *names(2, 3)) == everything


def test_some_of_the_trials(command: Command, space: Any, obedient: str, tmp_path: pathlib.Path) -> None:
    arguments = [space("train", "train", "train"), obedient]
    assert command(*arguments, "--config.trials=2:3", "--config.study=2").code == 0
    assert list(results(tmp_path)) == ["study_2/trial_2", "study_2/trial_3"]
    finished = contents(tmp_path, *results(tmp_path))
    assert command(*arguments, "--config.trials", "1", "--config.num_studies=2").code == 0
    assert list(results(tmp_path)) == ["study_1/trial_1", "study_2/trial_1", "study_2/trial_2", "study_2/trial_3"]
    assert contents(tmp_path, "study_2/trial_2", "study_2/trial_3") == finished


def test_failed_trials_do_not_end_a_study(command: Command, space: Any, obedient: str, tmp_path: pathlib.Path) -> None:
    arguments = [space("fail", "train"), obedient]
    finished = command(*arguments)
    assert (finished.code, finished.err) == (0, "")
    assert statuses(tmp_path) == {"study_1/trial_1": "failed", "study_1/trial_2": "training_complete"}
    assert re.search(r"^study 1, trial 1 failed: .*ValueError.*as ordered", finished.out, re.MULTILINE)
    again = command(*arguments)
    assert (again.code, again.out.count("already finished")) == (0, 2)


def test_all_trials_fail(command: Command, space: Any, obedient: str) -> None:
    finished = command(space("fail", "fail"), obedient)
    assert "error: all 2 trials failed; the first: " in finished.error()
    assert "as ordered" in finished.error()


def test_submission_that_fails_before_its_trial_begins(command: Command, space: Any, submission: Write) -> None:
    refuse = """
def init_optimizer_state(workload, params, model_state, hyperparameters, rng):
    if hyperparameters.order == "fail":
        raise ValueError("as ordered")
    return {"calls": 0}
"""
    finished = command(space("fail", "train"), f"--config.submission={submission(refuse)}")
    assert (finished.code, finished.err) == (0, "")
    assert re.search(r"^study 1, trial 1 failed: .*ValueError.*as ordered", finished.out, re.MULTILINE)


def test_self_tuning(command: Command, submission: Write, tmp_path: pathlib.Path) -> None:
    arguments = [f"--config.submission={submission()}", "--config.ruleset=self", "--config.num_studies=2"]
    assert command(*arguments).code == 0
    assert statuses(tmp_path) == dict.fromkeys(["study_1/trial_1", "study_2/trial_1"], "training_complete")
    assert {result["budget_sec"] for result in results(tmp_path).values()} == {1500}
    assert not list(tmp_path.rglob("hparams.json"))
    line = command(*arguments, "--config.num_trials=2").error()
    assert "config.num_trials: found 2; expected 1 with --config.ruleset=self" in line


def test_compiled_programs_are_shared_if_wished(command: Command, submission: Write, tmp_path: pathlib.Path) -> None:
    def folder() -> Any:
        return getattr(jax.config, "jax_compilation_cache_dir")  # the type checker knows no such name

    before = folder()
    arguments = [f"--config.submission={submission()}", "--config.num_trials=2"]
    finished = command(*arguments, "--config.share_compilation=True")
    assert finished.code == 0
    assert f"Trials share compiled programs through {tmp_path}/.compilation_cache" in finished.out
    assert list((tmp_path / ".compilation_cache").iterdir())
    assert folder() == before


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["--config.num_trials=3"], "config.num_trials: found 3; expected at most 2, the number of points"),
        (["--config.trial=2"], "config.trial: found 2; expected 1 when several trials are run"),
        (["--config.trials=3"], "config.trials: found '3'; expected trials from 1 to 2"),
        (["--config.hyperparameters.number=2"], "config.hyperparameters.number: found 2; expected no value"),
        (["--config.ruleset=self"], "config.search_space: found"),
        (["--config.search_space=missing.json"], "config.search_space: No such file or directory: found"),
        (["--config.submission=nadamw"], "unknown hyperparameter config.hyperparameters.order for nadamw"),
        (["--config.batch_size=1", "--config.mesh.data=2"], "config.batch_size: found 1"),
    ],
)
def test_an_error_of_every_trial_ends_the_command(
    overrides: list[str], expected: str, command: Command, space: Any, obedient: str, tmp_path: pathlib.Path
) -> None:
    assert expected in command(space("train", "train"), obedient, *overrides).error()
    assert not results(tmp_path)


DECLARING = """
import typing

class Hyperparameters(typing.NamedTuple):
    learning_rate: float = 0.1
    warmup_steps: int = 5
    betas: tuple = (0.9, 0.99)
    nesterov: bool = True
"""


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        (
            [{"learning_rate": 0.001}, {"learning_rate": "oops"}, {"learning_rate": 0.002}],
            "point 2: config.hyperparameters.learning_rate: found 'oops'; expected a value of type float",
        ),
        ([{"warmup_steps": 3}, {"warmup_steps": 2.0}, {"warmup_steps": 2.5}], "point 3: config.hyperparameters.warmup"),
        ([{"betas": [0.9, 0.9]}, {"betas": [0.9, "x"]}], "point 2: config.hyperparameters.betas"),
        ([{"nesterov": True}, {"nesterov": 2}], "point 2: config.hyperparameters.nesterov: found 2"),
        ([{"nesterov": True}, {"nesterov": None}], "point 2: config.hyperparameters.nesterov: found None"),
        ({"warmup_steps": {"feasible_points": [1, "many"]}}, "config.hyperparameters.warmup_steps: found 'many'"),
        ({"warmup_steps": {"min": 1, "max": 9, "scaling": "linear"}}, "config.hyperparameters.warmup_steps: found"),
        ([{"momentum": 0.5}], "point 1: unknown hyperparameter config.hyperparameters.momentum for algorithm"),
    ],
)
def test_a_point_that_the_submission_cannot_use_is_refused_before_the_first_trial(
    points: Any, expected: str, command: Command, submission: Write, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "space.json"
    path.write_text(json.dumps(points))
    arguments = [f"--config.submission={submission(DECLARING)}", f"--config.search_space={path}"]
    line = command(*arguments).error()
    assert f"search space {path}, point " in line
    assert expected in line
    assert not (tmp_path / "default").exists()


def test_points_that_are_not_selected_are_not_refused(
    command: Command, submission: Write, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "space.json"
    path.write_text(json.dumps([{"warmup_steps": 3}, {"warmup_steps": "many"}]))
    arguments = [f"--config.submission={submission(DECLARING)}", f"--config.search_space={path}"]
    assert command(*arguments, "--config.trials=1").code == 0
    assert list(results(tmp_path)) == ["study_1/trial_1"]


# --- one trial after another -----------------------------------------------------------------------------------------


def execute(outcomes: list[Any], *, stop_before: int = 9, **settings: Any) -> tuple[study.StudyResult, list[int]]:
    """Runs a study whose trials end as given; also returns the numbers of the trials that began."""
    config: Any = base.named("tiny", "")
    config.update(num_trials=len(outcomes), **settings)
    begun: list[int] = []

    def run_trial(own: Any, console: Console, **options: Any) -> TrialResult:
        begun.append(own.trial)
        outcome = outcomes[own.trial - 1]
        if isinstance(outcome, Exception):
            raise outcome
        return dataclasses.replace(RESULT, status=outcome, time_to_target_sec=None, best={}, steps=1)

    result = study.execute(
        config,
        Console(quiet=True),
        stop_requested=lambda: len(begun) >= stop_before,
        run_trial=run_trial,
        check=lambda plan: None,
    )
    return result, begun


def test_only_the_words_of_a_submissions_error_are_kept() -> None:
    result, begun = execute([SubmissionError("one"), "target_reached", "failed"])
    assert begun == [1, 2, 3]
    assert [(record.status, record.reason) for record in result.trials] == [
        ("failed", "one"),
        ("target_reached", ""),
        ("failed", ""),
    ]


def test_other_errors_end_the_run() -> None:
    with pytest.raises(DataError, match="damaged"):
        execute(["target_reached", DataError("damaged"), "target_reached"])


def test_a_stop_between_two_trials() -> None:
    result, begun = execute(["target_reached"] * 3, stop_before=2)
    assert (begun, len(result.trials), result.interrupted) == ([1, 2], 2, True)


def test_a_stop_in_the_last_trial_but_after_its_last_step_interrupts_nothing() -> None:
    result, _ = execute(["target_reached"] * 2, stop_before=2)
    assert not result.interrupted


def test_several_processes_stop_after_a_step_on_which_they_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"LOCAL_RANK": "0", "RANK": "0", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    result, begun = execute(["target_reached", "interrupted", "target_reached"], stop_before=1)
    assert (begun, result.interrupted) == ([1, 2], True)


# --- killed ----------------------------------------------------------------------------------------------------------


def start(space: pathlib.Path, experiment_dir: pathlib.Path) -> subprocess.Popen[str]:
    compilation_cache = {
        "JAX_COMPILATION_CACHE_DIR": str(space.parent / "compilation_cache"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "tests.algoperf_jax.tuning.killable_study", str(space), str(experiment_dir)],
        cwd=ROOT,
        env=one_device.unoptimized(**compilation_cache),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def evaluations(experiment_dir: pathlib.Path) -> dict[str, list[dict[str, str]]]:
    """The rows of each trial's evaluations, without the number of the process that wrote them."""
    rows = {}
    for name, result in results(experiment_dir).items():
        text = (pathlib.Path(result["directory"]) / "eval_measurements.csv").read_text()
        header, *lines = (line.split(",") for line in text.splitlines())
        rows[name] = [dict(zip(header, line, strict=True)) for line in lines]
        for row in rows[name]:
            del row["preemption_count"]
    return rows


def test_killed_study_resumes_to_the_same_results(tmp_path: pathlib.Path) -> None:
    space = tmp_path / "space.json"
    space.write_text(json.dumps([{"learning_rate": 0.1, "dropout_rate": 0.2}] * 3))
    start(space, tmp_path / "undisturbed").communicate(timeout=300)
    killed = start(space, tmp_path / "killed")
    assert killed.stdout is not None
    second_trial = False
    for line in killed.stdout:
        second_trial = second_trial or line.startswith("study 1, trial 2")
        if second_trial and "step 22: evaluation" in line:
            killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert list(results(tmp_path / "killed")) == ["study_1/trial_1"]
    output, _ = start(space, tmp_path / "killed").communicate(timeout=300)
    assert "already finished" in output
    assert "resuming from step" in output
    expected = evaluations(tmp_path / "undisturbed")
    assert list(expected) == names(1, 3)
    assert all(len(rows) == 4 for rows in expected.values())
    # Each trial has its own seed and therefore its own results.
    assert len({row["train/loss"] for rows in expected.values() for row in rows[:1]}) == 3
    assert evaluations(tmp_path / "killed") == expected
