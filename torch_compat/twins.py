"""Twins: models written anew as PyTorch modules, found by the name of their workload.

A twin computes the same function as the JAX model and carries PyTorch's conventions: names, layouts and the order of
its parameters are those that submissions to the benchmark know. Its initial values are those of the JAX model.
"""

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from algoperf_jax.workload import Workload
from torch_compat.transfer.torch_model import LINEAR, Leaf, TorchModel


def load(workload: Workload) -> TorchModel | None:
    """The twin of a workload, or None where there is none."""
    name = f"torch_compat.models.{workload.base_name}"
    if importlib.util.find_spec(name) is None:
        return None
    return importlib.import_module(name).build(workload)


_Module = TypeVar("_Module", bound=torch.nn.Module)


def uninitialized(kind: Callable[..., _Module], *arguments: Any, **options: Any) -> _Module:
    """A layer `kind(*arguments, **options)` on the CPU whose parameters are not drawn."""
    return kind(*arguments, **options, device="meta").to_empty(device="cpu")


def linear_leaves(name: str, path: str) -> dict[str, Leaf]:
    """The two parameters of a `Linear` called `name`, held by a flax `Dense` at `path`."""
    return {f"{name}.weight": Leaf(f"{path}/kernel", LINEAR), f"{name}.bias": Leaf(f"{path}/bias")}


def normalization_leaves(name: str, path: str) -> dict[str, Leaf]:
    """The two parameters of a batch or layer normalization called `name`, held by the flax one at `path`."""
    return {f"{name}.weight": Leaf(f"{path}/scale"), f"{name}.bias": Leaf(f"{path}/bias")}


def statistics_leaves(name: str, path: str) -> dict[str, Leaf]:
    """The running statistics of a batch normalization called `name`, held by the flax one at `path`."""
    state = f"batch_stats/{path}"
    return {f"{name}.running_mean": Leaf(f"{state}/mean"), f"{name}.running_var": Leaf(f"{state}/var")}
