"""Finishes training batches on the devices: normalization and mixup.

All functions work element by element, with the array API standard; see `algoperf_jax.workload.SplitReader`.
"""

from typing import Any

import array_api_compat
import numpy as np

from algoperf_jax.workload import Batch

TRAIN_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
"""Per channel, of pixels in 0 .. 255."""
TRAIN_STDDEV = (0.229 * 255, 0.224 * 255, 0.225 * 255)
"""Per channel, of pixels in 0 .. 255."""


def normalized(pixels: Any) -> Any:
    """Normalizes pixels [..., 3] in 0 .. 255, of any type, to float32 with mean 0 and variance 1 over ImageNet."""
    namespace = array_api_compat.array_namespace(pixels)
    values = namespace.astype(pixels, namespace.float32)
    # Channel by channel: unlike arrays of constants, numbers work on the device of any array.
    channels = [
        (values[..., channel] - mean) / stddev
        for channel, (mean, stddev) in enumerate(zip(TRAIN_MEAN, TRAIN_STDDEV, strict=True))
    ]
    return namespace.stack(channels, axis=-1)


def finish_normalized(batch: Batch) -> Batch:
    """`inputs` uint8 [B, S, S, 3] -> float32, normalized."""
    return {**batch, "inputs": normalized(batch["inputs"])}


def finish_mixed(batch: Batch) -> Batch:
    """Normalizes `inputs` and mixes them with `partners` uint8 [B, S, S, 3]; `mix` float32 [B] is the weight of
    `inputs`.
    """
    namespace = array_api_compat.array_namespace(batch["inputs"])
    inputs, partners = (namespace.astype(batch[name], namespace.float32) for name in ("inputs", "partners"))
    inputs = mixed(inputs, partners, batch["mix"][..., None, None, None])
    return {"inputs": normalized(inputs), "targets": batch["targets"], "weights": batch["weights"]}


def mixed(one: Any, other: Any, weight: Any) -> Any:
    """Mixes two examples, or their targets, by mixup (Zhang et al. 2018, https://arxiv.org/abs/1710.09412)."""
    return weight * one + (1 - weight) * other


def one_hot(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Encodes class indices [B] as float32 [B, num_classes]."""
    return (labels[:, None] == np.arange(num_classes)).astype(np.float32)
