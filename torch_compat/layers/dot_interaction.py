"""The dot products of all pairs of vectors, each pair once (Naumov et al. 2019, "DLRM", section 2.1)."""

import functools
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor


def dot_interaction(vectors: Float[Tensor, "batch count width"]) -> Float[Tensor, "batch pairs"]:
    """The products of vectors i and j with i <= j, in the order of the rows of the upper triangle."""
    return _DotInteraction.apply(vectors)


class _DotInteraction(torch.autograd.Function):
    """The products, with a derivative of one product of matrices instead of two."""

    @staticmethod
    def forward(ctx: Any, vectors: Tensor) -> Tensor:
        ctx.save_for_backward(vectors)
        products = torch.bmm(vectors, vectors.transpose(1, 2))
        return products.flatten(start_dim=1).index_select(1, _positions(vectors.shape[1], vectors.device))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (vectors,) = ctx.saved_tensors
        count = vectors.shape[1]
        # Each product of two vectors is in both halves, and the square of a vector counts twice.
        halves = gradients[0].index_select(1, _pairs(count, vectors.device)).view(-1, count, count)
        both = halves + torch.diag_embed(halves.diagonal(dim1=1, dim2=2))
        return torch.bmm(both, vectors)


@functools.lru_cache(maxsize=8)
def _positions(count: int, device: torch.device) -> Int[Tensor, " pairs"]:
    """Where the pairs are in a flat [count, count] matrix."""
    rows, columns = torch.triu_indices(count, count, device=device)
    return rows * count + columns


@functools.lru_cache(maxsize=8)
def _pairs(count: int, device: torch.device) -> Int[Tensor, " positions"]:
    """Which pair each position of a flat symmetric [count, count] matrix holds."""
    rows, columns = torch.triu_indices(count, count, device=device)
    pairs = torch.empty((count, count), dtype=torch.int64, device=device)
    pairs[rows, columns] = pairs[columns, rows] = torch.arange(len(rows), device=device)
    return pairs.flatten()
