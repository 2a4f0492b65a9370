"""Checksums of arrays are those of their bytes, on any number of devices, computed in parts."""

import zlib
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from algoperf_jax.checkpoints import checksums as module
from algoperf_jax.checkpoints.checksums import checksums, differing

ARRAY = np.random.default_rng(0).normal(size=(16, 8, 6)).astype(np.float32)
MESH = Mesh(np.asarray(jax.devices()).reshape(4, 2), ("rows", "columns"))


def crc(array: Any) -> int:
    return zlib.crc32(np.asarray(array).tobytes())


@pytest.fixture(params=[2**24, 100, 1])
def part_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(module, "_PART_BYTES", request.param)
    return request.param


@pytest.mark.usefixtures("part_bytes")
@pytest.mark.parametrize(
    "spec",
    [
        (),
        ("rows",),
        (("rows", "columns"),),
        (None, "rows"),
        (None, None, "columns"),
        ("rows", "columns"),
        ("columns", None, None),
        ("rows", None, "columns"),
    ],
)
def test_the_checksum_is_that_of_the_whole_wherever_its_shards_are(spec: tuple[Any, ...]) -> None:
    array = jax.device_put(ARRAY, NamedSharding(MESH, PartitionSpec(*spec)))
    assert checksums({"array": array}) == {"array": crc(ARRAY)}


@pytest.mark.usefixtures("part_bytes")
@pytest.mark.parametrize(
    "array",
    [
        ARRAY,
        ARRAY.T,
        ARRAY[::2, ::-1],
        np.float64(0.1),
        np.zeros((0, 3), np.float32),
        np.arange(7, dtype=np.int64),
        np.ones(5, ml_dtypes.bfloat16),
        np.asarray([True, False]),
        jnp.float32(3),
        jnp.zeros((3, 0)),
    ],
)
def test_arrays_of_every_kind_have_the_checksum_of_their_bytes(array: Any) -> None:
    assert checksums({"array": array}) == {"array": crc(array)}


def test_arrays_that_differ_are_named() -> None:
    other = ARRAY.copy()
    other[3, 2, 1] = np.nextafter(other[3, 2, 1], np.float32(9))
    expected = checksums({"same": ARRAY, "other": ARRAY})
    assert differing({"same": ARRAY, "other": other}, expected) == ["other"]
