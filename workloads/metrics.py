"""Metrics shared by workloads."""

from collections.abc import Mapping

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


def classification(apply: Apply, loss: LossFunction) -> Metrics:
    """`accuracy` and `loss`, each a weighted mean over the examples of a split."""

    def batch_step(params: Parameters, model_state: ModelState, batch: Batch, rng: RandomKey) -> Partial:
        logits, _ = apply(params, model_state, batch, rng, train=False, update_batch_norm=False)
        correct = (jnp.argmax(logits, -1) == batch["targets"]) * batch["weights"]
        losses = loss(batch["targets"], logits, batch["weights"])
        return Partial(
            sums={"correct": correct.sum(), "loss": losses.summed, "weight": losses.n_valid_examples}, rows={}
        )

    def summarize(sums: Mapping[str, float], rows: Mapping[str, np.ndarray]) -> dict[str, float]:
        del rows
        return {"accuracy": sums["correct"] / sums["weight"], "loss": sums["loss"] / sums["weight"]}

    return Metrics(batch_step, summarize)
