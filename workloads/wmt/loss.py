"""The loss of translations."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Float, Integer, Shaped

from algoperf_jax.workload import Loss
from workloads.vocabulary_loss import check_tokens, token_cross_entropy


def loss(
    targets: Integer[Any, "*leading"],
    logits: Float[Any, "*leading vocabulary"],
    weights: Shaped[Any, "*leading"] | None = None,
    label_smoothing: float | Float[Any, ""] = 0.0,
) -> Loss:
    """Softmax cross entropy of each token, with uniform label smoothing.

    The same function as `workloads.losses.softmax_cross_entropy` where weights are 0 or 1, in less memory: see
    `token_cross_entropy`.

    Args:
      targets: token ids.
      logits: the leading axes are those of tokens.
      weights: nonzero where a token counts; they say whether, not how much. None if all count, including padding.
      label_smoothing: probability mass that is spread evenly over the vocabulary.

    Returns:
      Loss with a `per_example` of the leading axes; `n_valid_examples` is the sum of the weights.

    Raises:
      ValueError: the shapes of targets, logits and weights do not match.
    """
    check_tokens("wmt loss", targets, logits, weights)
    per_token = token_cross_entropy(targets, logits, label_smoothing)
    if weights is None:
        weights = jnp.ones_like(per_token)
    else:
        weights = jnp.asarray(weights).astype(per_token.dtype)
        per_token = jnp.where(weights != 0, per_token, 0)
    return Loss(per_token.sum(), weights.sum(), per_token)
