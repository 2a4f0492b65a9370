"""Large models at a size that tests can afford; the code is the same at any size.

Tests of what a model computes in comparison with itself or with another implementation take these; only comparisons
with the reference's numbers need the full size.
"""

import dataclasses
from typing import Any

import numpy as np

import workloads
from algoperf_jax.workload import Workload
from tests import golden_support
from tests.workloads.golden_batches import BATCHES
from workloads.fastmri.workload import SIZES

ARGUMENTS: dict[str, dict[str, Any]] = {
    "fastmri": {"size": dataclasses.replace(SIZES["full"], image_size=48)},
    "fastmri_model_size": {"size": dataclasses.replace(SIZES["wide"], image_size=48)},
    "imagenet_resnet": {"size": "small"},
    "imagenet_vit": {"size": "small"},
}
"""By name, or else by base name."""
BATCH_SIZE = 6


def load(name: str) -> Workload:
    """The workload or variant, small on built-in data."""
    return workloads.load(name, **(ARGUMENTS.get(name) or ARGUMENTS.get(workloads.base_name(name), {})))


def batch(name: str) -> dict[str, Any]:
    """A batch for `load(name)`: that of the reference numbers, or one of noise for a reduced model."""
    base = workloads.base_name(name)
    if base == "fastmri":
        # A part of the images, of sizes that do not halve.
        images = BATCHES[base](golden_support.numbers(base))
        return {key: leaf[:, 40:77, 40:91] if leaf.ndim == 3 else leaf for key, leaf in images.items()}
    if base not in ARGUMENTS:
        return BATCHES[name](golden_support.numbers(name))
    size, rng = load(name).model_arguments["size"], np.random.default_rng(0)
    weights = np.ones(BATCH_SIZE, np.float32)
    weights[-1] = 0
    return {
        "inputs": rng.standard_normal((BATCH_SIZE, size.image_size, size.image_size, 3), np.float32),
        "targets": rng.integers(size.num_classes, size=BATCH_SIZE).astype(np.int32),
        "weights": weights,
    }
