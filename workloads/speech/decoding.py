"""Greedy decoding: from the logits of frames to the ids of tokens."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Num

from workloads.speech.ctc import BLANK


def greedy_decode(
    logits: Float[Any, "batch frames vocabulary"], logit_paddings: Num[Any, "batch frames"]
) -> Int[Array, "batch frames"]:
    """The tokens of the most likely alignment: the best id of each frame, without repetitions and blanks.

    The benchmark's reference adds a token to the first row of a batch if that row is empty; this function does not.

    Args:
      logits: of each frame.
      logit_paddings: 1 at padding.

    Returns:
      The ids, followed by zeros.
    """
    best = jnp.argmax(logits, axis=2).astype(jnp.int32)
    before = jnp.pad(best[:, :-1], ((0, 0), (1, 0)), constant_values=BLANK)
    is_token = (best != BLANK) & (best != before) & (logit_paddings == 0)
    # Sorting by whether it is one brings the tokens to the front, in their order.
    order = jnp.argsort(~is_token, axis=1, stable=True)
    return jnp.take_along_axis(jnp.where(is_token, best, 0), order, axis=1)
