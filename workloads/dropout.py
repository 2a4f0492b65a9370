"""Dropout with a rate that is passed at call time and may be traced."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Rate = float | Float[Array, ""]
"""The probability of zeroing an entry; may be traced."""


class Dropout(nn.Module):
    """Zeroes entries with probability `rate` and scales the others by `1 / (1 - rate)` (Srivastava et al. 2014).

    A mask is drawn at every rate, including 0, so that changing a traced rate changes neither the compiled program nor
    later random numbers. Drawing random bits takes as long as a dense layer, so each entry gets only 16 of them: the
    rate is rounded up to a multiple of 2^-16.

    Attributes:
      deterministic: whether to pass the inputs through, without needing a `dropout` random key.
    """

    deterministic: bool

    @nn.compact
    def __call__(self, inputs: Float[Array, "*batch features"], rate: Rate) -> Float[Array, "*batch features"]:
        if self.deterministic:
            return inputs
        *batch, features = inputs.shape
        words = jax.random.bits(self.make_rng("dropout"), (*batch, -(-features // 2)), jnp.uint32)
        halves = jax.lax.bitcast_convert_type(words, jnp.uint16).reshape(*batch, -1)[..., :features]
        rate = jnp.asarray(rate, jnp.float32)
        keep = halves >= rate * 2**16
        return jnp.where(keep, inputs / (1 - rate).astype(inputs.dtype), jnp.zeros_like(inputs))
