"""The device mesh and the placement of arrays on it: replicated, or split by batch axis or by parameter rows."""

import dataclasses
import fnmatch
import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from algoperf_jax import parameters
from algoperf_jax.errors import ConfigError
from algoperf_jax.workload import Batch, Finish, Placement

BATCH_AXIS = "batch"


@dataclasses.dataclass(frozen=True)
class Layout:
    """The placement of arrays on devices.

    Attributes:
      mesh: a mesh with one axis named `batch` over the devices of the run. (The benchmark's submissions build the same
        mesh.)
      sharded_parameters: patterns of the paths of parameters to split by rows over the devices, as in
        `Workload.sharded_parameters`; all others are replicated.
    """

    mesh: Mesh
    sharded_parameters: tuple[str, ...] = ()

    @property
    def replicated(self) -> NamedSharding:
        """The sharding with a copy on each device: for model state, metrics, and parameters that match no pattern."""
        return NamedSharding(self.mesh, PartitionSpec())

    @property
    def batch(self) -> NamedSharding:
        """The sharding that splits the leading axis, for batches."""
        return NamedSharding(self.mesh, PartitionSpec(BATCH_AXIS))

    def parameters(self, path: str, shape: Sequence[int]) -> NamedSharding:
        """The sharding of a parameter: split along its first axis if a pattern matches its path.

        Raises:
          ConfigError: a pattern matches, but the rows cannot be divided evenly among the devices.
        """
        if not any(fnmatch.fnmatchcase(path, pattern) for pattern in self.sharded_parameters):
            return self.replicated
        count = self.mesh.devices.size
        if not shape or shape[0] % count:
            raise ConfigError(
                f"config.mesh.shard_parameters: cannot split the rows of parameter {path} of shape {tuple(shape)}",
                expected=f"a number of rows divisible by the number of devices ({count})",
                remedy="Set --config.mesh.data to a divisor of it, or leave --config.mesh.shard_parameters unset.",
            )
        return self.batch

    def parameter_shardings(self, params: Any) -> Any:
        """The shardings of a tree of parameters, abstract or not."""
        return jax.tree_util.tree_map_with_path(
            lambda path, leaf: self.parameters(parameters.path_name(path), leaf.shape), params
        )

    def spec_of(self, array: Any) -> list[Any] | None:
        """The mesh axes over which each axis of an array is split, JSON-able; None if the array is not split."""
        sharding = getattr(array, "sharding", None)
        if not isinstance(sharding, NamedSharding) or sharding.mesh != self.mesh or sharding.is_fully_replicated:
            return None
        return [list(names) if isinstance(names, tuple) else names for names in sharding.spec]

    def sharding(self, spec: Sequence[Any], shape: Sequence[int]) -> NamedSharding:
        """The inverse of `spec_of` on this mesh; replicated if its devices cannot divide the array evenly."""
        names = [tuple(names) if isinstance(names, list) else names for names in spec]
        found = NamedSharding(self.mesh, PartitionSpec(*names))
        count = self.mesh.devices.size
        even = all(not name or size % count == 0 for name, size in zip(names, shape, strict=False))
        return found if even else self.replicated

    @property
    def placement(self) -> Placement:
        """What input pipelines need to know about the layout."""
        return Placement(
            process_index=jax.process_index(),
            process_count=jax.process_count(),
            device_count=self.mesh.devices.size,
        )

    def put_batch(self, batch: Batch, finish: Finish | None = None) -> Batch:
        """Makes global arrays from this process's rows of a batch; `finish` is the last stage of the input pipeline."""
        sharding = self.batch
        arrays = jax.tree.map(lambda rows: jax.make_array_from_process_local_data(sharding, rows), batch)
        return arrays if finish is None else _compiled(finish, sharding)(arrays)


@functools.lru_cache(maxsize=8)
def _compiled(finish: Finish, sharding: NamedSharding) -> Finish:
    return jax.jit(finish, out_shardings=sharding)


def make_layout(data_devices: int | None = None, sharded_parameters: tuple[str, ...] = ()) -> Layout:
    """Makes the layout over the first `data_devices` devices, or over all.

    Raises:
      ConfigError: there are fewer devices, or several processes do not use all.
    """
    devices = jax.devices()
    wanted = len(devices) if data_devices is None else data_devices
    if not 1 <= wanted <= len(devices):
        raise ConfigError(
            "config.mesh.data",
            value=data_devices,
            expected=f"1 to {len(devices)}, the number of {devices[0].platform} devices here",
            remedy="Leave it unset to use all devices.",
        )
    if wanted != len(devices) and jax.process_count() > 1:
        raise ConfigError(
            "config.mesh.data",
            value=data_devices,
            expected=f"all {len(devices)} devices when several processes share a run",
            remedy="Leave it unset.",
        )
    return Layout(Mesh(np.asarray(devices[:wanted]), (BATCH_AXIS,)), sharded_parameters)


def check_batch_size(name: str, batch_size: int, placement: Placement) -> None:
    """Checks that the devices can share a training batch; evaluation batches are padded instead.

    Raises:
      ConfigError: they cannot; the message names `name`, the configuration key.
    """
    count = placement.device_count
    if batch_size < 1 or batch_size % count:
        below = max(batch_size // count, 1) * count
        raise ConfigError(
            name,
            value=batch_size,
            expected=f"a positive multiple of the number of devices ({count})",
            remedy=f"For instance --{name}={below}.",
        )
