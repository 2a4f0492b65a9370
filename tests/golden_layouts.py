"""Reference numbers come in several layouts of keys; the tests use the first."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

_KEYS = (
    (r"(.*)grad/paths", r"\1grad/path"),
    (r"(.*)train/batch_stats/paths", r"\1train/new_batch_stats/path"),
    (r"(.*)train/batch_stats/(\w+)", r"\1train/new_batch_stats/\2"),
    (r"loss/ls0\.0/mask/(\w+)", r"loss/\1"),
    (r"loss/ls0\.1/mask/(\w+)", r"loss_smooth0.1/\1"),
    (r"loss/ls0\.0/nomask/(\w+)", r"loss_nomask/\1"),
    (r"metrics/(loss|accuracy)", r"eval/metric_sums/\1"),
    # Translation: evaluated with and trained on other batches, of whose logits a part is stored.
    (r"eval/unpacked/logits/slice", r"eval/logits"),
    (r"train/packed/logits/slice", r"train/logits"),
    (r"grad_ls0\.0/paths", r"grad/path"),
    (r"grad_ls0\.0/(\w+)", r"grad/\1"),
    # Speech: a part of the logits is stored, 0 at padding; the losses of training are those that are compared.
    (r"(eval|train)/valid_logits/slice", r"\1/logits"),
    (r"train/loss/(\w+)", r"loss/\1"),
)
_LISTING = {
    "params": "parameters",
    "num_params": "total_parameter_count",
    "total_parameters": "total_parameter_count",
    "init_stats_PRNGKey0": "init_statistics_prngkey0",
    "init_stats": "init_statistics_prngkey0",
}


def numbers(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays under the names of the first layout, and `loss/logits`, the logits of the losses.

    If the logits of a copy are rounded, `loss/logits_rounding` is the largest error of that.
    """
    renamed = {_renamed(key): array for key, array in arrays.items()}
    if "eval/logits_times_32768" in renamed:
        renamed["eval/logits"] = (renamed.pop("eval/logits_times_32768") / 32768).astype(np.float32)
        renamed["loss/logits_rounding"] = np.asarray(0.5 / 32768)
    if "train/logits_maxabsdiff_vs_eval" in renamed and "train/logits" not in renamed:
        renamed["train/logits"] = renamed["eval/logits"]
    if "eval/logits" not in renamed and "eval/logits/slice" in renamed:
        # A model without dropout or batch normalization computes the same in training.
        renamed["eval/logits"] = renamed["train/logits"] = renamed["eval/logits/slice"]
    if (both := "train/new_batch_stats/sum_sumsq") in renamed:
        renamed["train/new_batch_stats/sum"], renamed["train/new_batch_stats/sumsq"] = renamed.pop(both).T
    of_training = "loss/summed" in arrays
    logits = renamed.get("train/logits" if of_training else "eval/logits")
    return renamed if logits is None else {**renamed, "loss/logits": logits}


def listing(content: dict[str, Any]) -> dict[str, Any]:
    """The listing of a model's parameters under the names of the first layout; other listings unchanged."""
    if not {"num_params", "total_parameters"} & set(content):
        return content
    renamed = {_LISTING.get(key, key): value for key, value in content.items()}
    if rows := renamed.pop("batch_stats", None):
        renamed["batch_stats"] = [row[:3] for row in rows]
        renamed["batch_stats_init"] = {row[0]: {"constant": True, "mean": row[3]} for row in rows}
    return renamed


def _renamed(key: str) -> str:
    for pattern, replacement in _KEYS:
        if re.fullmatch(pattern, key):
            return re.sub(pattern, replacement, key)
    return key
