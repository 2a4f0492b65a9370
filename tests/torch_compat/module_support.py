"""Moves values between a twin's module and the JAX trees, by the maps of the twin."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import torch

from algoperf_jax import parameters
from torch_compat.transfer.torch_model import Joined, Leaf, TorchModel

# A second thread is no faster on a batch of four, and two threads that wait for each other on a busy machine are many
# times slower than one.
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


def _moved(leaves: Mapping[str, Any], tree: str, leaf: Leaf | Joined) -> torch.Tensor:
    arrays = [part.to_torch(np.asarray(leaves[f"{tree}/{part.path}"])) for part in leaf.parts]
    return torch.from_numpy(np.concatenate(arrays) if len(arrays) > 1 else arrays[0].copy())


def gradients(twin: TorchModel, module: torch.nn.Module, params: Any) -> dict[str, np.ndarray]:
    """Path in `params` -> gradient in the JAX layout; `params` gives the shapes."""
    shapes = {path: leaf.shape for path, leaf in parameters.paths(params).items()}
    found: dict[str, np.ndarray] = {}
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        parts, array = twin.parameters[name].parts, parameter.grad.numpy()
        # Only arrays that share a tensor have a first axis for certain.
        ends = np.cumsum([part.torch_shape(shapes[part.path])[0] for part in parts]) if len(parts) > 1 else []
        for part, piece in zip(parts, np.split(array, ends[:-1]) if len(parts) > 1 else [array], strict=True):
            gradient = part.to_jax(piece, shapes[part.path])
            if part.rows is not None:
                found.setdefault(part.path, np.full(shapes[part.path], np.nan, gradient.dtype))[part.rows] = gradient
                continue
            if part.path in found:  # One of the tensors is an addend; sums may be in another order.
                atol = 1e-5 * np.abs(gradient).max()
                np.testing.assert_allclose(gradient, found[part.path], rtol=0, atol=atol, err_msg=name)
            found[part.path] = gradient
    return found


def statistics(twin: TorchModel, module: torch.nn.Module) -> dict[str, np.ndarray]:
    """Path in `model_state` -> running statistic, a vector over channels in both frameworks."""
    return {leaf.path: module.get_buffer(name).numpy() for name, leaf in twin.buffers.items()}


def tensors(inputs: Any) -> Any:
    """Arranged inputs as tensors in their own memory."""
    return jax.tree.map(lambda array: torch.from_numpy(array.copy()), inputs)


def batch(twin: TorchModel, of_jax: Mapping[str, Any]) -> dict[str, Any]:
    """A batch as a module gets it."""
    return {name: tensors(twin.arrange(leaves) if name == "inputs" else leaves) for name, leaves in of_jax.items()}
