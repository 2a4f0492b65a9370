"""A trial killed at any moment resumes as if it had never been interrupted."""

import json
import pathlib
import random
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from algoperf_jax.submission.framework_names import ENTRIES
from tests import one_device

ROOT = pathlib.Path(__file__).parents[2]
TIME_LIMIT_SEC = 300


def start(experiment_dir: pathlib.Path, *arguments: str) -> subprocess.Popen[str]:
    """Starts or resumes the run in a folder whose name ends with that of a framework."""
    framework = f"--config.framework={experiment_dir.name}"
    return subprocess.Popen(
        [sys.executable, "-m", "tests.algoperf_jax.killable_run", str(experiment_dir), framework, *arguments],
        cwd=ROOT,
        env=one_device.unoptimized(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=TIME_LIMIT_SEC)
    return output


def wait_for_line(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"the process ended without printing {text!r}")


def trial(experiment_dir: pathlib.Path) -> pathlib.Path:
    return experiment_dir / f"default/nadamw/study_1/mnist_builtin_{experiment_dir.name}/trial_1"


def final_record(experiment_dir: pathlib.Path) -> dict[str, Any]:
    """The last checkpoint's record: array checksums, history, clock, data position, random key."""
    folders = sorted((trial(experiment_dir) / "checkpoints").glob("checkpoint_*"), key=lambda p: int(p.name[11:]))
    record = json.loads((folders[-1] / "record" / "metadata").read_text())
    record["nanoseconds"].pop("setup")  # each process sets up for itself
    del record["checksum"], record["extra"]  # the log has an additional line for each resume
    return record


def rows(experiment_dir: pathlib.Path, name: str) -> list[str]:
    """The rows of a CSV without the number of the process that wrote them."""
    lines = (trial(experiment_dir) / name).read_text().splitlines()
    column = lines[0].split(",").index("preemption_count")
    return [",".join(v for i, v in enumerate(line.split(",")) if i != column) for line in lines]


@pytest.fixture(scope="module", params=ENTRIES)
def uninterrupted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("uninterrupted") / request.param
    assert "ended: training_complete" in finish(start(folder))
    return folder


@pytest.fixture
def interrupted(uninterrupted: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / uninterrupted.name


def assert_same(experiment_dir: pathlib.Path, uninterrupted: pathlib.Path) -> None:
    ours, theirs = final_record(experiment_dir), final_record(uninterrupted)
    assert len(theirs["history"]) >= 5
    assert ours == theirs
    for name in ("measurements.csv", "eval_measurements.csv"):
        assert rows(experiment_dir, name) == rows(uninterrupted, name)


@pytest.mark.slow
def test_killed_at_random_moments(uninterrupted: pathlib.Path, interrupted: pathlib.Path) -> None:
    moments = random.Random(0)
    kills = 0
    for _ in range(2):
        process = start(interrupted)
        for _ in range(moments.randint(1, 3)):
            wait_for_line(process, ": evaluation:")
        time.sleep(moments.uniform(0.0, 0.3))
        process.send_signal(signal.SIGKILL)
        finish(process)
        kills += process.returncode == -signal.SIGKILL
    output = finish(start(interrupted))
    assert kills >= 1
    assert "resuming from step" in output
    assert "ended: training_complete" in output
    assert_same(interrupted, uninterrupted)


@pytest.mark.slow
def test_killed_in_the_middle_of_a_checkpoint_write(uninterrupted: pathlib.Path, interrupted: pathlib.Path) -> None:
    folder = trial(interrupted) / "checkpoints"
    for _ in range(5):
        if kill_while_saving(start(interrupted), folder):
            break
    assert any("tmp" in path.name for path in folder.iterdir()), "no process died in the middle of a write"
    assert any("tmp" not in path.name for path in folder.iterdir()), "no checkpoint was complete before that"
    output = finish(start(interrupted))
    assert "resuming from step" in output
    assert "ended: training_complete" in output
    assert not [path for path in folder.iterdir() if "tmp" in path.name]
    assert_same(interrupted, uninterrupted)


def kill_while_saving(process: subprocess.Popen[str], folder: pathlib.Path) -> bool:
    """Kills the process when a folder of a checkpoint under way appears beside a complete one.

    orbax writes into `checkpoint_<step>.orbax-checkpoint-tmp` and renames that when it is complete.
    """
    wait_for_line(process, "logs in")
    while process.poll() is None:
        names = [path.name for path in folder.iterdir()] if folder.exists() else []
        if len(names) >= 2 and any("tmp" in name for name in names):
            process.send_signal(signal.SIGKILL)
    finish(process)
    return any("tmp" in path.name for path in folder.iterdir())


@pytest.mark.slow
def test_sigterm_saves_a_checkpoint_and_stops(uninterrupted: pathlib.Path, interrupted: pathlib.Path) -> None:
    process = start(interrupted)
    wait_for_line(process, "evaluation")
    process.send_signal(signal.SIGTERM)
    output = finish(process)
    assert process.returncode == 0
    assert "ended: interrupted" in output
    assert "the same command resumes" in output
    assert not (trial(interrupted) / "result.json").exists()
    assert "ended: training_complete" in finish(start(interrupted))
    record = final_record(interrupted)
    # The interruption itself reads the clock once more; everything else is as if it had not happened.
    expected = final_record(uninterrupted)
    assert record["checksums"] == expected["checksums"]
    assert record["data_position"] == expected["data_position"]
    assert [step for step, _ in record["history"]] == [step for step, _ in expected["history"]]
    assert "already finished" in finish(start(interrupted))
