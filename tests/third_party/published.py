"""Published submissions, which are not part of the project: where they are, and how they are run on mnist.

`ALGOPERF_SUBMISSIONS` names a folder with checkouts of github.com/mlcommons/submissions_algorithms and
github.com/mlcommons/algorithmic-efficiency, or the parts of them that tests need.
"""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
import pytest

from algoperf_jax.assembly import Parts, assemble, load_workload
from algoperf_jax.framework.framework import load_framework
from algoperf_jax.submission.imports import submission_imports
from algoperf_jax.submission.interface import ForwardPassMode
from algoperf_jax.submission.load import load_submission
from algoperf_jax.submission.locate import locate
from configs import base
from tests import golden_support

# The path of a submission, and the trajectory that it follows; older forms of the baseline follow the same one.
FILES = {
    "nadamw_v05_pmap": "algoperf_v05/submissions/external_tuning/baseline/submission.py",
    "nadamw_v06_pmap": "algoperf_v06/submissions/external_tuning/baseline/submission.py",
    "nadamw_external_jax": "algorithms/baselines/external_tuning/jax_nadamw_full_budget.py",
    "nadamw_external_pytorch": "algorithms/baselines/external_tuning/pytorch_nadamw_full_budget.py",
    "schedule_free_adamw_v2_self_pytorch": "submissions/self_tuning/schedule_free_adamw_v2/submission.py",
    "muon_self_jax": "submissions/self_tuning/muon/submission.py",
    "lion_self_pytorch": "submissions/self_tuning/lion/submission.py",
    "ademamix_self_pytorch": "submissions/self_tuning/ademamix/submission.py",
}
TRAJECTORIES = {name: "nadamw_external_jax" if name.endswith("_pmap") else name for name in FILES}
# float32 sums in a different order: recorded with two versions of JAX, the trajectories differ by 1e-7 in the loss and
# by 3e-8 in sums of squares.
RTOL = 1e-5
BATCH_SIZE, PROBE_SIZE, PROBE_NUMBER = 16, 64, 10**6


def file_of(name: str) -> pathlib.Path:
    """The submission's file; skips the test if the folder is not set."""
    folder = os.environ.get("ALGOPERF_SUBMISSIONS")
    if not folder:
        pytest.skip("ALGOPERF_SUBMISSIONS is unset: it names a folder with the published submissions")
    found = sorted(pathlib.Path(folder).glob(f"**/{FILES[name]}"), key=lambda path: len(path.parts))
    assert found, f"{FILES[name]} is not in ALGOPERF_SUBMISSIONS={folder}"
    return found[0]


def golden_of(name: str) -> dict[str, Any]:
    """The recorded trajectory."""
    return golden_support.listing(f"submissions/{TRAJECTORIES[name]}")


def batch(number: int, count: int, framework: str) -> dict[str, Any]:
    """Batch `number` of the recorded trajectories, in the form of the framework."""
    rng = np.random.default_rng([golden_support.seed(), number])
    inputs = rng.standard_normal((count, 28, 28, 1), np.float32)
    targets = rng.integers(0, 10, count)
    if framework == "jax":
        return {"inputs": inputs, "targets": targets.astype(np.int32)}
    import torch

    return {
        "inputs": torch.from_numpy(inputs.transpose(0, 3, 1, 2).copy()),
        "targets": torch.from_numpy(targets),
        "weights": torch.ones(count, dtype=torch.bool),
    }


@dataclasses.dataclass
class Queue(Iterator[Any]):
    """The batches in order."""

    framework: str
    put_batch: Callable[[Any], Any]
    drawn: int = 0

    def __next__(self) -> dict[str, Any]:
        self.drawn += 1
        return self.put_batch(batch(self.drawn - 1, BATCH_SIZE, self.framework))


class Training:
    """Runs a submission on mnist step by step from the recipe's parameters, as the engine would call it."""

    def __init__(self, reference: str, golden: dict[str, Any], *, devices: int = 1) -> None:
        config: Any = base.named("mnist", "")
        config.submission, config.ruleset = reference, golden["ruleset"]
        config.step_hint, config.batch_size = golden["step_hint"], BATCH_SIZE
        config.hyperparameters.update(golden["hyperparameters"] or {})
        is_jax = golden["framework"] == "jax"
        located = locate(reference, None if reference.endswith(".py") else golden["framework"])
        self.framework = load_framework(located.framework)
        if is_jax:
            config.mesh.data = devices
        workload = load_workload(config)
        submission = load_submission(located, workload)
        self.parts: Parts = assemble(config, self.framework, workload, submission, None)
        self.queue = Queue(golden["framework"], self.parts.backend.put_batch if is_jax else lambda batch: batch)
        self.step = 0
        self.key = np.asarray([0, 1], np.uint32)
        self.params, self.state = self._recipe_state()
        self.optimizer_state = submission.init_optimizer_state(
            self.parts.view, self.params, self.state, self.parts.hyperparameters, self.key
        )

    def advance(self) -> None:
        submission, view, hyperparameters = self.parts.submission, self.parts.view, self.parts.hyperparameters
        drawn = submission.data_selection(
            view, self.queue, self.optimizer_state, self.params, self.state, hyperparameters, self.step, self.key
        )
        returned = submission.update_params(batch=drawn, **self._arguments())
        self.optimizer_state, self.params, self.state = returned
        self.step += 1
        # As the engine does: on virtual devices, too many queued programs wait for each other until XLA gives up.
        self.parts.backend.pace(self.params, self.step)

    def prepare_for_eval(self) -> None:
        function = self.parts.submission.prepare_for_eval
        if function is not None:
            self.optimizer_state, self.params, self.state = function(**self._arguments())

    def measured(self) -> dict[str, Any]:
        """The probe's mean loss, and sum and sum of squares of each parameter, in float64."""
        view: Any = self.parts.view
        probe = batch(PROBE_NUMBER, PROBE_SIZE, self.queue.framework)
        params, state = self.params, self.state
        if self.queue.framework == "jax":
            params, state = self.parts.backend.for_evaluation(params, state)
        logits, _ = view.model_fn(params, probe, state, ForwardPassMode.EVAL, self.key, False)
        loss = view.loss_fn(probe["targets"], logits, probe.get("weights"))
        sums = {
            name: [float(array.sum()), float((array**2).sum())]
            for name, array in ((name, np.asarray(array, np.float64)) for name, array in _named(params).items())
        }
        return {"probe_loss": loss["summed"].item() / float(loss["n_valid_examples"]), "params": sums}

    def _arguments(self) -> dict[str, Any]:
        view = self.parts.view
        return {
            "workload": view,
            "current_param_container": self.params,
            "current_params_types": view.model_params_types,
            "model_state": self.state,
            "hyperparameters": self.parts.hyperparameters,
            "loss_type": view.loss_type,
            "optimizer_state": self.optimizer_state,
            "eval_results": [],
            "global_step": self.step,
            "rng": self.key,
        }

    def _recipe_state(self) -> tuple[Any, Any]:
        params, state = self.parts.backend.initialize(self.key)
        if self.queue.framework == "jax":
            # Recipe parameters instead of the drawn ones, with the leading axis that they may have.
            recipe, _ = golden_support.recipe_state(self.parts.workload)
            copied = jax.tree.map(lambda own, old: np.broadcast_to(own, old.shape), recipe, params)
            return jax.device_put(copied, jax.tree.map(lambda old: old.sharding, params)), state
        import torch

        names = {name: {name: np.empty(p.shape, np.float32)} for name, p in params.named_parameters()}
        with torch.no_grad():
            for name, parameter in params.named_parameters():
                parameter.copy_(torch.from_numpy(golden_support.recipe(names[name])[name]))
        return params, state


def _named(params: Any) -> dict[str, Any]:
    if hasattr(params, "named_parameters"):
        return {name: parameter.detach().numpy() for name, parameter in params.named_parameters()}
    leaves = jax.tree_util.tree_flatten_with_path(params)[0]
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def follow(reference: str, golden: dict[str, Any], *, devices: int = 1) -> Iterator[tuple[str, dict, dict]]:
    """Runs a submission along a recorded trajectory; yields the name of each point, measured and recorded numbers."""
    with submission_imports(locate(reference)):
        training = Training(reference, golden, devices=devices)
        yield "initial", training.measured(), golden["initial"]
        for point in golden["checkpoints"]:
            while training.step < point["step"]:
                training.advance()
            assert training.queue.drawn == point["batches_drawn"]
            yield f"step {point['step']}", training.measured(), point
        if "after_prepare_for_eval" in golden:
            training.prepare_for_eval()
            yield "after prepare_for_eval", training.measured(), golden["after_prepare_for_eval"]
        if "five_steps_later" in golden:
            while training.step < golden["five_steps_later"]["step"]:
                training.advance()
            yield "five steps later", training.measured(), golden["five_steps_later"]


def assert_follows(reference: str, golden: dict[str, Any], *, devices: int = 1) -> None:
    """Checks that a submission follows its recorded trajectory; skips the test if none was recorded with the recipe's
    seed.
    """
    if golden["seed"] != golden_support.seed():
        pytest.skip("no trajectory was recorded with this seed")
    for point, measured, recorded in follow(reference, golden, devices=devices):
        assert measured["probe_loss"] == pytest.approx(recorded["probe_loss"], rel=RTOL), point
        assert measured["params"].keys() == recorded["params"].keys()
        for parameter, (total, squares) in recorded["params"].items():
            assert measured["params"][parameter][1] == pytest.approx(squares, rel=RTOL), (point, parameter)
            # Sums cancel, so the tolerance is 1e-5 of the sum of absolute terms.
            scale = abs(total) + (squares * len(recorded["params"])) ** 0.5
            assert measured["params"][parameter][0] == pytest.approx(total, abs=RTOL * scale), (point, parameter)
