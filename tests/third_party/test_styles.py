"""Submissions in each style of published ones run to their end, and resume after an interruption."""

import itertools
import json
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import jax
import pytest
from rich.console import Console

from algoperf_jax import configuration as configs
from algoperf_jax.errors import ConfigError
from algoperf_jax.outputs.result import TrialResult
from algoperf_jax.run import execute
from tests.algoperf_jax.conftest import TINY_CONFIG, Command
from tests.third_party.checkpointed import checksums
from third_party.algoperf import spec

FOLDER = pathlib.Path(__file__).parent / "submissions"
# Submission -> framework, and the number of devices it is run on here.
STYLES = {
    "jit_sharding.py": ("jax", 4),
    "pmap_step.py": ("jax", 8),
    "parameter_swap.py": ("jax", 1),
    "self_tuning/several_files": ("jax", 1),
    "torch_scheduler.py": ("pytorch", 1),
    "torch_closure.py": ("pytorch", 1),
    "torch_queue.py": ("pytorch", 1),
}
STEPS = 8
Run = Callable[..., TrialResult]
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore:.*pmap.*:DeprecationWarning")


@pytest.fixture
def run(command: Command, tmp_path: pathlib.Path) -> Run:
    """Runs a submission for `STEPS` steps, on a clock that advances with each step, or until it is interrupted."""
    del command  # it registers the tiny workload

    def run(style: str, *overrides: str, stop_after: int | None = None, name: str = "default") -> TrialResult:
        framework, devices = STYLES.get(style, ("jax", 1))
        arguments = [f"--config.mesh.data={devices}"] if framework == "jax" else []
        config = configs.from_command_line(
            [
                f"--config={TINY_CONFIG}",
                f"--config.submission={FOLDER / style}",
                f"--config.experiment_dir={tmp_path}",
                f"--config.experiment_name={name}",
                f"--config.max_steps={STEPS}",
                "--config.eval_period_sec=0.25",
                "--config.tensorboard=False",
                *arguments,
                *overrides,
            ],
        )
        steps, nanoseconds = itertools.count(1), [0]

        def stop_requested() -> bool:
            step = next(steps)
            nanoseconds[0] = step * 10**8
            return stop_after is not None and step >= stop_after

        return execute(config, Console(quiet=True), stop_requested=stop_requested, now=lambda: nanoseconds[0])

    return run


def events(result: TrialResult, kind: str) -> list[dict[str, Any]]:
    lines = (pathlib.Path(result.directory) / "events.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["kind"] == kind]


@pytest.mark.parametrize("style", STYLES)
def test_a_style_runs_and_resumes_bit_for_bit(style: str, run: Run) -> None:
    whole = run(style, name="whole")
    assert (whole.status, whole.steps) == ("training_complete", STEPS), whole.reason
    assert whole.framework == STYLES[style][0]
    assert whole.best["validation"] > 0
    assert run(style, stop_after=3).status == "interrupted"
    resumed = run(style)
    assert (resumed.status, resumed.steps) == ("training_complete", STEPS), resumed.reason
    assert checksums(resumed, STEPS) == checksums(whole, STEPS)
    steps = [[event["step"] for event in events(result, "evaluation")] for result in (whole, resumed)]
    assert steps[0] == steps[1]
    assert len(steps[0]) >= 2


def test_the_hyperparameters_reach_a_step_that_compiles_once(run: Run) -> None:
    result = run(
        "jit_sharding.py", "--config.hyperparameters.grad_clip=0.5", "--config.hyperparameters.learning_rate=0.05"
    )
    assert result.status == "training_complete", result.reason
    assert len(events(result, "train")) == 1


def test_self_tuning_submissions_get_no_hyperparameters(run: Run) -> None:
    assert run("torch_scheduler.py", "--config.ruleset=self").status == "training_complete"
    with pytest.raises(ConfigError, match="self-tuning"):
        run("torch_scheduler.py", "--config.ruleset=self", "--config.hyperparameters.x=1")


def test_a_submission_may_end_the_training(run: Run) -> None:
    result = run("training_complete.py")
    assert (result.status, result.steps) == ("training_complete", 5)
    assert result.best


def test_all_files_of_a_submission_are_copied(run: Run) -> None:
    result = run("self_tuning/several_files")
    kept = pathlib.Path(result.directory) / "submission"
    names = {str(path.relative_to(kept)) for path in kept.rglob("*") if path.is_file()}
    assert {"submission.py", "late.py", "parts/rates.py", "parts/descent.py"} <= names


def test_the_devices_are_those_of_the_run(run: Run) -> None:
    assert run("jit_sharding.py", "--config.mesh.data=2").status == "training_complete"
    with pytest.raises(ConfigError, match=r"config\.mesh\.data.*jax\.pmap"):
        run("pmap_step.py", "--config.mesh.data=2")


def test_a_submission_leaves_no_modules_behind(run: Run) -> None:
    before, finders, attributes = set(sys.modules), list(sys.meta_path), set(vars(jax))
    for style in ("pmap_step.py", "self_tuning/several_files"):
        assert run(style).status == "training_complete"
    left = {name for name in set(sys.modules) - before if name.partition(".")[0] not in ("flax", "jax", "optax")}
    assert not {name for name in left if name.startswith(("algo", "parts", "submission"))} - {"algoperf_jax"}
    assert sys.meta_path == finders
    assert set(vars(jax)) == attributes
    assert spec.ForwardPassMode.TRAIN.value == 0
