"""Losses shared by workloads. Each returns `Loss` and adds no regularization."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from algoperf_jax.workload import Loss


def weighted(per_example: jax.Array, weights: Any) -> Loss:
    """Sums per-example losses, ignoring those of weight 0.

    Args:
      per_example: loss of each example [B].
      weights: [B], or None when every example counts.
    """
    if weights is None:
        return Loss(per_example.sum(), jnp.asarray(per_example.shape[0]), per_example)
    weights = jnp.asarray(weights, per_example.dtype)
    per_example = per_example * weights
    return Loss(per_example.sum(), weights.sum(), per_example)


def softmax_cross_entropy(targets: Any, logits: jax.Array, weights: Any = None, label_smoothing: Any = 0.0) -> Loss:
    """Softmax cross entropy with uniform label smoothing (Szegedy et al. 2016, section 7).

    Args:
      targets: class indices [B].
      logits: [B, classes].
      weights: [B], or None.
      label_smoothing: probability mass that is spread evenly over all classes.

    Raises:
      ValueError: the leading axes of targets, logits and weights differ.
    """
    if targets.shape != logits.shape[:1] or (weights is not None and weights.shape != targets.shape):
        raise ValueError(
            f"softmax_cross_entropy: targets {targets.shape}, logits {logits.shape} and weights "
            f"{None if weights is None else weights.shape} do not share one batch axis"
        )
    num_classes = logits.shape[-1]
    smoothed = optax.smooth_labels(jax.nn.one_hot(targets, num_classes, dtype=logits.dtype), label_smoothing)
    return weighted(optax.softmax_cross_entropy(logits, smoothed), weights)
