"""The embedding table: its initial values, and a lookup whose gradient is made in one pass."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from algoperf_jax.workload import RandomKey

ROWS_PER_DRAW = 65_536
"""Rows of the table that are drawn together: the random bits of all of them would take as much memory as the table,
several times.
"""


def uniform_rows(key: RandomKey, shape: tuple[int, int], scale: float) -> Float[Array, "rows width"]:
    """Values from [0, scale), drawn in blocks of rows, each with a key of its own."""
    rows, width = shape
    block = min(rows, ROWS_PER_DRAW)
    keys = jax.random.split(key, -(-rows // block))
    blocks = jax.lax.map(lambda key: scale * jax.random.uniform(key, (block, width)), keys)
    return blocks.reshape(-1, width)[:rows]


@jax.custom_vjp
def embedding_lookup(table: Float[Array, "rows width"], ids: Int[Array, "*batch"]) -> Float[Array, "*batch width"]:
    """The rows of a table with these numbers, which must be in its range.

    The gradient of the table is dense. Other than on a CPU it is one sum over sorted segments: the numbers are sorted
    first, so that additions to one row are neighbors and do not wait for each other. On a CPU, which adds row after row
    anyway, that takes three times as long as adding them in the order of the batch.
    """
    return _rows(table, ids)


def _rows(table: Array, ids: Array) -> Array:
    return table.at[ids].get(mode="promise_in_bounds")


def _forward(table: Array, ids: Array) -> tuple[Array, tuple[Array, Array]]:
    # An array without elements carries number of rows and type of the table.
    return _rows(table, ids), (ids, jnp.zeros((table.shape[0], 0), table.dtype))


def _backward(saved: tuple[Array, Array], cotangent: Array) -> tuple[Array, None]:
    ids, like = saved
    # Narrow types, which a submission may use, are summed in float32.
    wide = cotangent.reshape(ids.size, -1).astype(jnp.promote_types(cotangent.dtype, jnp.float32))

    total = jax.lax.platform_dependent(
        wide,
        ids.reshape(-1),
        cpu=lambda rows, ids: unsorted_sums(rows, ids, like.shape[0]),
        default=lambda rows, ids: sorted_sums(rows, ids, like.shape[0]),
    )
    return total.astype(like.dtype), None


embedding_lookup.defvjp(_forward, _backward)


def sorted_sums(rows: Float[Array, "rows width"], ids: Int[Array, " rows"], count: int) -> Float[Array, "count width"]:
    """Sums the rows of each number in 0 to `count` - 1, sorted by number first."""
    order = jnp.argsort(ids)
    return _sums(rows[order], ids[order], count, is_sorted=True)


def unsorted_sums(
    rows: Float[Array, "rows width"], ids: Int[Array, " rows"], count: int
) -> Float[Array, "count width"]:
    """The same, in the order of the rows."""
    return _sums(rows, ids, count, is_sorted=False)


def _sums(rows: Array, ids: Array, count: int, *, is_sorted: bool) -> Array:
    return jax.ops.segment_sum(
        rows, ids, num_segments=count, indices_are_sorted=is_sorted, mode=jax.lax.GatherScatterMode.PROMISE_IN_BOUNDS
    )
