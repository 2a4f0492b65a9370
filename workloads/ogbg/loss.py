"""Binary cross entropy per task, over the labels that are there."""

from typing import Any

import jax.numpy as jnp

from algoperf_jax.workload import Loss


def loss(targets: Any, logits: Any, weights: Any = None, label_smoothing: Any = 0.0) -> Loss:
    """Sigmoid cross entropy of each (molecule, task) pair, 0 where the label is missing.

    Smoothing moves a label y to `(1 - s) y + s / tasks`, the multi-class rule applied to binary tasks: what the targets
    of this workload were obtained with.

    Args:
      targets: labels 0 or 1, [graphs, tasks].
      logits: [graphs, tasks].
      weights: nonzero where the label counts, [graphs, tasks]; required, since most labels are missing.
      label_smoothing: s.

    Returns:
      Loss with `per_example` [graphs, tasks] and `n_valid_examples` the number of labels that count.

    Raises:
      ValueError: weights are missing, or the three shapes differ or are not two-dimensional.
    """
    if weights is None:
        raise ValueError("ogbg loss: weights [graphs, tasks] are required, since labels are missing; found None")
    if not (targets.shape == logits.shape == weights.shape and len(logits.shape) == 2):
        raise ValueError(
            f"ogbg loss: targets {targets.shape}, logits {logits.shape} and weights {weights.shape} must share one "
            "shape [graphs, tasks]"
        )
    labelled = jnp.asarray(weights) != 0
    smoothed = (1.0 - label_smoothing) * jnp.asarray(targets) + label_smoothing / logits.shape[-1]
    # `where` instead of `maximum` and `abs`: at 0 their derivatives are split between the branches, here they are not.
    positive = logits >= 0
    rectified = jnp.where(positive, logits, 0.0)
    negative_magnitude = jnp.where(positive, -logits, logits)
    cross_entropy = rectified - logits * smoothed + jnp.log1p(jnp.exp(negative_magnitude))
    per_example = jnp.where(labelled, cross_entropy, 0.0)
    return Loss(per_example.sum(), labelled.sum(dtype=per_example.dtype), per_example)
