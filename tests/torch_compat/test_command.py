"""PyTorch submissions on the command line: logs, mistakes, and what is refused at the start."""

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch

import workloads
from algoperf_jax.errors import ConfigError, SubmissionError
from algoperf_jax.framework.jax_framework import FRAMEWORK as JAX_FRAMEWORK
from algoperf_jax.submission.load import load_submission
from algoperf_jax.submission.locate import locate
from configs import base
from tests.algoperf_jax.conftest import Command
from tests.torch_compat.test_trials import assembled
from torch_compat import processes
from torch_compat.processes import Processes

Write = Callable[..., pathlib.Path]


# --- the command -----------------------------------------------------------------------------------------------------


def test_a_trial_leaves_the_same_logs_as_one_in_jax(command: Command, submission: Write, trial: pathlib.Path) -> None:
    done = command(f"--config.submission={submission()}", "--config.eval_period_sec=1e-9")
    assert done.code == 0, done.err
    result = json.loads((trial / "result.json").read_text())
    assert (result["framework"], result["status"], result["steps"]) == ("pytorch", "training_complete", 3)
    assert len((trial / "eval_measurements.csv").read_text().splitlines()) == 4
    losses = [json.loads(line) for line in (trial / "events.jsonl").read_text().splitlines()]
    assert [event["step"] for event in losses if event["kind"] == "train"] == [0, 1, 2]
    assert "Dense_0.kernel" in (trial / "parameters.txt").read_text()
    assert "1 x cpu" in done.out


def test_training_lowers_the_loss_and_reaches_it_in_the_evaluation(
    command: Command, submission: Write, trial: pathlib.Path
) -> None:
    command(f"--config.submission={submission()}", "--config.max_steps=60")
    events = [json.loads(line) for line in (trial / "events.jsonl").read_text().splitlines()]
    losses = [event["values"]["loss"] for event in events if event["kind"] == "train"]
    final = next(event["values"] for event in events if event["kind"] == "evaluation")
    assert final["train/loss"] < 0.7 * losses[0]


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        (
            "def update_params(optimizer_state, current_param_container, **rest): "
            "return optimizer_state, torch.nn.Linear(2, 2), None",
            "descent: update_params returned another module, a Linear, instead of the parameters; expected the "
            "module that init_model_fn made",
        ),
        (
            "def update_params(optimizer_state, current_param_container, **rest): "
            "return optimizer_state, dict(current_param_container.named_parameters()), None",
            "descent: update_params returned dict instead of the parameters",
        ),
        (
            "def update_params(optimizer_state, current_param_container, **rest):\n"
            "    current_param_container.double()\n"
            "    return optimizer_state, current_param_container, None",
            "descent: update_params left the parameter Dense_0.bias with the type torch.float64; expected "
            "torch.float32",
        ),
        (
            "def update_params(optimizer_state, current_param_container, **rest):\n"
            "    next(current_param_container.parameters()).data = torch.zeros(7)\n"
            "    return optimizer_state, current_param_container, None",
            "descent: update_params left the parameter Dense_0.bias with the shape (7,); expected (8,)",
        ),
        (
            "def update_params(optimizer_state, current_param_container, **rest):\n"
            "    current_param_container.Dense_0.bias = torch.nn.Parameter(torch.zeros(7))\n"
            "    return optimizer_state, current_param_container, None",
            "update_params left the module with another Dense_0.bias: (7,) of torch.float32; expected (8,) of",
        ),
        (
            "def prepare_for_eval(optimizer_state, **rest): return optimizer_state, None, None",
            "descent: prepare_for_eval returned NoneType instead of the parameters",
        ),
        (
            "def update_params(**rest): raise RuntimeError('Found no NVIDIA driver on your system.')",
            "descent: update_params raised RuntimeError at step 0 (descent.py, line 28): Found no NVIDIA driver on "
            "your system.. It asks for CUDA, but PyTorch sees no GPU here",
        ),
        (
            "def init_optimizer_state(*rest): raise RuntimeError('torch.distributed needs to be initialized!')",
            "It asks for several processes: start it with torchrun --nproc_per_node=N -m algoperf_jax.main ...",
        ),
        (
            "def update_params(optimizer_state, current_param_container, **rest):\n    torch.zeros(1, device='cuda')",
            "It asks for CUDA, but PyTorch sees no GPU here: run it on a machine with one.",
        ),
        (
            "def update_params(optimizer_state, current_param_container, **rest):\n"
            "    for p in current_param_container.parameters(): p.data.fill_(float('nan'))\n"
            "    return optimizer_state, current_param_container, None",
            "the parameters are no longer finite after step 1",
        ),
    ],
)
def test_a_mistake_in_a_trial_names_the_function(
    functions: str, message: str, command: Command, submission: Write, trial: pathlib.Path
) -> None:
    done = command(f"--config.submission={submission(functions)}")
    assert message in done.error()
    assert json.loads((trial / "result.json").read_text())["status"] == "failed"
    assert (trial / "events.jsonl").exists()


def test_cuda_at_the_start_is_named_too(command: Command, submission: Write) -> None:
    path = submission("def init_optimizer_state(*rest): return {'x': torch.zeros(1, device='cuda')}")
    error = command(f"--config.submission={path}").error()
    assert "descent: init_optimizer_state raised" in error
    assert "It asks for CUDA, but PyTorch sees no GPU here" in error


def test_training_complete_ends_the_trial(command: Command, submission: Write, trial: pathlib.Path) -> None:
    path = submission(
        "def update_params(optimizer_state, current_param_container, global_step, **rest):\n"
        "    if global_step == 1: raise TrainingCompleteError\n"
        "    return optimizer_state, current_param_container, None"
    )
    assert command(f"--config.submission={path}").code == 0
    result = json.loads((trial / "result.json").read_text())
    assert (result["status"], result["steps"]) == ("training_complete", 2)


# --- one GPU for two frameworks --------------------------------------------------------------------------------------

WHEN_IT_STARTS = """
import os, sys
from jax._src import xla_bridge
from algoperf_jax.main import main
from torch_compat import processes

def join():
    print(xla_bridge.backends_are_initialized(), os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"])
    raise SystemExit(0)

processes.join = join
main(sys.argv[1:])
"""


@pytest.mark.parametrize(("before", "after"), [(None, "false"), ("true", "true")])
def test_jax_is_set_to_leave_memory_before_it_touches_a_device(
    before: str | None, after: str, tmp_path: pathlib.Path
) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "XLA_PYTHON_CLIENT_PREALLOCATE"}
    environment |= {} if before is None else {"XLA_PYTHON_CLIENT_PREALLOCATE": before}
    arguments = ["--config=configs/ogbg.py", "--config.framework=pytorch", f"--config.experiment_dir={tmp_path}"]
    done = subprocess.run(
        [sys.executable, "-c", WHEN_IT_STARTS, *arguments],
        cwd=pathlib.Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.split() == ["False", after], done.stderr


# --- what is refused at the start ------------------------------------------------------------------------------------


def test_a_workload_without_twin_is_refused_if_the_bridge_is_off(command: Command, submission: Write) -> None:
    error = command(f"--config.submission={submission()}", "--config.torch_model=twin").error()
    assert "tiny has no PyTorch twin, and config.torch_model is 'twin'" in error
    assert "--config.torch_model=bridge" in error


def test_the_bridge_does_not_share_batch_statistics_between_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    two = Processes(0, 2, torch.device("cpu"), grouped=True)
    monkeypatch.setattr(processes, "this_process", lambda: two)
    with pytest.raises(ConfigError, match="JAX model of cifar cannot share batch statistics between processes"):
        assembled("cifar", torch_model="bridge")
    assert assembled("mnist", torch_model="bridge").view is not None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mesh.data": 2}, r"config\.mesh\.data: found 2; .*torchrun --nproc_per_node=2 -m"),
        ({"distributed.num_processes": 2}, r"config\.distributed is set for a PyTorch submission; .*torchrun"),
    ],
)
def test_several_devices_need_torchrun(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        assembled("mnist", **changes)


def test_torchrun_is_refused_for_a_jax_submission(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    with pytest.raises(ConfigError, match="torchrun started 2 processes for nadamw, a JAX submission"):
        JAX_FRAMEWORK.start(base.named("mnist", ""))


def test_an_optax_factory_is_not_a_pytorch_submission(submission: Write) -> None:
    path = submission(base="import torch\ndef make_optimizer(hyperparameters, workload): ...")
    with pytest.raises(SubmissionError, match="lacks init_optimizer_state"):
        load_submission(locate(str(path), "pytorch"), workloads.load("mnist"))
