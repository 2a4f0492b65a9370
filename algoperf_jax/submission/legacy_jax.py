"""Restores names that JAX has removed since published submissions were written, while one that needs them runs."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from algoperf_jax.submission.source_files import SubmissionFiles


def _device_put_sharded(shards: Sequence[Any], devices: Sequence[Any]) -> Any:
    """Stacks one tree per device along a new leading axis, which is split over the devices."""
    across = NamedSharding(Mesh(np.asarray(devices), ("device",)), PartitionSpec("device"))
    return jax.tree.map(lambda *leaves: jax.device_put(jnp.stack(leaves), across), *shards)


def _device_put_replicated(tree: Any, devices: Sequence[Any]) -> Any:
    return _device_put_sharded([tree] * len(devices), devices)


_DROPPED: Mapping[str, tuple[ModuleType, Any]] = {
    **{f"jax.{name}": (jax, getattr(jax.tree_util, name)) for name in dir(jax.tree_util) if name.startswith("tree_")},
    "jax.device_put_replicated": (jax, _device_put_replicated),
    "jax.device_put_sharded": (jax, _device_put_sharded),
    "jax.random.KeyArray": (jax.random, jax.Array),
    "jax.random.PRNGKeyArray": (jax.random, jax.Array),
}


@contextlib.contextmanager
def legacy_jax(files: SubmissionFiles | None) -> Iterator[None]:
    """Adds names to JAX that the submission uses and the installed JAX lacks; removes them at the end."""
    if files is None:
        yield
        return
    with contextlib.ExitStack() as stack:
        for name in sorted(files.attributes() & set(_DROPPED)):
            module, value = _DROPPED[name]
            attribute = name.rpartition(".")[2]
            if not hasattr(module, attribute):
                setattr(module, attribute, value)
                stack.callback(delattr, module, attribute)
        if files.keywords("clip") & {"a_min", "a_max"}:
            stack.callback(setattr, jnp, "clip", jnp.clip)
            jnp.clip = _with_old_keywords(jnp.clip)
        yield


def _with_old_keywords(clip: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """`jax.numpy.clip` that also accepts its limits as `a_min` and `a_max`."""

    @functools.wraps(clip)
    def wrapper(*args: Any, **kwargs: Any) -> jax.Array:
        renamed = {{"a_min": "min", "a_max": "max"}.get(name, name): value for name, value in kwargs.items()}
        return clip(*args, **renamed)

    return wrapper
