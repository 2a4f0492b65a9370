"""The dot products of all pairs of vectors, each pair once (Naumov et al. 2019, https://arxiv.org/abs/1906.00091)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


@jax.custom_vjp
def dot_interaction(vectors: Float[Array, "batch count width"]) -> Float[Array, "batch pairs"]:
    """The products of vectors i and j with i <= j, in the order of the rows of the upper triangle.

    The derivative is one product with a symmetric matrix, into which the cotangents are gathered. That of the plain
    form takes two products, and scatters the cotangents one by one.
    """
    batch, count, _ = vectors.shape
    products = jnp.einsum("bid,bjd->bij", vectors, vectors)
    return _columns(products.reshape(batch, count * count), _positions(count))


def _forward(vectors: Array) -> tuple[Array, Array]:
    return dot_interaction(vectors), vectors


def _backward(vectors: Array, cotangent: Array) -> tuple[Array]:
    batch, count, _ = vectors.shape
    halves = _columns(cotangent, _pairs(count)).reshape(batch, count, count)
    # Each product of two vectors is in both halves, and the square of a vector counts twice.
    both = halves * (1 + np.eye(count, dtype=cotangent.dtype))
    return (jnp.einsum("bij,bjd->bid", both, vectors),)


dot_interaction.defvjp(_forward, _backward)


def _columns(rows: Float[Array, "batch _"], columns: Int[np.ndarray, " chosen"]) -> Float[Array, "batch chosen"]:
    return jnp.asarray(rows).at[:, columns].get(mode="promise_in_bounds")


@functools.cache
def _positions(count: int) -> Int[np.ndarray, " pairs"]:
    """Where the pairs are in a flat [count, count] matrix."""
    rows, columns = np.triu_indices(count)
    return (rows * count + columns).astype(np.int32)


@functools.cache
def _pairs(count: int) -> Int[np.ndarray, " positions"]:
    """Which pair each position of a flat symmetric [count, count] matrix holds."""
    rows, columns = np.triu_indices(count)
    pairs = np.empty((count, count), np.int32)
    pairs[rows, columns] = pairs[columns, rows] = np.arange(len(rows))
    return pairs.reshape(-1)
