"""Every user error at the command line gives one line on stderr and exit code 2, and loses nothing."""

import dataclasses
import json
import os
import pathlib
import resource
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from algoperf_jax.errors import DataError
from algoperf_jax.outputs import run_directory
from algoperf_jax.outputs.run_directory import RunDirectory
from tests.algoperf_jax import tiny_workload
from tests.algoperf_jax.conftest import Command
from workloads.mnist.prepare import DATASET

ROOT = pathlib.Path(__file__).parents[2]
MNIST, OGBG = ROOT / "configs/mnist.py", ROOT / "configs/ogbg.py"
Write = Callable[..., pathlib.Path]
TrialDirectory = Callable[[str], pathlib.Path]


def status(folder: pathlib.Path) -> str:
    return json.loads((folder / "result.json").read_text())["status"]


def kinds(folder: pathlib.Path) -> list[tuple[str, int]]:
    records = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return [(record["kind"], record["step"]) for record in records]


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "config", "expected"),
    [
        ("--config.workload=mnst", MNIST, "unknown workload: found 'mnst'. Did you mean 'mnist'?"),
        ("--config.seed=0", f"{OGBG}:gelo", "unknown workload: found 'ogbg_gelo'. Did you mean 'ogbg_gelu'?"),
        ("--config.seed=0", f"{MNIST}:foo", "unknown workload: found 'mnist_foo'. Did you mean 'mnist'?"),
        ("--config.submission=nadam", MNIST, "found 'nadam'; expected a ready-made algorithm"),
        ("--config.max_stps=3", MNIST, "unknown config key config.max_stps. Did you mean config.max_steps?"),
    ],
)
def test_unknown_name(arguments: str, config: str, expected: str, command: Command) -> None:
    assert expected in command(arguments, config=config).error()


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("learnin_rate=3", "unknown hyperparameter config.hyperparameters.learnin_rate for nadamw. Did you mean"),
        (
            "learning_rate=fast",
            "config.hyperparameters.learning_rate: found 'fast'; expected a value of type float",
        ),
        ("learning_rate=None", "config.hyperparameters.learning_rate: found None; expected a value of type float"),
    ],
)
def test_hyperparameter_of_an_algorithm_that_declares_them(override: str, expected: str, command: Command) -> None:
    assert expected in command(f"--config.hyperparameters.{override}").error()


def test_exit_code_and_stderr_of_a_process() -> None:
    command = [sys.executable, "-m", "algoperf_jax.main", "--config=configs/mnist.py", "--config.max_stps=3"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    expected = "error: unknown config key config.max_stps. Did you mean config.max_steps?\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", expected)


# --- data ------------------------------------------------------------------------------------------------------------


def damage(mnist_data: pathlib.Path, how: str) -> None:
    folder = mnist_data / DATASET.name
    records = folder / "train-00000-of-00001.array_record"
    manifest = json.loads((folder / "manifest.json").read_text())
    if how == "missing":
        (folder / "manifest.json").unlink()
    elif how == "incomplete":
        records.unlink()
    elif how == "other version":
        (folder / "manifest.json").write_text(json.dumps({**manifest, "version": "0.0.1"}))
    elif how == "manifest is no JSON":
        (folder / "manifest.json").write_text("{")
    elif how == "truncated":
        os.truncate(records, records.stat().st_size // 2)
    elif how == "flipped":
        flip(records)


def flip(file: pathlib.Path) -> None:
    """Damages a byte of the data."""
    content = bytearray(file.read_bytes())
    content[len(content.rstrip(b"\0")) // 2] ^= 0xFF
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("missing", "no prepared mnist data in"),
        ("incomplete", "train-00000-of-00001.array_record is missing; the prepared data is incomplete"),
        ("other version", "found '0.0.1'; expected 1.0.0"),
        ("manifest is no JSON", "manifest.json is damaged"),
        ("truncated", "size of"),
        ("flipped", "train-00000-of-00001.array_record"),
    ],
)
def test_data(how: str, expected: str, mnist_data: pathlib.Path, command: Command) -> None:
    damage(mnist_data, how)
    line = command(f"--config.data_dir={mnist_data}", "--config.batch_size=32", config=MNIST).error()
    assert expected in line
    assert f"python -m algoperf_jax.prepare mnist --data_dir={mnist_data}" in line


def test_damage_that_shows_at_the_first_evaluation_does_not_end_the_trial(
    mnist_data: pathlib.Path, tmp_path: pathlib.Path, command: Command
) -> None:
    arguments = [f"--config.data_dir={mnist_data}", "--config.batch_size=32", "--config.submission=adamw"]
    validation = mnist_data / DATASET.name / "validation-00000-of-00001.array_record"
    intact = validation.read_bytes()
    flip(validation)
    assert "validation-00000-of-00001.array_record" in command(*arguments, config=MNIST).error()
    validation.write_bytes(intact)
    assert command(*arguments, config=MNIST).code == 0
    assert status(tmp_path / "default/adamw/study_1/mnist_jax/trial_1") == "training_complete"


def test_damage_that_shows_in_the_input_pipeline_does_not_end_the_trial(
    command: Command, submission: Write, trial: TrialDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    intact = tiny_workload.open_split

    def damaged(split: str, **options: Any) -> Any:
        reader = intact(split, **options)

        def batch(k: int) -> Any:
            if split == "train" and k == 2:
                raise DataError("record 7 is damaged", remedy="Prepare it again.")
            return reader.batch(k)

        return dataclasses.replace(reader, batch=batch)

    arguments = [f"--config.submission={submission()}", "--config.input.threads=0"]
    with monkeypatch.context() as patched:
        patched.setattr(tiny_workload, "open_split", damaged)
        assert command(*arguments).error() == "error: record 7 is damaged. Prepare it again.\n"
    assert command(*arguments).code == 0
    assert status(trial("algorithm")) == "training_complete"


# --- sizes and devices -----------------------------------------------------------------------------------------------


def test_batch_size_that_the_devices_cannot_share(command: Command) -> None:
    line = command("--config.mesh.data=8", "--config.batch_size=63").error()
    assert "config.batch_size: found 63; expected a positive multiple of the number of devices (8)" in line
    assert "--config.batch_size=56" in line


def test_more_devices_than_there_are(command: Command) -> None:
    line = command("--config.mesh.data=9").error()
    assert "config.mesh.data: found 9; expected 1 to 8, the number of cpu devices here" in line


def test_batch_too_small_for_a_molecule(command: Command) -> None:
    line = command("--config.mesh.data=1", "--config.batch_size=1", config=OGBG).error()
    assert "config.batch_size: found 1" in line
    assert "Set --config.batch_size=" in line


def test_a_fixed_command_runs_in_the_same_directory(command: Command) -> None:
    assert command("--config.mesh.data=2", "--config.batch_size=31").code == 2
    assert command("--config.mesh.data=2", "--config.batch_size=32").code == 0


# --- submissions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("replacement", "expected"),
    [
        (
            "def get_batch_size(name): return '32'",
            "get_batch_size('tiny') returned: found '32'; expected a positive int",
        ),
        (
            "def get_batch_size(name): return True",
            "get_batch_size('tiny') returned: found True; expected a positive int",
        ),
        ("def get_batch_size(name): raise KeyError(name)", "get_batch_size('tiny') raised KeyError: 'tiny'"),
        ("def get_batch_size(name): raise ValueError(name)", "get_batch_size('tiny') raised ValueError: tiny"),
        ("def get_batch_size(name): return 0", "get_batch_size('tiny') returned: found 0; expected a positive int"),
        ("def get_eval_batch_size(name): return -8", "get_eval_batch_size('tiny') returned: found -8"),
        ("def get_eval_batch_size(name): return 1.5", "get_eval_batch_size('tiny') returned: found 1.5"),
    ],
)
def test_submission_fails_before_the_trial(
    replacement: str, expected: str, command: Command, submission: Write, trial: TrialDirectory
) -> None:
    path = submission(replacement)
    line = command(f"--config.submission={path}").error()
    assert expected in line
    assert f"Fix it in {path}" in line
    # Nothing has begun: once this is fixed, the same command runs.
    submission()
    assert command(f"--config.submission={path}").code == 0
    assert status(trial("algorithm")) == "training_complete"


@pytest.mark.parametrize(
    ("replacement", "expected"),
    [
        ("def update_params(**arguments): return None", "update_params returned NoneType; expected the tuple"),
        ("def update_params(**arguments): return 1, 2", "update_params returned a tuple of 2; expected the tuple"),
        ("def prepare_for_eval(**arguments): return None", "prepare_for_eval returned NoneType; expected the tuple"),
        ("def update_params(**arguments): return 1, {}, 3", "update_params returned parameters of 0 arrays; expected"),
        (
            "def prepare_for_eval(model_state, **rest): return 1, {}, model_state",
            "prepare_for_eval returned parameters of 0 arrays; expected",
        ),
        (
            "def init_optimizer_state(*arguments): raise OSError('no')",
            "init_optimizer_state raised OSError (algorithm.py, line 16): no",
        ),
        (
            "def update_params(**arguments): raise SystemExit(0)",
            "update_params raised SystemExit at step 0 (algorithm.py, line 16): 0",
        ),
        ("def update_params(**arguments): next(iter(()))", "update_params raised StopIteration at step 0"),
        ("def data_selection(*arguments): raise StopIteration", "data_selection raised StopIteration at step 0"),
        (
            "def data_selection(*arguments): raise KeyError('x')",
            "data_selection raised KeyError at step 0 (algorithm.py, line 16): 'x'",
        ),
        ("def update_params(workload, **rest): workload.step_hint = 9", "workload.step_hint cannot be set"),
        (
            "def update_params(workload, **rest): workload.metrics_logger.append_scalar_metrics({'loss': [1, 2]}, 0)",
            "append_scalar_metrics: loss: found [1, 2]; expected a number or 0-d array",
        ),
    ],
)
def test_submission_fails_in_the_trial(
    replacement: str, expected: str, command: Command, submission: Write, trial: TrialDirectory
) -> None:
    path = submission(replacement)
    line = command(f"--config.submission={path}").error()
    assert expected in line
    assert "--config.overwrite=True" in line
    folder = trial("algorithm")
    assert status(folder) == "failed"
    assert kinds(folder)[0] == ("start", 0)
    assert kinds(folder)[-1][0] == "end"
    assert "Traceback" in (folder / "failure.txt").read_text()


def test_brackets_in_a_message_are_shown_verbatim(command: Command, submission: Write) -> None:
    path = submission("def update_params(**arguments): raise ValueError('odd [/b] [red]brackets')")
    finished = command(f"--config.submission={path}")
    assert "odd [/b] [red]brackets" in finished.error()
    assert "[red]brackets" in finished.out


@pytest.mark.parametrize("rate", ["1e30", "nan"])
def test_training_that_diverges_fails_with_its_logs_intact(rate: str, command: Command, trial: TrialDirectory) -> None:
    arguments = [f"--config.hyperparameters.learning_rate={rate}", "--config.hyperparameters.warmup_factor=0"]
    line = command(*arguments, "--config.max_steps=40").error()
    assert "no longer finite" in line or "is nan" in line
    folder = trial("nadamw")
    result = json.loads((folder / "result.json").read_text())
    assert (result["status"], result["time_to_target_sec"]) == ("failed", None)
    assert kinds(folder)[0] == ("start", 0)
    assert kinds(folder)[-1] == ("end", result["steps"])
    assert (folder / "measurements.csv").read_text().startswith("global_step,grad_norm,loss")
    assert (folder / "failure.txt").exists()
    # It does not run again, and says why.
    again = command(*arguments, "--config.max_steps=40")
    assert "already finished" in again.out
    assert again.error() == line


# --- disks -----------------------------------------------------------------------------------------------------------

# Fills the disk at the third step, once.
FILL = """
import pathlib

def update_params(workload, global_step, optimizer_state, current_param_container, model_state, **rest):
    folder = pathlib.Path({folder!r})
    if global_step == 2 and not (folder / "filled").exists():
        (folder / "filled").touch()
        {fill}
        {log}
    return optimizer_state, current_param_container, model_state
"""
FILL_DISK = "(folder / 'ballast').write_bytes(bytes(__import__('shutil').disk_usage(folder).free - {leave}))"
LIMIT_FILES = "__import__('resource').setrlimit(__import__('resource').RLIMIT_FSIZE, (0, -1))"
LOG_MUCH = "workload.metrics_logger.append_scalar_metrics({f'scalar_{i}': i for i in range(999)}, global_step)"


@pytest.fixture
def small_disk(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("file systems cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def any_file_size() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def run_until_full(command: Command, path: pathlib.Path, folder: pathlib.Path) -> tuple[str, Callable[[], Any]]:
    """The error line of a run whose disk fills up, and a function that runs the same command again."""
    arguments = [
        f"--config.submission={path}",
        f"--config.experiment_dir={folder}",
        "--config.eval_period_sec=1e-9",
        "--config.max_steps=4",
    ]
    return command(*arguments).error(), lambda: command(*arguments)


def assert_went_on(finished: Any, folder: pathlib.Path) -> None:
    assert finished.code == 0
    directory = folder / "default/algorithm/study_1/tiny_builtin_jax/trial_1"
    assert status(directory) == "training_complete"
    evaluations = [step for kind, step in kinds(directory) if kind == "evaluation"]
    assert evaluations == [1, 2, 3, 4]
    assert ("resume", 2) in kinds(directory)


@pytest.mark.parametrize(
    ("leave", "log", "expected"),
    [
        (
            2**19,
            "pass",
            "no space left for the checkpoint of step 3: it needs up to 1.0 MiB, but only 0.5 MiB are free",
        ),
        (0, LOG_MUCH, "cannot be written: No space left on device"),
    ],
)
def test_full_disk(
    leave: int, log: str, expected: str, command: Command, submission: Write, small_disk: pathlib.Path
) -> None:
    path = submission(FILL.format(folder=str(small_disk), fill=FILL_DISK.format(leave=leave), log=log))
    line, again = run_until_full(command, path, small_disk)
    assert expected in line
    assert "run the same command again: the trial resumes from its last checkpoint" in line
    (small_disk / "ballast").unlink()
    assert_went_on(again(), small_disk)


@pytest.mark.parametrize("log", ["pass", LOG_MUCH])
def test_limit_on_the_size_of_files(
    log: str, command: Command, submission: Write, tmp_path: pathlib.Path, any_file_size: None
) -> None:
    path = submission(FILL.format(folder=str(tmp_path), fill=LIMIT_FILES, log=log))
    line, again = run_until_full(command, path, tmp_path)
    assert "File too large" in line
    assert "run the same command again: the trial resumes from its last checkpoint" in line
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert_went_on(again(), tmp_path)


def test_disk_that_is_full_from_the_beginning(command: Command, submission: Write, small_disk: pathlib.Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(8 * 2**20))
    arguments = [f"--config.submission={submission()}", f"--config.experiment_dir={small_disk}"]
    assert "No space left on device" in command(*arguments).error()
    (small_disk / "ballast").unlink()
    assert command(*arguments).code == 0


def test_experiment_dir_that_is_a_file(command: Command, tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").touch()
    line = command(f"--config.experiment_dir={tmp_path / 'file'}").error()
    assert "cannot be written: Not a directory" in line
    assert "--config.experiment_dir" in line


# --- directories and checkpoints of earlier runs ---------------------------------------------------------------------

INTERRUPT = """
import os, signal

def update_params(global_step, optimizer_state, current_param_container, model_state, **rest):
    if global_step == 2:
        os.kill(os.getpid(), signal.SIGTERM)
    return optimizer_state, current_param_container, model_state
"""


def interrupted(command: Command, path: pathlib.Path) -> list[str]:
    """Runs three of six steps, with a checkpoint after each; returns the arguments."""
    arguments = [f"--config.submission={path}", "--config.eval_period_sec=1e-9", "--config.max_steps=6"]
    finished = command(*arguments)
    assert finished.code == 0
    assert "interrupted; the same command resumes" in finished.out
    (resume,) = [line for line in finished.out.splitlines() if line.startswith("to resume: ")]
    assert resume.startswith("to resume: python -m algoperf_jax.main --config=")
    assert resume.endswith(shlex.join(arguments))
    return arguments


def test_interrupted_run_resumes(command: Command, submission: Write, trial: TrialDirectory) -> None:
    arguments = interrupted(command, submission(INTERRUPT))
    folder = trial("algorithm")
    assert not (folder / "result.json").exists()
    finished = command(*arguments)
    assert "resuming from step 3" in finished.out
    assert [step for kind, step in kinds(folder) if kind == "evaluation"] == [1, 2, 3, 4, 5, 6]
    assert [step for kind, step in kinds(folder) if kind == "resume"] == [3]
    assert {"meta_data_0.json", "meta_data_1.json", "flags_1.json"} <= {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("how", ["flipped", "truncated", "missing"])
def test_damaged_checkpoint(how: str, command: Command, submission: Write, trial: TrialDirectory) -> None:
    arguments = interrupted(command, submission(INTERRUPT))
    folder = trial("algorithm")
    newest = folder / "checkpoints" / "checkpoint_3"
    largest = max((path for path in newest.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    if how == "flipped":
        flip(largest)
    elif how == "truncated":
        os.truncate(largest, largest.stat().st_size // 2)
    else:
        largest.unlink()
    finished = command(*arguments)
    # The submission interrupts the third step again; after it the checkpoint is intact.
    assert finished.code == 0
    assert "checkpoint of step 3 is damaged" in finished.out
    assert "resuming from step 2" in finished.out
    assert "Traceback" not in finished.err
    assert "resuming from step 3" in command(*arguments).out
    assert [step for kind, step in kinds(folder) if kind == "evaluation"] == [1, 2, 3, 4, 5, 6]
    assert status(folder) == "training_complete"


def test_no_checkpoint_is_whole(command: Command, submission: Write, trial: TrialDirectory) -> None:
    arguments = interrupted(command, submission(INTERRUPT))
    for record in (trial("algorithm") / "checkpoints").rglob("metadata"):
        record.write_text("{}")
    line = command(*arguments).error()
    assert "none of the 2 checkpoints" in line
    assert "--config.overwrite=True" in line
    assert command(*arguments, "--config.overwrite=True", "--config.max_steps=2").code == 0


def test_trial_that_another_process_works_on(command: Command, submission: Write, trial: TrialDirectory) -> None:
    arguments = [f"--config.submission={submission()}", "--config.overwrite=True"]
    assert command(*arguments).code == 0
    with run_directory.only_process(RunDirectory(trial("algorithm"))):
        assert f"another process is working on {trial('algorithm')}" in command(*arguments).error()
    assert status(trial("algorithm")) == "training_complete"
    assert command(*arguments).code == 0


def test_directory_of_another_configuration(command: Command, submission: Write) -> None:
    arguments = [f"--config.submission={submission()}", "--config.seed=1"]
    assert command(*arguments).code == 0
    line = command(*arguments[:1], "--config.seed=2", "--config.hyperparameters.new=0.5").error()
    assert "belongs to a run with another configuration" in line
    assert "config.seed: 1 there, 2 now" in line
    assert "config.hyperparameters.new: None there, 0.5 now" in line
    assert "--config.experiment_name" in line
    # Keys that do not change results may differ.
    assert command(*arguments, "--config.progress_period_sec=1").code == 0


def test_finished_run_is_not_run_again(command: Command, submission: Write, trial: TrialDirectory) -> None:
    path = submission()
    assert command(f"--config.submission={path}").code == 0
    before = {file: file.stat().st_mtime_ns for file in trial("algorithm").rglob("*")}
    path.write_text(path.read_text() + "\nupdate_params = None")
    submission("def update_params(**arguments): raise AssertionError")
    finished = command(f"--config.submission={path}")
    assert finished.code == 0
    assert "This trial is already finished; nothing to run." in finished.out
    assert {file: file.stat().st_mtime_ns for file in trial("algorithm").rglob("*")} == before
