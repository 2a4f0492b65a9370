"""Softmax cross entropy over a large vocabulary: nothing of the size of the logits is kept but the logits."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Integer, Shaped


def check_tokens(
    what: str,
    targets: Integer[Any, "*leading"],
    logits: Float[Any, "*leading vocabulary"],
    weights: Shaped[Any, "*leading"] | None,
) -> None:
    """Checks that there is one target and one weight for each vector of logits.

    Args:
      what: whose arguments they are, for the error.
      targets: token ids.
      logits: the leading axes are those of tokens.
      weights: weights of tokens, or None.

    Raises:
      ValueError: the shapes do not match.
    """
    leading = tuple(logits.shape[:-1])
    if tuple(targets.shape) != leading or (weights is not None and tuple(weights.shape) != leading):
        raise ValueError(
            f"{what}: targets {tuple(targets.shape)}, logits {tuple(logits.shape)} and weights "
            f"{None if weights is None else tuple(weights.shape)} do not share their leading axes"
        )


def token_cross_entropy(
    targets: Integer[Any, "*leading"],
    logits: Float[Any, "*leading vocabulary"],
    label_smoothing: float | Float[Any, ""] = 0.0,
) -> Float[Array, "*leading"]:
    """Softmax cross entropy of each token, with uniform label smoothing (Szegedy et al. 2016, section 7).

    The `per_example` of `workloads.losses.softmax_cross_entropy`. Its derivative is written out, so that a training
    step reads the logits once more and writes their gradient, and makes no other array of their size: no indicators of
    the targets, no logarithms of probabilities. At least float32, whatever the type of the logits.

    Args:
      targets: token ids.
      logits: the leading axes are those of tokens.
      label_smoothing: probability mass that is spread evenly over the vocabulary.
    """
    logits = jnp.asarray(logits)
    smoothing = jnp.asarray(label_smoothing, jnp.promote_types(logits.dtype, jnp.float32))
    return _cross_entropy(logits, jnp.asarray(targets), smoothing)


@jax.custom_jvp
def _cross_entropy(
    logits: Float[Array, "*leading vocabulary"], targets: Int[Array, "*leading"], smoothing: Float[Array, ""]
) -> Float[Array, "*leading"]:
    return _with_normalizer(logits.astype(smoothing.dtype), targets, smoothing)[0]


@_cross_entropy.defjvp
def _cross_entropy_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    logits, targets, smoothing = primals
    of_logits, _, of_smoothing = tangents
    logits = logits.astype(smoothing.dtype)
    per_token, log_normalizer = _with_normalizer(logits, targets, smoothing)
    vocabulary = logits.shape[-1]
    probabilities = jnp.exp(logits - log_normalizer[..., None])
    is_target = jnp.arange(vocabulary) == targets[..., None]
    expected = jnp.where(is_target, 1 - smoothing, 0) + smoothing / vocabulary
    tangent = ((probabilities - expected) * of_logits).sum(-1)
    return per_token, tangent + (_of_targets(logits, targets) - logits.mean(-1)) * of_smoothing


def _with_normalizer(
    logits: Float[Array, "*leading vocabulary"], targets: Int[Array, "*leading"], smoothing: Float[Array, ""]
) -> tuple[Float[Array, "*leading"], Float[Array, "*leading"]]:
    """The cross entropy, and the logarithm that normalizes the logits."""
    log_normalizer = jax.nn.logsumexp(logits, axis=-1)
    of_targets = _of_targets(logits, targets)
    return log_normalizer - (1 - smoothing) * of_targets - smoothing * logits.mean(-1), log_normalizer


def _of_targets(
    logits: Float[Array, "*leading vocabulary"], targets: Int[Array, "*leading"]
) -> Float[Array, "*leading"]:
    return jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
