"""Accuracy, loss and mean average precision over the labels that are not missing."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Real

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

_TASKS_AT_A_TIME = 16


def molecule_metrics(apply: Apply, loss: LossFunction) -> Metrics:
    """Makes `accuracy` and `loss` (means over the labels) and `mean_average_precision` (mean over the tasks)."""

    def batch_step(params: Parameters, model_state: ModelState, batch: Batch, rng: RandomKey) -> Partial:
        logits, _ = apply(params, model_state, batch, rng, train=False, update_batch_norm=False)
        targets, weights = batch["targets"], batch["weights"]
        losses = loss(targets, logits, weights)
        correct = jnp.where(weights != 0, (logits > 0) == (targets != 0), False)
        return Partial(
            sums={
                "correct": correct.sum(dtype=jnp.float32),
                "loss": losses.summed,
                "labels": losses.n_valid_examples,
            },
            rows={"logits": logits, "targets": targets, "weights": weights},
        )

    def summarize(sums: Mapping[str, float], rows: Mapping[str, np.ndarray]) -> dict[str, float]:
        labels = sums["labels"]
        per_task = average_precision_per_task(rows["targets"], rows["logits"], rows["weights"])
        return {
            "accuracy": sums["correct"] / labels if labels else float("nan"),
            "loss": sums["loss"] / labels if labels else float("nan"),
            "mean_average_precision": mean_over_tasks(per_task),
        }

    return Metrics(batch_step, summarize)


def mean_over_tasks(per_task: Float[np.ndarray, " tasks"]) -> float:
    """The mean without NaNs; NaN if nothing is left."""
    judged = per_task[~np.isnan(per_task)]
    return float(judged.mean()) if judged.size else float("nan")


def average_precision_per_task(
    targets: Real[np.ndarray, "rows tasks"],
    logits: Float[np.ndarray, "rows tasks"],
    weights: Real[np.ndarray, "rows tasks"],
) -> Float64[np.ndarray, " tasks"]:
    """Average precision of each task: the sum over thresholds of (R_n - R_{n-1}) P_n, where equal scores share one.

    A task is evaluated if its column of `targets` contains both a 0 and a 1. Rows of weight 0 count only for this test:
    missing labels and padding are 0 there, so that a task whose labels are all positive has precision 1. The published
    targets were obtained this way. Scores are float32 sigmoids, which decides what is equal.

    Args:
      targets: 0 or 1.
      logits: one logit per row and task.
      weights: 0 if the label is missing.

    Returns:
      The precision, NaN for tasks that are not evaluated; NaN for all tasks if the logit of any label is NaN.
    """
    per_task = np.full(targets.shape[1], np.nan)
    for start in range(0, targets.shape[1], _TASKS_AT_A_TIME):
        tasks = slice(start, start + _TASKS_AT_A_TIME)
        labelled = weights[:, tasks] != 0
        logit = np.asarray(logits[:, tasks], np.float32)
        if np.isnan(logit, where=labelled, out=np.zeros(labelled.shape, bool)).any():
            return np.full(targets.shape[1], np.nan)
        positive = targets[:, tasks] != 0
        per_task[tasks] = np.where(
            positive.any(0) & ~positive.all(0),
            _average_precision(positive & labelled, logit, labelled),
            np.nan,
        )
    return per_task


def _average_precision(
    positive: Bool[np.ndarray, "rows tasks"],
    logits: Float32[np.ndarray, "rows tasks"],
    labelled: Bool[np.ndarray, "rows tasks"],
) -> Float64[np.ndarray, " tasks"]:
    with np.errstate(over="ignore", invalid="ignore"):
        scores = 1 / (1 + np.exp(-logits))
    # The bits of scores in 0 .. 1 are ordered like their values and leave room for two flags, so that one sort of
    # integers moves the labels, too.
    keys = np.where(labelled, scores, np.float32(0)).view(np.uint32)
    keys = np.ascontiguousarray(((keys << 2) | (labelled.astype(np.uint32) << 1) | positive).T)
    keys.sort(axis=1)
    keys = keys[:, ::-1]
    true_positives = np.cumsum(keys & 1, axis=1, dtype=np.int32)
    predicted = np.cumsum((keys >> 1) & 1, axis=1, dtype=np.int32)
    last_of_score = np.ones(keys.shape, bool)
    np.not_equal(keys[:, 1:] >> 2, keys[:, :-1] >> 2, out=last_of_score[:, :-1])
    task, row = np.nonzero(last_of_score)
    found = true_positives[task, row]
    gained = np.diff(found, prepend=0)
    first_of_task = np.flatnonzero(np.diff(task, prepend=-1))
    gained[first_of_task] = found[first_of_task]
    precision = found / np.maximum(predicted[task, row], 1)
    totals = true_positives[:, -1]
    with np.errstate(invalid="ignore"):
        return np.bincount(task, weights=gained * precision, minlength=len(totals)) / totals
