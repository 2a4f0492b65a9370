"""Recommendation models for click-through rates: DLRM (Naumov et al. 2019), and one with residual connections.

A row has 13 logarithms of integers, and 26 categories whose ids share one embedding table.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from workloads.criteo1tb.architecture import Architecture
from workloads.criteo1tb.embedding import embedding_lookup, uniform_rows
from workloads.criteo1tb.interaction import dot_interaction
from workloads.criteo1tb.schema import NUM_CATEGORIES, NUM_INTEGERS
from workloads.dropout import Dropout, Rate

NUM_FEATURES = NUM_INTEGERS + NUM_CATEGORIES
EXAMPLE_INPUTS = jax.ShapeDtypeStruct((1, NUM_FEATURES), "float32")

_BOTTOM_KERNEL = nn.initializers.glorot_uniform()
_TOP_KERNEL = nn.initializers.variance_scaling(1.0, "fan_avg", "normal")


class ClickModel(nn.Module):
    """The network; it returns logits.

    Attributes:
      architecture: size and variant.
      deterministic: whether dropout is off.
    """

    architecture: Architecture
    deterministic: bool

    @nn.compact
    def __call__(self, inputs: Float[Array, "batch 39"], dropout_rate: Rate) -> Float[Array, "batch 1"]:
        architecture = self.architecture
        scale = architecture.embedding_scale
        scale = 1 / math.sqrt(architecture.vocab_size) if scale is None else scale
        shape = (architecture.vocab_size, architecture.size.width)
        table = self.param("embedding_table", uniform_rows, shape, scale)
        # The ids of all columns are rows of the same table.
        ids = inputs[:, NUM_INTEGERS:].astype(jnp.int32) % architecture.vocab_size

        bottom = inputs[:, :NUM_INTEGERS]
        for number, width in enumerate(architecture.bottom_widths):
            bottom = self._hidden(bottom, _dense(width, _BOTTOM_KERNEL), is_first=number == 0)
        embedded = embedding_lookup(table, ids)
        if architecture.use_residual:
            crossed = embedded.reshape(len(inputs), -1)
        else:
            if architecture.use_layer_norm:
                embedded = nn.LayerNorm()(embedded)
            crossed = dot_interaction(jnp.concatenate([bottom[:, None], embedded], axis=1))

        top = jnp.concatenate([bottom, crossed], axis=1)
        *hidden_widths, num_outputs = architecture.top_widths
        for number, width in enumerate(hidden_widths):
            rate = dropout_rate if number == len(hidden_widths) - 1 else None
            top = self._hidden(top, _dense(width, _TOP_KERNEL), is_first=number == 0, dropout_rate=rate)
        return _dense(num_outputs, _TOP_KERNEL)(top)

    def _hidden(self, features: Array, dense: nn.Dense, *, is_first: bool, dropout_rate: Rate | None = None) -> Array:
        """A dense layer and what follows it; layers after the first of a perceptron may have a residual connection."""
        activated = nn.relu(dense(features))
        if self.architecture.use_layer_norm:
            activated = nn.LayerNorm()(activated)
        if dropout_rate is not None:
            activated = Dropout(self.deterministic)(activated, dropout_rate)
        return features + activated if self.architecture.use_residual and not is_first else activated


def _dense(width: int, kernel_init: nn.initializers.Initializer) -> nn.Dense:
    return nn.Dense(width, kernel_init=kernel_init, bias_init=nn.initializers.normal(1 / math.sqrt(width)))
