"""A table that is several parameters, each with a share of its rows, and is looked up as one.

The reference splits the table of criteo1tb into four parameters and concatenates them in each forward pass, which
copies the table. Here the parameters are neighbors in memory, so that the table is there already.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

NUM_CHUNKS = 4


class SplitTable(nn.Module):
    """A module with a table [rows, width] in parameters `embedding_chunk_0` to `embedding_chunk_3`.

    Args:
      num_rows: rows of the table, a multiple of the number of chunks.
      width: numbers in a row.
    """

    def __init__(self, num_rows: int, width: int) -> None:
        super().__init__()
        for index, rows in enumerate(torch.empty(num_rows, width).chunk(NUM_CHUNKS)):
            self.register_parameter(f"embedding_chunk_{index}", nn.Parameter(rows))

    def look_up(self, ids: Int[Tensor, "*leading"]) -> Float[Tensor, "*leading width"]:
        """The rows of the table with these numbers."""
        return functional.embedding(ids, concatenated(self._chunks()))

    def _chunks(self) -> list[Tensor]:
        return [getattr(self, f"embedding_chunk_{index}") for index in range(NUM_CHUNKS)]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # On another device, or of another type, each chunk is an allocation of its own.
        super()._apply(fn, recurse)
        chunks = self._chunks()
        if not are_neighbors(chunks):
            for chunk, rows in zip(
                chunks, torch.cat([chunk.detach() for chunk in chunks]).chunk(NUM_CHUNKS), strict=True
            ):
                chunk.data = rows
        return self


def concatenated(chunks: Sequence[Tensor]) -> Float[Tensor, "rows width"]:
    """`torch.cat(chunks)`, only to be read; no copy if they are neighbors in memory, and so are the gradients."""
    if torch.compiler.is_compiling() or not are_neighbors(chunks):
        return torch.cat(list(chunks))
    return _Neighbors.apply(*chunks)


def are_neighbors(chunks: Sequence[Tensor]) -> bool:
    """Whether parameters follow one another in one allocation, as rows of one array."""
    # `torch.func` replaces parameters by tensors without an address.
    if not all(isinstance(chunk, nn.Parameter) and chunk.is_contiguous() for chunk in chunks):
        return False
    return all(
        before.untyped_storage().data_ptr() == after.untyped_storage().data_ptr()
        and before.data_ptr() + before.nbytes == after.data_ptr()
        for before, after in itertools.pairwise(chunks)
    )


class _Neighbors(torch.autograd.Function):
    """The array of which all chunks are rows."""

    @staticmethod
    def forward(ctx: Any, *chunks: Tensor) -> Tensor:
        ctx.lengths = [len(chunk) for chunk in chunks]
        first = chunks[0].data
        return first.as_strided((sum(ctx.lengths), *first.shape[1:]), first.stride())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return gradients[0].split(ctx.lengths)
