"""Equal layers one after the other, drawn, traced and compiled as one.

The variables are those of separate layers: `<name>_0`, `<name>_1`, ... An ordinary loop in Python gives the same
numbers and the same tree, but programs as long as there are layers.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array

_STATISTICS = "batch_stats"


def repeat(parent: nn.Module, layer: nn.Module, count: int, frames: Array, *arguments: Any) -> Array:
    """Applies `layer(frames, *arguments)` `count` times, each time with other variables; call it in a compact method.

    Args:
      parent: the module whose variables have those of the layers.
      layer: a layer without a parent (`parent=None`) that returns frames like those that it gets. It may have batch
        statistics and need `dropout` keys.
      count: how many layers there are, at least 1.
      frames: the input of the first.
      *arguments: the others, the same for all.
    """
    names = [f"{type(layer).__name__}_{index}" for index in range(count)]
    if parent.is_initializing():
        draw = functools.partial(layer.init, method="__call__")
        keys = jax.random.split(parent.make_rng("params"), count)
        drawn = jax.vmap(lambda key: draw({"params": key}, frames, *arguments))(keys)
        for index, name in enumerate(names):
            for collection, variables in drawn.items():
                parent.put_variable(collection, name, jax.tree.map(lambda leaf, index=index: leaf[index], variables))
        return frames
    collections = [one for one in ("params", _STATISTICS) if parent.has_variable(one, names[0])]
    variables = {
        collection: jax.tree.map(
            lambda *leaves: jnp.stack(leaves), *(parent.get_variable(collection, name) for name in names)
        )
        for collection in collections
    }
    keys = jax.random.split(parent.make_rng("dropout"), count) if parent.has_rng("dropout") else None

    def step(frames: Array, of_layer: tuple[Any, Any]) -> tuple[Array, Any]:
        variables, key = of_layer
        rngs = None if key is None else {"dropout": key}
        frames, updated = layer.apply(variables, frames, *arguments, rngs=rngs, mutable=[_STATISTICS])  # pyright: ignore
        return frames, updated

    frames, updated = jax.lax.scan(step, frames, (variables, keys))
    if parent.is_mutable_collection(_STATISTICS) and _STATISTICS in updated:
        for index, name in enumerate(names):
            statistics = jax.tree.map(lambda leaf, index=index: leaf[index], updated[_STATISTICS])
            parent.put_variable(_STATISTICS, name, statistics)
    return frames
