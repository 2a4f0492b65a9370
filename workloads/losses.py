"""Losses shared by workloads. Each returns `Loss` and adds no regularization.

They are written with the functions of the array API standard, once for the arrays of JAX and of PyTorch.
"""

from typing import Any

import array_api_compat

from algoperf_jax.workload import Loss


def weighted(per_example: Any, weights: Any) -> Loss:
    """Sums losses, ignoring those of weight 0.

    Args:
      per_example: loss of each example [B], or of each token [B, L]: any leading axes.
      weights: of the same shape, or None when each of them counts.

    Raises:
      ValueError: losses and weights differ in shape.
    """
    if weights is not None and weights.shape != per_example.shape:
        raise ValueError(f"losses {tuple(per_example.shape)} and weights {tuple(weights.shape)} differ in shape")
    namespace = array_api_compat.array_namespace(per_example)
    if weights is None:
        # Made from the losses, so that they are on their device.
        weights = namespace.ones_like(per_example)
    else:
        weights = namespace.astype(namespace.asarray(weights), per_example.dtype)
        per_example = per_example * weights
    return Loss(namespace.sum(per_example), namespace.sum(weights), per_example)


def softmax_cross_entropy(targets: Any, logits: Any, weights: Any = None, label_smoothing: Any = 0.0) -> Loss:
    """Softmax cross entropy with uniform label smoothing (Szegedy et al. 2016, section 7).

    Args:
      targets: class indices [...], or probabilities of the classes [..., classes] that sum to 1 (mixed examples have
        such).
      logits: [..., classes], with any leading axes: those of examples [B], of tokens [B, L].
      weights: [...], or None.
      label_smoothing: probability mass that is spread evenly over all classes.

    Returns:
      Loss with `per_example` [...].

    Raises:
      ValueError: the axes of targets, logits and weights do not fit.
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


def mean_absolute_error(targets: Any, logits: Any, weights: Any = None, label_smoothing: Any = 0.0) -> Loss:
    """Mean absolute error of each example, over all its axes; label smoothing has no meaning for it.

    Args:
      targets: [B, ...].
      logits: predictions [B, ...].
      weights: [B], or with more leading axes ([B, L]), each of which then is an example; None is like [B].
      label_smoothing: ignored.

    Raises:
      ValueError: targets and logits differ in shape, or weights are not one for each example.
    """
    del label_smoothing
    leading = 1 if weights is None else len(weights.shape)
    if targets.shape != logits.shape or (weights is not None and weights.shape != targets.shape[:leading]):
        raise ValueError(
            f"mean_absolute_error: targets {tuple(targets.shape)}, logits {tuple(logits.shape)} and weights "
            f"{None if weights is None else tuple(weights.shape)} do not belong together"
        )
    namespace = array_api_compat.array_namespace(logits)
    errors = namespace.abs(logits - namespace.asarray(targets))
    return weighted(namespace.mean(errors, axis=tuple(range(leading, errors.ndim))), weights)
