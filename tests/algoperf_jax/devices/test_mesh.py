"""The mesh, and the batch sizes that its devices can share."""

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from algoperf_jax.devices.mesh import check_batch_size, make_layout
from algoperf_jax.errors import ConfigError
from algoperf_jax.workload import Placement


def test_all_devices_by_default() -> None:
    assert make_layout().placement.device_count == len(jax.devices()) == 8
    assert make_layout(2).placement.device_count == 2
    assert make_layout().mesh.axis_names == ("batch",)


@pytest.mark.parametrize("count", [0, 9, -1])
def test_missing_devices_are_refused(count: int) -> None:
    with pytest.raises(ConfigError, match=r"config\.mesh\.data: found .*; expected 1 to 8"):
        make_layout(count)


def test_batches_are_split_and_parameters_replicated() -> None:
    layout = make_layout(4)
    batch = layout.put_batch({"inputs": np.arange(8.0), "graph": (np.zeros((4, 2)),)})
    assert batch["inputs"].sharding.spec == PartitionSpec("batch")
    assert [shard.data.shape for shard in batch["inputs"].addressable_shards] == [(2,)] * 4
    assert layout.replicated.is_fully_replicated


@pytest.mark.parametrize("batch_size", [12, 0, -8, 7])
def test_batch_sizes_that_cannot_be_shared_are_refused(batch_size: int) -> None:
    with pytest.raises(ConfigError, match=r"config\.batch_size: found .*multiple of the number of devices \(8\)"):
        check_batch_size("config.batch_size", batch_size, Placement(device_count=8))
    check_batch_size("config.batch_size", 16, Placement(device_count=8))
