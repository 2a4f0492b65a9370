"""Loss of the tokens, and the perplexity that it means."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from algoperf_jax.workload import Apply, LossFunction, Metrics
from workloads.metrics import weighted_means


def perplexity_metrics(apply: Apply, loss: LossFunction) -> Metrics:
    """Makes the metrics `loss`, a weighted mean over the tokens of a split, and `ppl`, its exponential."""
    of_tokens = weighted_means(apply, loss, {})

    def summarize(sums: Mapping[str, float], rows: Mapping[str, np.ndarray]) -> dict[str, float]:
        means = of_tokens.summarize(sums, rows)
        with np.errstate(over="ignore"):  # a model that has diverged
            return {**means, "ppl": float(np.exp(means["loss"]))}

    return dataclasses.replace(of_tokens, summarize=summarize)
