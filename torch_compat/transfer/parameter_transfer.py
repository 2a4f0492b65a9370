"""Parameters and running statistics between the JAX trees and a PyTorch module, in one flat buffer.

A crossing costs tens of microseconds for each array, whatever its size, so hundreds of arrays cross as one: joined on
one side, cut and permuted on the other inside a compiled function.
"""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import torch

from algoperf_jax import parameters
from algoperf_jax.errors import SubmissionError
from algoperf_jax.workload import ModelState, Parameters
from torch_compat.transfer.crossing import hand_to_jax, hand_to_torch
from torch_compat.transfer.torch_model import Joined, Leaf


class ParameterTransfer:
    """Moves the values of one model in both directions; there and back is the identity, bit for bit."""

    def __init__(
        self,
        parameter_leaves: Mapping[str, Leaf | Joined],
        buffer_leaves: Mapping[str, Leaf],
        abstract: tuple[Any, Any],
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
        self._entries = [*parameter_leaves.items(), *buffer_leaves.items()]
        # A joined tensor is its parts one behind the other, so that in the flat buffer only these need to be told.
        self._parts = [part for _, leaf in self._entries for part in leaf.parts]
        assert sorted(part.path for part in self._parts) == sorted(self._positions), "not one to one"
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

    def _jax_shape(self, part: Leaf) -> tuple[int, ...]:
        return self._shapes[self._positions[part.path]]

    def _torch_shape(self, leaf: Leaf | Joined) -> tuple[int, ...]:
        shapes = [part.torch_shape(self._jax_shape(part)) for part in leaf.parts]
        return shapes[0] if len(shapes) == 1 else (sum(shape[0] for shape in shapes), *shapes[0][1:])

    def _to_flat(self, trees: Any) -> jax.Array:
        leaves = jax.tree.leaves(trees)
        arrays = [part.to_torch(leaves[self._positions[part.path]]) for part in self._parts]
        return jnp.concatenate([array.reshape(-1) for array in arrays])

    def _from_flat(self, flat: jax.Array) -> Any:
        leaves: list[Any] = [None] * len(self._shapes)
        start = 0
        for part in self._parts:
            shape = self._jax_shape(part)
            stop = start + math.prod(shape)
            leaves[self._positions[part.path]] = part.to_jax(flat[start:stop], shape)
            start = stop
        return jax.tree.unflatten(self._structure, leaves)
