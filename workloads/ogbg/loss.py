"""Binary cross entropy per task, over the labels that are there."""

from typing import Any

import array_api_compat

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
            f"ogbg loss: targets {tuple(targets.shape)}, logits {tuple(logits.shape)} and weights "
            f"{tuple(weights.shape)} must share one shape [graphs, tasks]"
        )
    namespace = array_api_compat.array_namespace(logits)
    zeros = namespace.zeros_like(logits)
    labelled = namespace.asarray(weights) != 0
    smoothed = (1.0 - label_smoothing) * namespace.asarray(targets) + label_smoothing / logits.shape[-1]
    # `where` instead of `maximum` and `abs`: at 0 their derivatives are split between the branches, here they are not.
    positive = logits >= 0
    rectified = namespace.where(positive, logits, zeros)
    negative_magnitude = namespace.where(positive, -logits, logits)
    cross_entropy = rectified - logits * smoothed + namespace.log1p(namespace.exp(negative_magnitude))
    per_example = namespace.where(labelled, cross_entropy, zeros)
    num_labels = namespace.sum(namespace.astype(labelled, per_example.dtype))
    return Loss(namespace.sum(per_example), num_labels, per_example)
