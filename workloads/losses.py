"""Losses shared by workloads. Each returns `Loss` and adds no regularization.

They use the functions of the array API standard, so that they work on the arrays of JAX and of PyTorch.
"""

from typing import Any

import array_api_compat
from jaxtyping import Float, Integer, Shaped

from algoperf_jax.workload import Loss


def weighted(per_example: Float[Any, "*leading"], weights: Shaped[Any, "*leading"] | None) -> Loss:
    """Sums losses, ignoring those of weight 0.

    Args:
      per_example: loss of each example [B], or of each token [B, L].
      weights: weights of any numeric or boolean type, or None if all losses count.

    Raises:
      ValueError: losses and weights differ in shape.
    """
    if weights is not None and weights.shape != per_example.shape:
        raise ValueError(f"losses {tuple(per_example.shape)} and weights {tuple(weights.shape)} differ in shape")
    namespace = array_api_compat.array_namespace(per_example)
    if weights is None:
        # Made from the losses, so that both are on the same device.
        weights = namespace.ones_like(per_example)
    else:
        weights = namespace.astype(namespace.asarray(weights), per_example.dtype)
        per_example = per_example * weights
    return Loss(namespace.sum(per_example), namespace.sum(weights), per_example)


def softmax_cross_entropy(
    targets: Integer[Any, "*leading"] | Float[Any, "*leading classes"],
    logits: Float[Any, "*leading classes"],
    weights: Shaped[Any, "*leading"] | None = None,
    label_smoothing: float | Float[Any, ""] = 0.0,
) -> Loss:
    """Softmax cross entropy with uniform label smoothing (Szegedy et al. 2016, section 7).

    Args:
      targets: class indices, or class probabilities that sum to 1, as mixed examples have.
      logits: the leading axes are those of examples [B] or of tokens [B, L].
      weights: weights of any numeric or boolean type, or None if all examples count.
      label_smoothing: probability mass that is spread evenly over all classes.

    Returns:
      Loss with a `per_example` of the leading axes.

    Raises:
      ValueError: the shapes of targets, logits and weights do not match.
    """
    leading = logits.shape[:-1]
    is_index = len(targets.shape) == len(leading)
    if targets.shape != (leading if is_index else logits.shape) or (weights is not None and weights.shape != leading):
        raise ValueError(
            f"softmax_cross_entropy: targets {tuple(targets.shape)}, logits {tuple(logits.shape)} and weights "
            f"{None if weights is None else tuple(weights.shape)} do not share their leading axes"
        )
    namespace = array_api_compat.array_namespace(logits)
    shifted = logits - namespace.max(logits, axis=-1, keepdims=True)
    log_normalizer = namespace.log(namespace.sum(namespace.exp(shifted), axis=-1))
    targets = namespace.asarray(targets)
    of_target = (
        namespace.take_along_axis(shifted, targets[..., None], axis=-1)[..., 0]
        if is_index
        else namespace.sum(targets * shifted, axis=-1)
    )
    smoothed = (1.0 - label_smoothing) * of_target + label_smoothing * namespace.mean(shifted, axis=-1)
    return weighted(log_normalizer - smoothed, weights)


def sigmoid_cross_entropy(targets: Float[Any, "*shape"], logits: Float[Any, "*shape"]) -> Float[Any, "*shape"]:
    """Binary cross entropy of each logit, for targets from 0 to 1."""
    namespace = array_api_compat.array_namespace(logits)
    # `where` instead of `maximum` and `abs`, whose derivatives at 0 are split between the branches.
    positive = logits >= 0
    rectified = namespace.where(positive, logits, namespace.zeros_like(logits))
    negative_magnitude = namespace.where(positive, -logits, logits)
    return rectified - logits * targets + namespace.log1p(namespace.exp(negative_magnitude))


def mean_absolute_error(
    targets: Float[Any, "*shape"],
    logits: Float[Any, "*shape"],
    weights: Shaped[Any, "*leading"] | None = None,
    label_smoothing: float | Float[Any, ""] = 0.0,
) -> Loss:
    """Mean absolute error of each example, over all its axes.

    Args:
      targets: the true values, [B, ...] or [B, L, ...].
      logits: the predictions.
      weights: one weight per example, [B] or [B, L], of any numeric or boolean type; None is like [B] of ones.
      label_smoothing: ignored, since it has no meaning for this loss.

    Raises:
      ValueError: targets and logits differ in shape, or weights are not those of examples.
    """
    del label_smoothing
    leading = 1 if weights is None else len(weights.shape)
    if targets.shape != logits.shape or (weights is not None and weights.shape != targets.shape[:leading]):
        raise ValueError(
            f"mean_absolute_error: targets {tuple(targets.shape)}, logits {tuple(logits.shape)} and weights "
            f"{None if weights is None else tuple(weights.shape)} do not match"
        )
    namespace = array_api_compat.array_namespace(logits)
    errors = namespace.abs(logits - namespace.asarray(targets))
    return weighted(namespace.mean(errors, axis=tuple(range(leading, errors.ndim))), weights)
