"""A batch for the small models, which have no reference numbers."""

from typing import Any

import numpy as np

from algoperf_jax.workload import Workload

_BATCH_SIZE = 6


def noise(workload: Workload) -> dict[str, Any]:
    """Images of noise; the last one is padding."""
    size, rng = workload.model_arguments["size"], np.random.default_rng(0)
    weights = np.ones(_BATCH_SIZE, np.float32)
    weights[-1] = 0
    return {
        "inputs": rng.standard_normal((_BATCH_SIZE, size.image_size, size.image_size, 3), np.float32),
        "targets": rng.integers(size.num_classes, size=_BATCH_SIZE).astype(np.int32),
        "weights": weights,
    }
