"""Differentiable exchange between the processes of a run."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, distributed


def sum_over_processes(values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The sum of all processes' tensors, in every process; `values` itself if there is only one.

    Every process's loss depends on the sum, so the gradients of all processes are also summed.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return values
    return _Sum.apply(values)


def gather_from_processes(values: Float[Tensor, "*shape"]) -> Float[Tensor, " processes *shape"]:
    """Stacks all processes' tensors, which have one shape; differentiable."""
    padded = values.new_zeros((process_count(), *values.shape))
    padded[distributed.get_rank() if process_count() > 1 else 0] = values
    return sum_over_processes(padded)


def process_count() -> int:
    """The number of processes that share a batch."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        del ctx
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        del ctx
        return _Sum.apply(gradient)
