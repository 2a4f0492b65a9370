"""Dropout whose rate may be given, and traced, at call time."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp


class Dropout(nn.Module):
    """Zeroes entries with probability `rate` and scales the others by `1 / (1 - rate)` (Srivastava et al. 2014).

    A mask is drawn at every rate, 0 included, so that a change of a traced rate changes neither the compiled program
    nor the random numbers that follow.

    Attributes:
      deterministic: passes the inputs through; no `dropout` random key is needed then.
    """

    deterministic: bool

    @nn.compact
    def __call__(self, inputs: jax.Array, rate: Any) -> jax.Array:
        if self.deterministic:
            return inputs
        keep_probability = 1.0 - jnp.asarray(rate, inputs.dtype)
        keep = jax.random.bernoulli(self.make_rng("dropout"), keep_probability, inputs.shape)
        return jnp.where(keep, inputs / keep_probability, jnp.zeros_like(inputs))
