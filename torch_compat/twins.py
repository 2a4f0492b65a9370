"""Twins: models written as PyTorch modules, found by the name of their workload.

A twin computes the same function as the JAX model but follows PyTorch's conventions: names, layouts and the order of
its parameters are those that submissions to the benchmark expect. Its initial values are those of the JAX model.
"""

import importlib
import importlib.util

from algoperf_jax.workload import Workload
from torch_compat.transfer.torch_model import TorchModel


def load(workload: Workload) -> TorchModel | None:
    """The twin of a workload, or None if there is none."""
    name = f"torch_compat.models.{workload.base_name}"
    if importlib.util.find_spec(name) is None:
        return None
    return importlib.import_module(name).build(workload)
