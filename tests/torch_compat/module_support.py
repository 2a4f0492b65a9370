"""Carries values between a twin's module and the JAX trees, as the maps of the twin say."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import torch

from algoperf_jax import parameters
from torch_compat.torch_model import Leaf, TorchModel

# A second thread gains nothing on a batch of four, and two that wait for each other on a busy machine are many times
# slower than one.
torch.set_num_threads(1)


def filled(twin: TorchModel, params: Any, model_state: Any) -> torch.nn.Module:
    """A module with the values of JAX trees of NumPy arrays, in their precision."""
    leaves = parameters.paths({"params": params, "state": model_state or {}})
    dtype = torch.from_numpy(np.asarray(jax.tree.leaves(params)[0])).dtype
    module = twin.make_module().to(dtype)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(_moved(leaves, "params", twin.parameters[name]))
        for name, leaf in twin.buffers.items():
            module.get_buffer(name).copy_(_moved(leaves, "state", leaf))
    return module


def _moved(leaves: Mapping[str, Any], tree: str, leaf: Leaf) -> torch.Tensor:
    array = np.asarray(leaves[f"{tree}/{leaf.path}"])
    array = np.flip(array, leaf.reversed_axes)
    return torch.from_numpy((array if leaf.axes is None else array.transpose(leaf.axes)).copy())


def gradients(twin: TorchModel, module: torch.nn.Module) -> dict[str, np.ndarray]:
    """Path in `params` -> gradient in the JAX layout."""
    return {
        twin.parameters[name].path: _returned(parameter.grad, twin.parameters[name])
        for name, parameter in module.named_parameters()
    }


def statistics(twin: TorchModel, module: torch.nn.Module) -> dict[str, np.ndarray]:
    """Path in `model_state` -> running statistic."""
    return {leaf.path: _returned(module.get_buffer(name), leaf) for name, leaf in twin.buffers.items()}


def _returned(tensor: torch.Tensor | None, leaf: Leaf) -> np.ndarray:
    assert tensor is not None, leaf.path
    array = tensor.numpy()
    return np.flip(array if leaf.axes is None else array.transpose(np.argsort(leaf.axes)), leaf.reversed_axes)


def tensors(inputs: Any) -> Any:
    """Arranged inputs as tensors, in memory of their own."""
    return jax.tree.map(lambda array: torch.from_numpy(array.copy()), inputs)
