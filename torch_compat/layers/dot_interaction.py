"""The dot products of all pairs of vectors, each pair once (Naumov et al. 2019, https://arxiv.org/abs/1906.00091)."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor


def dot_interaction(
    first: Float[Tensor, "batch width"], others: Float[Tensor, "batch others width"]
) -> Float[Tensor, "batch pairs"]:
    """The products of vectors i and j with i <= j, in the order of the rows of the upper triangle.

    Args:
      first: vector 0.
      others: the other vectors.
    """
    return _DotInteraction.apply(first, others)


class _DotInteraction(torch.autograd.Function):
    """The products without a copy of all vectors, and their derivative with one large product instead of two."""

    @staticmethod
    def forward(ctx: Any, first: Tensor, others: Tensor) -> Tensor:
        ctx.save_for_backward(first, others)
        square = (first * first).sum(dim=1, keepdim=True)
        with_first = torch.bmm(first[:, None], others.transpose(1, 2))[:, 0]
        among_others = torch.bmm(others, others.transpose(1, 2)).flatten(start_dim=1)
        positions = _positions(others.shape[1], others.device)
        return torch.cat([square, with_first, among_others.index_select(1, positions)], dim=1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        first, others = ctx.saved_tensors
        count = others.shape[1]
        of_square, with_first, among_others = gradients[0].split((1, count, count * (count + 1) // 2), dim=1)
        # Each product of two vectors is in both halves, and the square of a vector counts twice.
        halves = among_others.index_select(1, _pairs(count, others.device)).view(-1, count, count)
        both = halves + torch.diag_embed(halves.diagonal(dim1=1, dim2=2))
        of_first = 2 * of_square * first + torch.bmm(with_first[:, None], others)[:, 0]
        return of_first, torch.bmm(both, others).baddbmm_(with_first[:, :, None], first[:, None])


def _positions(count: int, device: torch.device) -> Int[Tensor, " pairs"]:
    """Where the pairs are in a flat [count, count] matrix."""
    rows, columns = torch.triu_indices(count, count, device=device)
    return rows * count + columns


def _pairs(count: int, device: torch.device) -> Int[Tensor, " positions"]:
    """Which pair each position of a flat symmetric [count, count] matrix holds."""
    index = torch.arange(count, device=device)
    smaller, larger = torch.minimum(index[:, None], index), torch.maximum(index[:, None], index)
    # Row i of the triangle begins after rows of `count`, `count` - 1, ... pairs.
    return (smaller * (2 * count - smaller - 1) // 2 + larger).flatten()
