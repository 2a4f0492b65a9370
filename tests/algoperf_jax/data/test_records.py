"""Records are read by index, from any file of a split, and errors name the damage."""

import concurrent.futures
import pathlib
import pickle

import numpy as np
import pytest

from algoperf_jax.data import prepared
from algoperf_jax.data.prepared import Block, DatasetSpec
from algoperf_jax.data.records import Records
from algoperf_jax.errors import DataError

SPEC = DatasetSpec("toy", "1")


@pytest.fixture
def records(tmp_path: pathlib.Path) -> Records:
    blocks = [Block(1, {"image": np.arange(k + 1, dtype=np.uint8), "label": np.array([k])}) for k in range(20)]
    prepared.write(tmp_path, SPEC, {"train": blocks}, source="a test", max_file_bytes=60)
    return prepared.load(tmp_path, SPEC).records("train")


def test_any_order(records: Records) -> None:
    assert len(records) == 20
    assert len(records.files) > 3
    for found in (records, pickle.loads(pickle.dumps(records))):
        for index in (19, 0, 7, 7, 12, *range(20)):
            columns = found.read(index)
            assert columns["label"].tolist() == [index]
            assert columns["image"].tolist() == list(range(index + 1))


@pytest.mark.parametrize("index", [-1, 20])
def test_missing_examples(records: Records, index: int) -> None:
    with pytest.raises(IndexError, match=f"example {index} is not in 0 to 19"):
        records.read(index)


def test_any_thread(records: Records) -> None:
    order = np.random.default_rng(0).integers(0, 20, 400).tolist()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(records.read, order))
    assert [columns["label"].item() for columns in found] == order


def test_uncompressed_files(tmp_path: pathlib.Path) -> None:
    spec = DatasetSpec("toy", "1", compressed=False)
    values = np.random.default_rng(0).standard_normal((5, 40))
    blocks = [Block(1, {"value": value[None]}) for value in values]
    prepared.write(tmp_path, spec, {"train": blocks}, source="a test")
    assert values[3].tobytes() in next((tmp_path / "toy").glob("train-*")).read_bytes()
    loaded = prepared.load(tmp_path, spec)
    np.testing.assert_array_equal(loaded.records("train").read(3)["value"], values[3:4])
    np.testing.assert_array_equal(loaded.columns("train")["value"], values)


def test_damage_is_named(tmp_path: pathlib.Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3, 300_000), dtype=np.uint8)
    blocks = [Block(1, {"image": image}) for image in noise]
    prepared.write(tmp_path, SPEC, {"train": blocks}, source="a test")
    found = prepared.load(tmp_path, SPEC).records("train")
    path = found.files[0].path
    content = bytearray(path.read_bytes())
    content[content.index(noise[1, 1000:1100].tobytes())] ^= 0xFF
    path.write_bytes(bytes(content))
    np.testing.assert_array_equal(found.read(2)["image"], noise[2])
    with pytest.raises(DataError, match=r"record 1 of .*train-00000.* is damaged.*prepare toy"):
        found.read(1)
