"""Parameters and running statistics between the JAX trees and a PyTorch module, in one flat buffer.

A crossing costs tens of microseconds for each array, whatever its size, so hundreds of arrays cross as one: joined on
one side, cut and permuted on the other inside a compiled function.
"""

import functools
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from algoperf_jax import parameters
from algoperf_jax.errors import SubmissionError
from algoperf_jax.workload import ModelState, Parameters
from torch_compat.crossing import hand_to_jax, hand_to_torch
from torch_compat.torch_model import Leaf


class ParameterTransfer:
    """Moves the values of one model in both directions; there and back is the identity, bit for bit."""

    def __init__(
        self, parameter_leaves: Mapping[str, Leaf], buffer_leaves: Mapping[str, Leaf], abstract: tuple[Any, Any]
    ) -> None:
        """Args:
        parameter_leaves: name in the module -> place in the JAX parameters.
        buffer_leaves: name in the module -> place in the JAX model state.
        abstract: JAX parameters and model state, as shapes.
        """
        self._structure = jax.tree.structure(abstract)
        leaves = [leaf for tree in abstract for leaf in parameters.paths(tree or {}).items()]
        self._positions = {path: position for position, (path, _) in enumerate(leaves)}
        self._shapes = [tuple(leaf.shape) for _, leaf in leaves]
        self._entries = [(name, leaf) for part in (parameter_leaves, buffer_leaves) for name, leaf in part.items()]
        assert sorted(leaf.path for _, leaf in self._entries) == sorted(self._positions), "not one to one"
        self.parameter_shapes = {name: self._torch_shape(leaf) for name, leaf in parameter_leaves.items()}
        self._flatten = jax.jit(self._to_flat)
        self._unflatten = jax.jit(self._from_flat)

    @torch.no_grad()
    def to_module(self, params: Parameters, model_state: ModelState, module: torch.nn.Module) -> None:
        """Copies the values of JAX arrays into the module's tensors, whose memory stays the module's own."""
        tensors = self._tensors(module)
        flat = hand_to_torch(self._flatten((params, model_state)), tensors[0].device)
        for tensor, piece in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(piece.view(tensor.shape))

    @torch.no_grad()
    def from_module(self, module: torch.nn.Module, function: str) -> tuple[Parameters, ModelState]:
        """Parameters and model state as JAX arrays of their own memory; the module is only read.

        Raises:
          SubmissionError: the module's parameters are not those of the model; `function` begins the message.
        """
        flat = torch.cat([tensor.reshape(-1) for tensor in self._tensors(module, function)])
        return jax.block_until_ready(self._unflatten(hand_to_jax(flat)))

    def _tensors(self, module: torch.nn.Module, function: str = "") -> list[torch.Tensor]:
        """The module's tensors in the order of the flat buffer."""
        found = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        tensors = []
        for name, leaf in self._entries:
            tensor, shape = found.get(name), self._torch_shape(leaf)
            if tensor is None or tensor.shape != shape or tensor.dtype != torch.float32:
                have = "none" if tensor is None else f"{tuple(tensor.shape)} of {tensor.dtype}"
                raise SubmissionError(
                    f"{function} left the module with another {name}: {have}", expected=f"{shape} of torch.float32"
                )
            tensors.append(tensor)
        return tensors

    def _torch_shape(self, leaf: Leaf) -> tuple[int, ...]:
        shape = self._shapes[self._positions[leaf.path]]
        return shape if leaf.axes is None else tuple(shape[axis] for axis in leaf.axes)

    def _to_flat(self, trees: Any) -> jax.Array:
        leaves = jax.tree.leaves(trees)
        chosen = [(leaves[self._positions[leaf.path]], leaf) for _, leaf in self._entries]
        return jnp.concatenate(
            [
                jnp.transpose(jnp.flip(array, leaf.reversed_axes), leaf.axes or range(array.ndim)).reshape(-1)
                for array, leaf in chosen
            ]
        )

    def _from_flat(self, flat: jax.Array) -> Any:
        leaves: list[Any] = [None] * len(self._shapes)
        start = 0
        for _, leaf in self._entries:
            shape = self._torch_shape(leaf)
            stop = start + math.prod(shape)
            array = flat[start:stop].reshape(shape)
            ordered = jnp.transpose(array, _inverse(leaf.axes) or range(array.ndim))
            leaves[self._positions[leaf.path]] = jnp.flip(ordered, leaf.reversed_axes)
            start = stop
        return jax.tree.unflatten(self._structure, leaves)


@functools.cache
def _inverse(axes: tuple[int, ...] | None) -> tuple[int, ...] | None:
    return None if axes is None else tuple(int(axis) for axis in np.argsort(axes))
