"""Binary cross entropy of clicks."""

from typing import Any

import array_api_compat
from jaxtyping import Float, Shaped

from algoperf_jax.workload import Loss
from workloads import losses


def loss(
    targets: Float[Any, " batch"],
    logits: Float[Any, "batch 1"],
    weights: Shaped[Any, " batch"] | None = None,
    label_smoothing: float | Float[Any, ""] = 0.0,
) -> Loss:
    """Sigmoid cross entropy of each row.

    Args:
      targets: 1 for a click, otherwise 0.
      logits: one logit per row, [batch, 1] or [batch].
      weights: weights of any numeric or boolean type, or None if all rows count.
      label_smoothing: ignored, as by the benchmark.

    Raises:
      ValueError: there are not as many targets, logits and weights.
    """
    del label_smoothing
    shapes = [tuple(array.shape) for array in (targets, logits, weights) if array is not None]
    rows = (shapes[0][0],)
    if any(shape not in (rows, (*rows, 1)) for shape in shapes):
        raise ValueError(
            f"criteo1tb loss: targets, logits and weights of shapes {shapes} must be [batch] or [batch, 1]"
        )
    namespace = array_api_compat.array_namespace(logits)
    # [batch, 1] and [batch] would otherwise be broadcast to [batch, batch].
    targets, logits = namespace.reshape(namespace.asarray(targets), rows), namespace.reshape(logits, rows)
    weights = None if weights is None else namespace.reshape(namespace.asarray(weights), rows)
    return losses.weighted(losses.sigmoid_cross_entropy(targets, logits), weights)
