"""The model of criteo1tb in its plain form, whose derivatives are JAX's own."""

import contextlib
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from workloads.criteo1tb import model


def embedding_lookup(table: jax.Array, ids: jax.Array) -> jax.Array:
    """Rows of the table; the derivative scatters."""
    return table[ids]


def dot_interaction(vectors: jax.Array) -> jax.Array:
    """All products of pairs, of which the upper triangle is taken; the derivative scatters."""
    rows, columns = np.triu_indices(vectors.shape[1])
    return jnp.matmul(vectors, jnp.swapaxes(vectors, 1, 2))[:, rows, columns]


@contextlib.contextmanager
def plain() -> Iterator[None]:
    """Makes the model call the functions above while it is traced."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "embedding_lookup", embedding_lookup)
        patch.setattr(model, "dot_interaction", dot_interaction)
        yield
