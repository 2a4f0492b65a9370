"""Metrics shared by workloads."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

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

PerExample = Callable[[jax.Array, Batch], jax.Array]
"""`(logits, batch) -> values`, one for each weight of the batch."""


def weighted_means(apply: Apply, loss: LossFunction, values: Mapping[str, PerExample]) -> Metrics:
    """`loss` and any other values, each a mean weighted by the weights of a split's examples or tokens.

    Args:
      apply: the forward pass; logits are those of evaluation.
      loss: the loss, whose `n_valid_examples` is the sum of the weights.
      values: name of a metric -> what it is the mean of.
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


def is_correct(logits: jax.Array, batch: Batch) -> jax.Array:
    """Whether the class with the largest logit is the target: [..., classes] -> [...]."""
    return jnp.argmax(logits, -1) == batch["targets"]


def classification(apply: Apply, loss: LossFunction) -> Metrics:
    """`accuracy` and `loss`, each a weighted mean over the examples of a split."""
    return weighted_means(apply, loss, {"accuracy": is_correct})
