"""Sums over the processes of a run, through which gradients flow."""

from typing import Any

import torch
from torch import Tensor, distributed


def sum_over_processes(values: Tensor) -> Tensor:
    """The sum of all processes' tensors, in every process; `values` itself where there is one process.

    Every process's loss depends on the sum, so the gradients of all of them add up as well.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return values
    return _Sum.apply(values)


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
