"""Uses of the contract's freedoms: losses of tokens, logits with paddings, a loss for each framework."""

import contextlib
import functools
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import pytest
import torch

import workloads
from algoperf_jax.framework.jax_view import JaxView
from algoperf_jax.workload import Placement, Workload
from tests import golden_support
from tests.algoperf_jax.conftest import Command
from tests.algoperf_jax.conftest import command as command
from tests.algoperf_jax.conftest import compilation_cache as compilation_cache
from tests.golden_support import COMPILE_QUICKLY
from tests.torch_compat import module_support
from tests.workloads import sequences
from torch_compat.transfer import bridge

CONFIG = """
from configs import base

def get_config(variant=""):
    return base.named({name!r}, variant)
"""


@pytest.fixture(autouse=True, scope="module")
def registered() -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for name, entry in sequences.ENTRIES.items():
            stack.enter_context(workloads.registered(name, entry))
        yield


def batch_of(workload: Workload, split: Any = "train") -> dict[str, Any]:
    reader = workload.data.open(split, batch_size=24, seed=1, placement=Placement())
    # The last batch has padding.
    return dict(reader.finished((reader.num_batches or 1) - 1))


def tensors(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: torch.from_numpy(np.array(leaf)), tree)


@pytest.mark.parametrize("is_weighted", [False, True])
def test_the_losses_of_the_frameworks_are_equal(is_weighted: bool) -> None:
    batch = batch_of(workloads.load("spoken"), "validation")
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((24, sequences.FRAMES, sequences.VOCABULARY), np.float32)
    logits = scores, batch["inputs"][1]
    weights = batch["weights"] if is_weighted else None

    def loss_and_gradient(scores: Any) -> tuple[Any, Any]:
        def objective(scores: Any) -> tuple[Any, Any]:
            loss = sequences.ctc_loss(batch["targets"], (scores, logits[1]), weights)
            return loss.summed, loss

        gradient, loss = jax.grad(objective, has_aux=True)(scores)
        return loss, gradient

    ours, gradient = jax.jit(loss_and_gradient, compiler_options=COMPILE_QUICKLY)(scores)
    theirs_scores = torch.from_numpy(scores).requires_grad_()
    labels, label_paddings = tensors(batch["targets"])
    theirs = sequences.torch_ctc_loss(
        (labels, label_paddings), (theirs_scores, tensors(logits[1])), None if weights is None else tensors(weights)
    )
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(np.asarray(one), other.detach().numpy(), rtol=1e-5, atol=1e-5)
    num_tokens = (1 - batch["targets"][1]).sum(1)
    assert ours.n_valid_examples == (num_tokens if weights is None else num_tokens * weights).sum()
    theirs.summed.backward()
    assert theirs_scores.grad is not None
    np.testing.assert_allclose(np.asarray(gradient), theirs_scores.grad.numpy(), atol=1e-5)


@pytest.mark.parametrize("name", sequences.ENTRIES)
def test_the_bridge_takes_every_shape_of_logits(name: str) -> None:
    """Logits, loss and gradients are those of the JAX model."""
    workload = workloads.load(name)
    model, batch = bridge.build(workload), batch_of(workload, "validation")
    params, state = golden_support.recipe_state(workload)
    module = module_support.filled(model, params, state)

    @functools.partial(jax.jit, compiler_options=COMPILE_QUICKLY)
    @functools.partial(jax.value_and_grad, has_aux=True)
    def compute(params: Any) -> Any:
        logits, _ = workload.apply(
            params, state, batch, jax.random.PRNGKey(0), train=True, update_batch_norm=True, dropout_rate=0.0
        )
        loss = workload.loss(batch["targets"], logits, batch["weights"])
        return loss.summed / loss.n_valid_examples, logits

    (expected, expected_logits), gradients = compute(params)
    logits = module(tensors(batch), dropout_rate=0.0)
    assert jax.tree.structure(logits) == jax.tree.structure(expected_logits)
    for one, other in zip(jax.tree.leaves(logits), jax.tree.leaves(expected_logits), strict=True):
        np.testing.assert_allclose(one.detach().numpy(), np.asarray(other), rtol=1e-4, atol=1e-5)
    loss = model.loss(tensors(batch["targets"]), logits, tensors(batch["weights"]))
    (loss.summed / loss.n_valid_examples).backward()
    np.testing.assert_allclose((loss.summed / loss.n_valid_examples).item(), expected, rtol=1e-5)
    for path, gradient in module_support.gradients(model, module, params).items():
        wanted = np.asarray(golden_support.parameters.paths(gradients)[path])
        np.testing.assert_allclose(np.asarray(gradient), wanted, rtol=1e-4, atol=1e-5, err_msg=path)


def test_only_logits_are_activated() -> None:
    view = JaxView(workloads.load("spoken"))
    scores, paddings = np.zeros((2, 3, 4), np.float32), np.ones((2, 3), np.float32)
    probabilities, same = view.output_activation_fn((scores, paddings))
    np.testing.assert_allclose(probabilities, 0.25)
    assert same is paddings


@pytest.mark.parametrize(("name", "framework"), [("packed", "jax"), ("spoken", "jax"), ("spoken", "pytorch")])
def test_a_trial_runs(name: str, framework: str, command: Command, tmp_path: pathlib.Path) -> None:
    config = tmp_path / f"{name}.py"
    config.write_text(CONFIG.format(name=name))
    finished = command(f"--config.framework={framework}", config=config)
    assert (finished.code, finished.err) == (0, "")
    (result,) = tmp_path.rglob("result.json")
    content = json.loads(result.read_text())
    assert (content["status"], content["steps"]) == ("training_complete", 3)
    assert np.isfinite(content["best"]["validation"])
