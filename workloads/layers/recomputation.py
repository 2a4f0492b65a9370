"""Functions whose intermediate results are computed again in the backward pass instead of being kept."""

import functools
from collections.abc import Callable, Collection
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

Arrays = tuple[Array, ...]


def recomputed(function: Callable[..., Any], of: Collection[int]) -> Callable[..., Any]:
    """A function of arrays that keeps nothing but its arguments for its derivative, in reverse mode.

    `jax.checkpoint` does the same on accelerators. On CPUs, XLA drops the barriers that it relies on, finds results
    that are computed twice, and keeps them (findings/jax_checkpoint_on_cpus.sh). Here, some arguments depend on the
    cotangents when they are used again.

    Args:
      function: takes arrays, and returns an array or a tree of them.
      of: positions of these arguments: results that depend on one of them are computed again. Not those that are used
        in products alone, since they may be copied.
    """

    @jax.custom_vjp
    @functools.wraps(function)
    def wrapped(*arguments: Array) -> Any:
        return function(*arguments)

    def forward(*arguments: Array) -> tuple[Any, Arrays]:
        return function(*arguments), arguments

    def backward(arguments: Arrays, cotangents: Any) -> Arrays:
        first = jax.tree.leaves(cotangents)[0]
        again = [late(argument, first) if i in of else argument for i, argument in enumerate(arguments)]
        return jax.vjp(function, *again)[1](cotangents)

    wrapped.defvjp(forward, backward)
    return wrapped


def late(array: Array, cotangent: Array) -> Array:
    """The same array, which the compiler takes for another one that depends on the cotangent."""
    return jax.lax.platform_dependent(array, cotangent, cpu=_selected, default=_behind_barrier)


def _selected(array: Array, cotangent: Array) -> Array:
    # A cotangent that is NaN makes gradients NaN in any case.
    return jnp.where(jnp.isnan(cotangent[(0,) * cotangent.ndim]), jnp.nan, array)


def _behind_barrier(array: Array, cotangent: Array) -> Array:
    return jax.lax.optimization_barrier((array, cotangent))[0]
