"""The same training on one device, on eight, and in two processes."""

import dataclasses
import json
import pathlib
import socket
import subprocess
import sys
from typing import Any

import jax
import numpy as np
import pytest

import workloads
from algoperf_jax.assembly import assemble, initial_state, load_workload
from algoperf_jax.framework.jax_framework import FRAMEWORK
from algoperf_jax.outputs.scalar_log import ScalarLog
from algoperf_jax.submission.load import load_submission
from algoperf_jax.submission.locate import locate
from algoperf_jax.trial.clock import Bucket, Clock
from algoperf_jax.trial.loop import run
from algoperf_jax.trial.rules import TIMING_RULES
from configs import base
from tests import narrow_run, one_device
from tests.narrow_workloads import narrow

ROOT = pathlib.Path(__file__).parents[3]
TIME_LIMIT_SEC = 300


def train(name: str, devices: int, steps: int) -> tuple[list[float], dict[str, float]]:
    """The loss of each step and the evaluation at the end."""
    config: Any = base.named(name, "")
    config.mesh.data = devices
    config.hyperparameters = {"learning_rate": 1e-3, "dropout_rate": 0.0}
    config.batch_size, config.eval_batch_size = 32, 8 if name == "mnist" else 32
    workload = load_workload(config)
    submission = load_submission(locate(config.submission), workload)
    scalars = ScalarLog()
    parts = assemble(config, FRAMEWORK, workload, submission, scalars)
    inner = submission.update_params

    def update_params(*, global_step: int, **arguments: Any) -> Any:
        # Only steps divisible by 100 are logged; here every step should be.
        return inner(global_step=100 * global_step, **arguments)

    trial = parts.trial(
        rules=TIMING_RULES["standard"],
        calls=dataclasses.replace(parts.calls, submission=dataclasses.replace(submission, update_params=update_params)),
        max_steps=steps,
    )
    outcome = run(trial, initial_state(parts), Clock.start(Bucket.SETUP))
    assert outcome.status == "training_complete", outcome.reason
    losses = [event.values["loss"] for event in scalars.take()]
    metrics = {name: v for name, v in outcome.state.history[-1].results.items() if "/" in name}
    return losses, metrics


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnist", narrow_run.NAME])
def test_one_and_eight_devices_train_alike(name: str) -> None:
    assert len(jax.devices()) == 8
    with narrow(), workloads.registered(narrow_run.NAME, narrow_run.ENTRY):
        one, one_metrics = train(name, 1, 5)
        eight, eight_metrics = train(name, 8, 5)
    np.testing.assert_allclose(eight, one, rtol=1e-5)
    assert one[-1] != one[0]
    for key, value in one_metrics.items():
        assert eight_metrics[key] == pytest.approx(value, rel=1e-3), key


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def run_processes(experiment_dir: pathlib.Path, count: int, *arguments: str) -> dict[str, Any]:
    """Trains on graphs, on the built-in data, in `count` processes and returns the result."""
    environment = one_device.unoptimized(JAX_DEFAULT_MATMUL_PRECISION="highest")
    address = f"127.0.0.1:{free_port()}"
    processes = []
    for index in range(count):
        joined = (
            f"--config.distributed.coordinator_address={address}",
            f"--config.distributed.num_processes={count}",
            f"--config.distributed.process_id={index}",
        )
        command = [
            sys.executable,
            "-m",
            "tests.narrow_run",
            "--config=tests/narrow_config.py",
            f"--config.experiment_dir={experiment_dir}",
            "--config.batch_size=32",
            "--config.max_steps=4",
            "--config.hyperparameters.dropout_rate=0.0",
            "--config.eval_batch_size=16",
            "--config.max_runtime_sec=1000",
            "--config.eval_period_sec=1000",  # otherwise a slow machine evaluates more often
            *(joined if count > 1 else ()),
            *arguments,
        ]
        processes.append(
            subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
        )
    outputs = [process.communicate(timeout=TIME_LIMIT_SEC)[0] for process in processes]
    assert all(process.returncode == 0 for process in processes), "\n".join(outputs)
    (result,) = experiment_dir.rglob("result.json")
    return json.loads(result.read_text())


@pytest.mark.slow
def test_two_processes_agree_with_one(tmp_path: pathlib.Path) -> None:
    one = run_processes(tmp_path / "one", 1)
    two = run_processes(tmp_path / "two", 2)
    assert two["steps"] == one["steps"] == 4
    assert two["status"] == one["status"] == "training_complete"
    for split, value in one["best"].items():
        assert two["best"][split] == pytest.approx(value, rel=1e-3), split
    losses = [_losses(tmp_path / name) for name in ("one", "two")]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)


def _losses(folder: pathlib.Path) -> list[float]:
    (events,) = folder.rglob("events.jsonl")
    values = [json.loads(line)["values"] for line in events.read_text().splitlines()]
    return [value for row in values for name, value in sorted(row.items()) if name in ("loss", "validation/loss")]
