"""The ready-made PyTorch algorithms: their contract, and equality with the JAX algorithms of the same name at each
step.
"""

import pathlib
from typing import Any

import jax
import numpy as np
import pytest
import torch

from algoperf_jax.assembly import Parts, assemble, initial_state
from algoperf_jax.framework.framework import load_framework
from algoperf_jax.submission.framework_names import JAX, PYTORCH, algorithm_names
from algoperf_jax.submission.load import load_submission
from algoperf_jax.submission.locate import locate
from configs import base
from tests.algoperf_jax import tiny_workload
from tests.torch_compat.checkpoints.test_saved_values import through_files
from torch_compat.checkpoints.saved_values import unpack

WORKLOAD = tiny_workload.build("tiny")
NAMES = algorithm_names(PYTORCH)
POINT = {"learning_rate": 0.03, "weight_decay": 0.1, "warmup_factor": 0.2, "dropout_rate": 0.0, "label_smoothing": 0.1}


class Training:
    """A submission and the state of its training."""

    def __init__(self, name: str, framework: str, **changes: Any) -> None:
        config: Any = base.named("tiny", "")
        config.update_from_flattened_dict({"framework": framework, "mesh.data": 1})
        config.hyperparameters = {**POINT, **changes}
        submission = load_submission(locate(name, framework), WORKLOAD)
        self.parts: Parts = assemble(config, load_framework(framework), WORKLOAD, submission, None)
        state = initial_state(self.parts)
        self.params, self.state, self.step = state.params, state.optimizer_state, 0
        self.feed = self.parts.make_feed()

    def train(self, steps: int) -> "Training":
        for _ in range(steps):
            self.state, self.params, _ = self.parts.submission.update_params(
                workload=self.parts.view,
                current_param_container=self.params,
                current_params_types=None,
                model_state=None,
                hyperparameters=self.parts.hyperparameters,
                batch=next(self.feed),
                loss_type=None,
                optimizer_state=self.state,
                eval_results=[],
                global_step=self.step,
                rng=np.asarray([0, self.step], np.uint32),
            )
            self.step += 1
        return self

    def arrays(self) -> list[np.ndarray]:
        return [np.asarray(leaf) for leaf in jax.tree.leaves(self.parts.backend.for_evaluation(self.params, None))]

    def loss(self) -> float:
        return self.parts.backend.evaluate(self.params, None, np.zeros(2, np.uint32))["validation/loss"]


def test_each_has_a_counterpart_in_jax() -> None:
    assert set(NAMES) <= set(algorithm_names(JAX))
    assert {"adamw", "nadamw"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("changes", [{}, {"grad_clip": 0.05}], ids=["", "clipped"])
def test_step_for_step_as_in_jax(name: str, changes: dict[str, Any]) -> None:
    ours, theirs = Training(name, PYTORCH, **changes), Training(name, JAX, **changes)
    for _ in range(6):  # through the warmup of 20 steps into the decay
        for mine, other in zip(ours.train(10).arrays(), theirs.train(10).arrays(), strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_converges_and_keeps_types_and_objects(name: str) -> None:
    training = Training(name, PYTORCH)
    before, module, state = training.loss(), training.params, training.state
    training.train(80)
    assert training.loss() < 0.75 * before
    assert training.params is module
    assert training.state is state
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}


@pytest.mark.parametrize("name", NAMES)
def test_resumes_from_saved_state(name: str) -> None:
    run, again = Training(name, PYTORCH).train(5), Training(name, PYTORCH)
    saved = through_files((dict(run.params.named_parameters()), run.state))
    _, again.state = unpack((dict(again.params.named_parameters()), again.state), saved)
    for _ in range(5):
        next(again.feed)
    again.step = run.step
    for mine, other in zip(again.train(5).arrays(), run.train(5).arrays(), strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize("name", NAMES)
def test_fits_on_a_page(name: str) -> None:
    path = pathlib.Path(load_submission(locate(name, PYTORCH), WORKLOAD).source.path)
    assert len(path.read_text().splitlines()) < 180
