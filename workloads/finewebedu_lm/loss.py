"""The loss of the language model."""

from typing import Any

from jaxtyping import Float, Integer, Shaped

from algoperf_jax.workload import Loss
from workloads.losses import weighted
from workloads.vocabulary_loss import check_tokens, token_cross_entropy


def loss(
    targets: Integer[Any, "*leading"],
    logits: Float[Any, "*leading vocabulary"],
    weights: Shaped[Any, "*leading"] | None = None,
    label_smoothing: float | Float[Any, ""] = 0.0,
) -> Loss:
    """Softmax cross entropy of each token, with uniform label smoothing.

    The same function as `workloads.losses.softmax_cross_entropy`, in less memory: see `token_cross_entropy`.

    Args:
      targets: token ids.
      logits: the leading axes are those of tokens.
      weights: multiply the losses of tokens; None if all count.
      label_smoothing: probability mass that is spread evenly over the vocabulary.

    Returns:
      Loss with a `per_example` of the leading axes; `n_valid_examples` is the sum of the weights.

    Raises:
      ValueError: the shapes of targets, logits and weights do not match.
    """
    check_tokens("finewebedu_lm loss", targets, logits, weights)
    return weighted(token_cross_entropy(targets, logits, label_smoothing), weights)
