"""Batches from arrays have the same examples for any number of devices and processes, each once per pass."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from algoperf_jax.data import arrays
from algoperf_jax.workload import Placement

EXAMPLES = {"inputs": np.arange(37), "targets": 100 + np.arange(37)}


def identity(examples: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return dict(examples)


def training(placement: Placement, draw: Any = None) -> Any:
    return arrays.training_split(EXAMPLES, batch_size=8, seed=1, placement=placement, transform=identity, draw=draw)


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_processes_share_a_global_batch(processes: int) -> None:
    def draw(generator: np.random.Generator, size: int) -> dict[str, np.ndarray]:
        return {"shift": generator.integers(0, 1000, size)}

    whole = training(Placement(), draw).batch(7)
    parts = [training(Placement(index, processes, processes), draw).batch(7) for index in range(processes)]
    for name, rows in whole.items():
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), rows)


def test_batches_follow_the_epochs() -> None:
    reader = training(Placement())
    seen = np.concatenate([reader.batch(k)["inputs"] for k in range(37)])
    for epoch in range(8):
        assert sorted(seen[37 * epoch : 37 * (epoch + 1)]) == list(range(37))


def test_targets_stay_with_their_inputs() -> None:
    batch = training(Placement()).batch(3)
    np.testing.assert_array_equal(batch["targets"], batch["inputs"] + 100)
    assert batch["weights"].dtype == np.float32
    assert batch["weights"].tolist() == [1.0] * 8


@pytest.mark.parametrize("devices", [1, 8])
@pytest.mark.parametrize("batch_size", [8, 16, 64, 1, 7, 36])
def test_a_pass_gives_each_example_once(devices: int, batch_size: int) -> None:
    placement = Placement(device_count=devices)
    reader = arrays.evaluation_split(EXAMPLES, batch_size=batch_size, placement=placement, transform=identity)
    assert reader.num_batches is not None
    batches = [reader.batch(k) for k in range(reader.num_batches)]
    assert len({len(batch["inputs"]) for batch in batches}) == 1
    assert len(batches[0]["inputs"]) % devices == 0
    real = [x for batch in batches for x, weight in zip(batch["inputs"], batch["weights"], strict=True) if weight]
    assert real == list(range(37))


def test_padding_for_the_devices_leaves_the_examples_of_each_batch() -> None:
    def examples(k: int, **placement: int) -> list[float]:
        options = {"batch_size": 10, "placement": Placement(**placement), "transform": identity}
        batch = arrays.evaluation_split(EXAMPLES, **options).batch(k)
        return [x for x, weight in zip(batch["inputs"], batch["weights"], strict=True) if weight]

    for k in range(4):
        whole = examples(k)
        assert whole == list(range(10 * k, min(10 * k + 10, 37)))
        assert examples(k, device_count=8) == whole
        processes = [examples(k, process_index=i, process_count=4, device_count=8) for i in range(4)]
        assert [x for of_process in processes for x in of_process] == whole


def test_a_small_split_is_not_padded_to_a_large_batch() -> None:
    reader = arrays.evaluation_split(EXAMPLES, batch_size=4096, placement=Placement(device_count=8), transform=identity)
    assert reader.num_batches == 1
    assert len(reader.batch(0)["inputs"]) == 40
