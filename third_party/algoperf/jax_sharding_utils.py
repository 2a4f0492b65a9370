"""The module `algoperf.jax_sharding_utils`: the two shardings over the devices of the run."""

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding

from algoperf_jax.devices.mesh import BATCH_AXIS, Layout

# The functions below take no mesh, so the mesh of the run is kept here.
_meshes: list[Mesh] = []


def use_mesh(mesh: Mesh | None) -> None:
    """Sets the mesh that the other functions use; None means all devices. Called by the engine, not by submissions."""
    _meshes[:] = [] if mesh is None else [mesh]


def get_replicate_sharding() -> NamedSharding:
    """The sharding with one copy on each device."""
    return _layout().replicated


def get_batch_dim_sharding() -> NamedSharding:
    """The sharding that splits arrays along the leading axis."""
    return _layout().batch


def shard_along_batch_dim(tree: Any) -> Any:
    """Puts a tree of arrays on the devices, split along the leading axis."""
    return jax.device_put(tree, get_batch_dim_sharding())


def replicate(tree: Any) -> Any:
    """Puts a copy of a tree of arrays on each device."""
    return jax.device_put(tree, get_replicate_sharding())


def display_shard_info(array: jax.Array) -> None:
    """Prints on which devices the parts of an array are."""
    print(f"shape {array.shape}, sharding {array.sharding}")
    for shard in array.addressable_shards:
        print(f"  {shard.device}: {shard.data.shape}")


def _layout() -> Layout:
    return Layout(_meshes[0] if _meshes else Mesh(np.asarray(jax.devices()), (BATCH_AXIS,)))
