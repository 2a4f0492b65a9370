"""Models, losses and metrics have the shapes that their annotations show."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from jaxtyping import Array, Float

from tests.shape_checks import checked_flax, mismatches
from tests.workloads import reduced
from workloads import base_names, losses, metrics
from workloads.criteo1tb.embedding import embedding_lookup, sorted_sums
from workloads.criteo1tb.interaction import dot_interaction
from workloads.criteo1tb.loss import loss as criteo1tb_loss
from workloads.dropout import Rate
from workloads.fastmri.metrics import _window_means, ssim
from workloads.finewebedu_lm.loss import loss as finewebedu_lm_loss
from workloads.finewebedu_lm.model import normalized, of_length_one, rotated
from workloads.imagenet_vit.model import position_embedding
from workloads.ogbg.loss import loss as ogbg_loss
from workloads.ogbg.metrics import average_precision_per_task
from workloads.wmt.loss import loss as wmt_loss
from workloads.wmt.model import attention_mask, shifted_right

# Variants with other layers than their workload.
NAMES = (
    # The language model is made of functions; `test_metrics_and_functions_have_the_annotated_shapes` has them.
    *sorted({*base_names()} - {"finewebedu_lm"}),
    "criteo1tb_layernorm",
    "criteo1tb_resnet",
    "fastmri_layernorm",
    "imagenet_vit_glu",
    "imagenet_vit_map",
    "imagenet_vit_post_ln",
    "librispeech_deepspeech_norm_and_spec_aug",
    "wmt_glu_tanh",
)
LIBRARIES = {"jax": jnp.asarray, "torch": torch.from_numpy}


@pytest.mark.parametrize("name", NAMES)
def test_every_layer_of_a_model_has_the_annotated_shapes(name: str) -> None:
    workload, batch = reduced.load(name), reduced.batch(name)
    key = jax.random.PRNGKey(0)

    def forward(params: Any, model_state: Any, batch: Any) -> Any:
        return workload.apply(params, model_state, batch, key, train=True, update_batch_norm=True)[0]

    params, model_state = jax.eval_shape(workload.init, key)
    with checked_flax() as called:
        logits = jax.eval_shape(forward, params, model_state, batch)
    assert called
    assert len(jax.tree.leaves(logits)[0].shape) >= 2


def _rows(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.random(shape, np.float32)


@pytest.mark.parametrize("to_array", LIBRARIES.values(), ids=LIBRARIES)
def test_losses_have_the_annotated_shapes_in_both_frameworks(to_array: Callable[[np.ndarray], Any]) -> None:
    rng = np.random.default_rng(0)
    logits, labels = to_array(_rows(rng, 3, 5, 7)), to_array(rng.integers(7, size=(3, 5)).astype(np.int32))
    weights = to_array(rng.random((3, 5)) < 0.5)
    probabilities = to_array(_rows(rng, 3, 5, 7))
    labels = labels.long() if isinstance(labels, torch.Tensor) else labels
    calls = [
        (losses.softmax_cross_entropy, (labels, logits, weights, 0.1)),
        (losses.softmax_cross_entropy, (probabilities, logits)),
        (losses.mean_absolute_error, (probabilities, logits, weights)),
        (losses.weighted, (logits, None)),
        (losses.sigmoid_cross_entropy, (probabilities, logits)),
        (criteo1tb_loss, (logits[0, 0], logits[0, 0][:, None], weights[0, 0][None].repeat(7))),
        (ogbg_loss, (logits[0], logits[1], weights[0][:, None] * to_array(np.ones(7, bool)))),
    ]
    for function, arguments in calls:
        assert mismatches(function, arguments, {}, function(*arguments)) == []


def test_metrics_and_functions_have_the_annotated_shapes() -> None:
    rng = np.random.default_rng(0)
    images, ranges = jnp.asarray(_rows(rng, 2, 9, 11)), jnp.ones(2)
    rows, labels = _rows(rng, 6, 4), (_rows(rng, 6, 4) > 0.5).astype(np.float32)
    calls: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
        (ssim, (images, images + 1, ranges)),
        (_window_means, (images,)),
        (metrics.is_correct, (images, {"targets": jnp.zeros((2, 9), jnp.int32)})),
        (average_precision_per_task, (labels, rows, np.ones_like(rows))),
        (position_embedding, (3, 4, 8)),
        (wmt_loss, (labels.astype(np.int32), rows[..., None] * np.ones(3, np.float32), labels)),
        (attention_mask, (jnp.asarray(labels, jnp.int32), jnp.asarray(labels, jnp.int32)[:, :3])),
        (shifted_right, (jnp.asarray(labels, jnp.int32),)),
        (embedding_lookup, (jnp.ones((9, 3)), jnp.asarray(labels, jnp.int32))),
        (sorted_sums, (jnp.ones((6, 4)), jnp.zeros(6, jnp.int32), 3)),
        (dot_interaction, (images,)),
        (normalized, (images, jnp.ones(11))),
        (rotated, (jnp.ones((2, 3, 5, 4)),)),
        (of_length_one, (jnp.ones((2, 3, 5, 4)),)),
        (finewebedu_lm_loss, (labels.astype(np.int32), rows[..., None] * np.ones(3, np.float32), labels)),
    ]
    for function, arguments in calls:
        assert mismatches(function, arguments, {}, function(*arguments)) == []


def test_another_shape_or_type_is_found() -> None:
    def pool(
        tokens: Float[Array, "batch tokens features"], rate: Rate
    ) -> tuple[Float[Array, "batch features"], list[Float[Array, " batch"]]]:
        del rate
        return tokens.mean(1), [tokens.mean((1, 2))]

    tokens = jnp.ones((2, 3, 4))
    result = pool(tokens, 0.1)
    assert mismatches(pool, (tokens, 0.1), {}, result) == []
    assert mismatches(pool, (tokens, jnp.float32(0.1)), {}, result) == []
    assert mismatches(pool, (tokens[0], 0.1), {}, result) == ["tokens"]
    assert mismatches(pool, (tokens.astype(int), jnp.ones(2)), {}, result) == ["tokens", "rate"]
    assert mismatches(pool, (tokens,), {"rate": 0.1}, (result[0].T, result[1])) == ["return"]
    assert mismatches(pool, (tokens, 0.1), {}, (result[0], [tokens[0, 0]])) == ["return"]
