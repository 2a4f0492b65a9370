"""Binary cross entropy per task, over the labels that are not missing."""

from typing import Any

import array_api_compat
from jaxtyping import Float, Shaped

from algoperf_jax.workload import Loss
from workloads.losses import sigmoid_cross_entropy


def loss(
    targets: Float[Any, "graphs tasks"],
    logits: Float[Any, "graphs tasks"],
    weights: Shaped[Any, "graphs tasks"] | None = None,
    label_smoothing: float | Float[Any, ""] = 0.0,
) -> Loss:
    """Sigmoid cross entropy of each (molecule, task) pair, 0 if the label is missing.

    Smoothing by s changes a label y to `(1 - s) y + s / tasks`. This applies the multi-class rule to binary tasks; the
    targets of this workload were obtained this way.

    Args:
      targets: labels 0 or 1.
      logits: one logit per graph and task.
      weights: nonzero if the label counts; required, since most labels are missing.
      label_smoothing: s.

    Returns:
      Loss with a `per_example` [graphs, tasks], and `n_valid_examples` the number of labels that count.

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
    cross_entropy = sigmoid_cross_entropy(smoothed, logits)
    per_example = namespace.where(labelled, cross_entropy, zeros)
    num_labels = namespace.sum(namespace.astype(labelled, per_example.dtype))
    return Loss(namespace.sum(per_example), num_labels, per_example)
