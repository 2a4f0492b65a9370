"""The device mesh and the two shardings that everything uses: replicated, and split along the batch axis."""

import dataclasses
import functools

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from algoperf_jax.errors import ConfigError
from algoperf_jax.workload import Batch, Finish, Placement

BATCH_AXIS = "batch"


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where arrays live.

    Attributes:
      mesh: one axis named `batch` over the devices of the run. (Submissions of the benchmark build this same mesh.)
    """

    mesh: Mesh

    @property
    def replicated(self) -> NamedSharding:
        """One copy on each device: parameters (a rule that splits some of them has its place here), metrics."""
        return NamedSharding(self.mesh, PartitionSpec())

    @property
    def batch(self) -> NamedSharding:
        """Split along the leading axis: batches."""
        return NamedSharding(self.mesh, PartitionSpec(BATCH_AXIS))

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


def make_layout(data_devices: int | None = None) -> Layout:
    """The mesh over the first `data_devices` devices, or over all.

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
    return Layout(Mesh(np.asarray(devices[:wanted]), (BATCH_AXIS,)))


def check_batch_size(name: str, batch_size: int, placement: Placement) -> None:
    """Refuses a batch size that the devices cannot share.

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
