"""The digit classifier: one hidden layer of 128 sigmoid units."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from algoperf_jax.workload import Batch, ModelState, Parameters, RandomKey

NUM_CLASSES = 10
IMAGE_SHAPE = (28, 28, 1)


class DigitClassifier(nn.Module):
    """[B, 28, 28, 1] -> logits [B, 10]."""

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        flat = images.reshape(images.shape[0], -1)
        hidden = nn.sigmoid(nn.Dense(128)(flat))
        return nn.Dense(NUM_CLASSES)(hidden)


def init(rng: RandomKey) -> tuple[Parameters, ModelState]:
    """Draws the parameters; the model has no state."""
    return DigitClassifier().init(rng, jnp.zeros((1, *IMAGE_SHAPE)))["params"], None


def apply(
    params: Parameters,
    model_state: ModelState,
    batch: Batch,
    rng: RandomKey,
    *,
    train: bool,
    update_batch_norm: bool,
    dropout_rate: Any = None,
    use_running_average: bool | None = None,
) -> tuple[Any, ModelState]:
    """Logits [B, 10]. The model has neither dropout nor batch normalization."""
    del rng, train, update_batch_norm, dropout_rate, use_running_average
    return DigitClassifier().apply({"params": params}, batch["inputs"]), model_state
