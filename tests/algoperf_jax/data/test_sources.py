"""Sources open data on first use and once, and are pickled unopened."""

import concurrent.futures
import pathlib
import pickle
import time

import numpy as np
import pytest

from algoperf_jax.data import prepared
from algoperf_jax.data.arrays import Columns
from algoperf_jax.data.prepared import Block, DatasetSpec
from algoperf_jax.data.sources import GeneratedColumns, PreparedExamples, PreparedSource
from algoperf_jax.errors import DataError

SPEC = DatasetSpec("toy", "1")


def write(data_dir: pathlib.Path) -> None:
    blocks = [Block(1, {"name": np.frombuffer(b"image %d" % k, np.uint8)}) for k in range(7)]
    prepared.write(data_dir, SPEC, {"train": blocks}, source="a test")


def name_of(columns: Columns) -> str:
    return columns["name"].tobytes().decode()


def test_generated_columns_are_drawn_once_when_asked_for() -> None:
    drawn: list[str] = []

    def generate(split: str) -> dict[str, np.ndarray]:
        drawn.append(split)
        time.sleep(0.01)
        return {"label": np.arange(3)}

    source = GeneratedColumns(generate, {"version": "1", "split_sizes": {"train": 3}})
    assert source.origin == "builtin"
    assert source.describe() == {"dataset": "generated", "version": "1", "split_sizes": {"train": 3}}
    assert drawn == []
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(source.columns, ["train"] * 8))
    assert drawn == ["train"]
    assert all(columns is found[0] for columns in found)
    with pytest.raises(ValueError, match="read-only"):
        found[0]["label"][0] = 1


def test_prepared_data_are_opened_at_their_first_use(tmp_path: pathlib.Path) -> None:
    source = PreparedSource(tmp_path, SPEC)
    assert source.origin == "prepared"
    with pytest.raises(DataError, match=r"no prepared toy data.*prepare toy"):
        source.describe()
    write(tmp_path)
    assert source.describe()["split_sizes"] == {"train": 7}
    assert source.opened() is source.opened()
    assert name_of(source.columns("train")).startswith("image 0image 1")


def test_examples_are_decoded_one_by_one(tmp_path: pathlib.Path) -> None:
    write(tmp_path)
    examples = PreparedExamples(tmp_path, SPEC, name_of).examples("train")
    assert len(examples) == 7
    for found in (examples, pickle.loads(pickle.dumps(examples))):
        assert [found.read(index) for index in (6, 0, 3)] == ["image 6", "image 0", "image 3"]


def test_a_copy_for_another_process_opens_the_data_itself(tmp_path: pathlib.Path) -> None:
    write(tmp_path)
    source = PreparedExamples(tmp_path, SPEC, name_of)
    source.describe()
    copy = pickle.loads(pickle.dumps(source))
    (tmp_path / SPEC.name / "manifest.json").rename(tmp_path / "elsewhere")
    assert source.examples("train").read(2) == "image 2"
    with pytest.raises(DataError, match="no prepared toy data"):
        copy.examples("train")
    (tmp_path / "elsewhere").rename(tmp_path / SPEC.name / "manifest.json")
    assert copy.examples("train").read(2) == "image 2"
