"""Metrics shared by workloads."""

from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Shaped

from algoperf_jax.workload import (
    Apply,
    Batch,
    LossFunction,
    Metrics,
    ModelState,
    Parameters,
    Partial,
    RandomKey,
)

PerExample = Callable[[Float[Array, "..."], Batch], Shaped[Array, "*weights"]]
"""`(logits, batch) -> values`, one for each weight of the batch."""


def weighted_means(apply: Apply, loss: LossFunction, values: Mapping[str, PerExample]) -> Metrics:
    """Makes the metric `loss` and any others, each a mean weighted by the weights of a split's examples or tokens.

    Args:
      apply: the forward pass, called in evaluation mode.
      loss: the loss, whose `n_valid_examples` is the sum of the weights.
      values: name of a metric -> function whose values it averages.
    """

    def batch_step(params: Parameters, model_state: ModelState, batch: Batch, rng: RandomKey) -> Partial:
        logits, _ = apply(params, model_state, batch, rng, train=False, update_batch_norm=False)
        losses = loss(batch["targets"], logits, batch["weights"])
        sums = {name: (value(logits, batch) * batch["weights"]).sum() for name, value in values.items()}
        return Partial(sums={**sums, "loss": losses.summed, "weight": losses.n_valid_examples}, rows={})

    def summarize(sums: Mapping[str, float], rows: Mapping[str, np.ndarray]) -> dict[str, float]:
        del rows
        return {name: sums[name] / sums["weight"] for name in (*values, "loss")}

    return Metrics(batch_step, summarize)


def is_correct(logits: Float[Array, "*leading classes"], batch: Batch) -> Bool[Array, "*leading"]:
    """Whether the class with the largest logit is the target."""
    return jnp.argmax(logits, -1) == batch["targets"]


def classification(apply: Apply, loss: LossFunction) -> Metrics:
    """Makes the metrics `accuracy` and `loss`, each a weighted mean over the examples of a split."""
    return weighted_means(apply, loss, {"accuracy": is_correct})
