"""What is done to training batches on the devices: normalization and mixup.

Element by element, with the functions of the array API standard; see `algoperf_jax.workload.SplitReader`.
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
    """Pixels [..., 3] in 0 .. 255, of any type -> float32 of mean 0 and variance 1 over ImageNet."""
    namespace = array_api_compat.array_namespace(pixels)
    values = namespace.astype(pixels, namespace.float32)
    # Channel by channel, for numbers go to the device of any array, and arrays of constants do not.
    channels = [
        (values[..., channel] - mean) / stddev
        for channel, (mean, stddev) in enumerate(zip(TRAIN_MEAN, TRAIN_STDDEV, strict=True))
    ]
    return namespace.stack(channels, axis=-1)


def finish_normalized(batch: Batch) -> Batch:
    """`inputs` uint8 [B, S, S, 3] -> float32, normalized."""
    return {**batch, "inputs": normalized(batch["inputs"])}


def finish_mixed(batch: Batch) -> Batch:
    """The same, mixed with `partners` uint8 [B, S, S, 3]; `mix` float32 [B] is the weight of the first."""
    namespace = array_api_compat.array_namespace(batch["inputs"])
    inputs, partners = (namespace.astype(batch[name], namespace.float32) for name in ("inputs", "partners"))
    inputs = mixed(inputs, partners, batch["mix"][..., None, None, None])
    return {"inputs": normalized(inputs), "targets": batch["targets"], "weights": batch["weights"]}


def mixed(one: Any, other: Any, weight: Any) -> Any:
    """Mixup (Zhang et al. 2018, https://arxiv.org/abs/1710.09412) of two examples, or of their targets."""
    return weight * one + (1 - weight) * other


def one_hot(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Class indices [B] -> float32 [B, num_classes]."""
    return (labels[:, None] == np.arange(num_classes)).astype(np.float32)
