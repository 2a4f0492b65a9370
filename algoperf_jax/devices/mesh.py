"""The device mesh, and where arrays live on it: replicated, split along the batch axis, or by a rule for parameters."""

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
    """Where arrays live.

    Attributes:
      mesh: one axis named `batch` over the devices of the run. (Submissions of the benchmark build this same mesh.)
      sharded_parameters: patterns of the paths of parameters that are split by rows over the devices, as in
        `Workload.sharded_parameters`; all others are replicated.
    """

    mesh: Mesh
    sharded_parameters: tuple[str, ...] = ()

    @property
    def replicated(self) -> NamedSharding:
        """One copy on each device: model state, metrics, and parameters that no pattern names."""
        return NamedSharding(self.mesh, PartitionSpec())

    @property
    def batch(self) -> NamedSharding:
        """Split along the leading axis: batches."""
        return NamedSharding(self.mesh, PartitionSpec(BATCH_AXIS))

    def parameters(self, path: str, shape: Sequence[int]) -> NamedSharding:
        """Where the parameter of a path and shape lives: split along its first axis if a pattern names it.

        Raises:
          ConfigError: a pattern names it, and the devices cannot share its rows evenly.
        """
        if not any(fnmatch.fnmatchcase(path, pattern) for pattern in self.sharded_parameters):
            return self.replicated
        count = self.mesh.devices.size
        if not shape or shape[0] % count:
            raise ConfigError(
                f"config.mesh.shard_parameters: the parameter {path} of shape {tuple(shape)} is to be split by rows",
                expected=f"a number of rows that {count} devices share evenly",
                remedy="Set --config.mesh.data to a divisor of it, or leave --config.mesh.shard_parameters unset.",
            )
        return self.batch

    def parameter_shardings(self, params: Any) -> Any:
        """The tree of `parameters(path, shape)` for a tree of arrays, abstract or not."""
        return jax.tree_util.tree_map_with_path(
            lambda path, leaf: self.parameters(parameters.path_name(path), leaf.shape), params
        )

    def spec_of(self, array: Any) -> list[Any] | None:
        """The mesh axes that each axis of an array is split over, JSON-able; None if the array is not split."""
        sharding = getattr(array, "sharding", None)
        if not isinstance(sharding, NamedSharding) or sharding.mesh != self.mesh or sharding.is_fully_replicated:
            return None
        return [list(names) if isinstance(names, tuple) else names for names in sharding.spec]

    def sharding(self, spec: Sequence[Any], shape: Sequence[int]) -> NamedSharding:
        """The inverse on this mesh; replicated where its devices, more or fewer than there, cannot share it evenly."""
        names = [tuple(names) if isinstance(names, list) else names for names in spec]
        found = NamedSharding(self.mesh, PartitionSpec(*names))
        count = self.mesh.devices.size
        even = all(not name or size % count == 0 for name, size in zip(names, shape, strict=False))
        return found if even else self.replicated

    @property
    def placement(self) -> Placement:
        """What the input pipelines must know of the layout."""
        return Placement(
            process_index=jax.process_index(),
            process_count=jax.process_count(),
            device_count=self.mesh.devices.size,
        )

    def put_batch(self, batch: Batch, finish: Finish | None = None) -> Batch:
        """Makes global arrays of this process's rows of a batch; `finish` is the last stage of the input pipeline."""
        sharding = self.batch
        arrays = jax.tree.map(lambda rows: jax.make_array_from_process_local_data(sharding, rows), batch)
        return arrays if finish is None else _compiled(finish, sharding)(arrays)


@functools.lru_cache(maxsize=8)
def _compiled(finish: Finish, sharding: NamedSharding) -> Finish:
    return jax.jit(finish, out_shardings=sharding)


def make_layout(data_devices: int | None = None, sharded_parameters: tuple[str, ...] = ()) -> Layout:
    """The mesh over the first `data_devices` devices, or over all, with the parameters that are split over it.

    Raises:
      ConfigError: fewer devices exist.
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
    """Refuses a training batch size that the devices cannot share; evaluation batches are padded instead.

    Raises:
      ConfigError: naming `name`, the config key.
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
