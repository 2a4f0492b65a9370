"""Dropout with a rate that is passed at call time and may be traced."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Rate = float | Float[Array, ""]
"""The probability of zeroing an entry; may be traced."""


class Dropout(nn.Module):
    """Zeroes entries with probability `rate` and scales the others by `1 / (1 - rate)` (Srivastava et al. 2014).

    Drawing random bits takes as long as a dense layer. So each entry gets only 16 of them: the rate is rounded up to a
    multiple of 2^-16. A rate of 0 that is not traced draws none. A traced one does, so that its value changes neither
    the compiled program nor the random numbers of other layers, which have keys of their own.

    Attributes:
      deterministic: whether to pass the inputs through, without needing a `dropout` random key.
    """

    deterministic: bool

    @nn.compact
    def __call__(self, inputs: Float[Array, "*batch features"], rate: Rate) -> Float[Array, "*batch features"]:
        is_off = not isinstance(rate, jax.Array) and rate == 0
        if self.deterministic or is_off:
            return inputs
        *batch, features = inputs.shape
        words = jax.random.bits(self.make_rng("dropout"), (*batch, -(-features // 2)), jnp.uint32)
        halves = jax.lax.bitcast_convert_type(words, jnp.uint16).reshape(*batch, -1)[..., :features]
        rate = jnp.asarray(rate, jnp.float32)
        keep = halves >= rate * 2**16
        return jnp.where(keep, inputs / (1 - rate).astype(inputs.dtype), jnp.zeros_like(inputs))
