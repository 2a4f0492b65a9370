"""The loss of both speech workloads."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Float, Num

from algoperf_jax.workload import Loss
from workloads.speech.ctc import ctc_loss


def loss(
    targets: tuple[Num[Any, "batch labels"], Num[Any, "batch labels"]],
    logits: tuple[Float[Any, "batch frames vocabulary"], Num[Any, "batch frames"]],
    weights: Num[Any, " batch"] | None = None,
    label_smoothing: Any = 0.0,
) -> Loss:
    """CTC loss of each utterance; `n_valid_examples` is the number of their target tokens, at least 1.

    Args:
      targets: token ids and their paddings, 1 at padding.
      logits: logits and their paddings.
      weights: weights of the utterances, or None if all count.
      label_smoothing: ignored, since it has no meaning for this loss.

    Raises:
      ValueError: the shapes do not match.
    """
    del label_smoothing
    per_example = ctc_loss(*targets, *logits)
    num_tokens = (targets[1] == 0).sum(axis=1).astype(per_example.dtype)
    if weights is not None:
        if weights.shape != per_example.shape:
            raise ValueError(f"losses {per_example.shape} and weights {weights.shape} differ in shape")
        per_example, num_tokens = (values * weights for values in (per_example, num_tokens))
    return Loss(per_example.sum(), jnp.maximum(num_tokens.sum(), 1), per_example)
