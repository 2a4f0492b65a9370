"""A pure JAX function as a differentiable PyTorch function.

PyTorch holds the tensors and the graph, and JAX computes: the forward pass runs the compiled function and keeps what
its derivative needs, the backward pass runs the compiled derivative.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import torch
from torch.autograd.function import once_differentiable

from torch_compat.transfer.crossing import hand_to_jax, hand_to_torch

Shapes = tuple[tuple[int, ...], ...]


class Outputs(NamedTuple):
    """What a bridged function returns.

    Attributes:
      differentiable: tree of float arrays through which gradients flow.
      auxiliary: tree of arrays without gradients.
    """

    differentiable: Any
    auxiliary: Any


class JaxFunction:
    """A function `(differentiable tensors, constants) -> Outputs` of tensors.

    All differentiable tensors cross joined into one buffer, and so do their gradients.

    Args:
      function: pure function of a list of differentiable arrays and a tree of constants.
    """

    def __init__(self, function: Callable[[list[jax.Array], Any], Outputs]) -> None:
        def run(flat: jax.Array, constants: Any, shapes: Shapes) -> Outputs:
            return function(_cut(flat, shapes), constants)

        def run_and_keep(flat: jax.Array, constants: Any, shapes: Shapes) -> Any:
            return jax.vjp(lambda flat: tuple(run(flat, constants, shapes)), flat, has_aux=True)

        self.run = jax.jit(run, static_argnums=2)
        self.run_and_keep = jax.jit(run_and_keep, static_argnums=2)
        self.apply_derivative = jax.jit(lambda derivative, cotangents: derivative(cotangents)[0])

    def __deepcopy__(self, memo: dict[int, Any]) -> "JaxFunction":
        return self  # copies of a module share the compiled functions

    def __call__(self, tensors: Sequence[torch.Tensor], constants: Any) -> Outputs:
        """Calls the function.

        Args:
          tensors: float32, on one device.
          constants: tree of tensors, arrays and Python numbers; tensors are copied.
        """
        constants = jax.tree.map(_constant, constants)
        structure: list[Any] = []
        keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
        leaves = _Call.apply(self, constants, structure, keep, *tensors)
        return jax.tree.unflatten(structure[0], leaves)


def _constant(leaf: Any) -> Any:
    if not isinstance(leaf, torch.Tensor):
        return leaf
    if leaf.requires_grad:
        raise ValueError("the bridge passes no gradients to the inputs of a model; detach them first")
    # A copy, because the derivative may read it long after the submission has written into the tensor.
    return hand_to_jax(leaf.detach().clone(memory_format=torch.contiguous_format))


class _Call(torch.autograd.Function):
    """One call of a `JaxFunction` in PyTorch's graph."""

    @staticmethod
    def forward(
        ctx: Any,
        function: JaxFunction,
        constants: Any,
        structure: list[Any],
        keep: bool,
        *tensors: torch.Tensor,
    ) -> Any:
        ctx.shapes = tuple(tuple(tensor.shape) for tensor in tensors)
        ctx.device = tensors[0].device
        # A separate buffer, for the same reason as the constants.
        flat = hand_to_jax(torch.cat([tensor.detach().reshape(-1) for tensor in tensors]))
        if keep:
            differentiable, ctx.derivative, auxiliary = function.run_and_keep(flat, constants, ctx.shapes)
        else:
            differentiable, auxiliary = function.run(flat, constants, ctx.shapes)
        ctx.function = function
        # Nothing may still read the given memory when the submission continues.
        outputs = jax.block_until_ready(Outputs(differentiable, auxiliary))
        leaves, found = jax.tree.flatten(outputs)
        structure.append(found)
        ctx.num_differentiable = len(jax.tree.leaves(differentiable))
        ctx.differentiable = jax.tree.structure(differentiable)
        # Copies, because the arrays that the derivative keeps may be those that are returned.
        found_tensors = tuple(hand_to_torch(leaf, ctx.device).clone() for leaf in leaves)
        ctx.mark_non_differentiable(*found_tensors[ctx.num_differentiable :])
        return found_tensors

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        cotangents = [hand_to_jax(gradient.clone()) for gradient in gradients[: ctx.num_differentiable]]
        cotangents = jax.tree.unflatten(ctx.differentiable, cotangents)
        flat = jax.block_until_ready(ctx.function.apply_derivative(ctx.derivative, cotangents))
        pieces = hand_to_torch(flat, ctx.device).split([math.prod(shape) for shape in ctx.shapes])
        return None, None, None, None, *(piece.view(shape) for piece, shape in zip(pieces, ctx.shapes, strict=True))


def _cut(flat: jax.Array, shapes: Shapes) -> list[jax.Array]:
    arrays, start = [], 0
    for shape in shapes:
        stop = start + math.prod(shape)
        arrays.append(flat[start:stop].reshape(shape))
        start = stop
    return arrays
