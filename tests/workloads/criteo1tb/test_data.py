import concurrent.futures
import functools
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from algoperf_jax.data import continued, shuffle
from algoperf_jax.errors import DataError
from algoperf_jax.workload import Data, Placement
from tests import golden_support
from workloads.criteo1tb import builtin, data, rows, schema
from workloads.criteo1tb.data import RowSource

SIZES = {"train": (700, 1, 300, 999), "validation": (500,), "test": (20, 30)}
SPLIT_SIZES = {"train": 2_000, "eval_train": 900, "validation": 500, "test": 50}
EIGHT_PROCESSES = [Placement(index, 8, 8) for index in range(8)]


class NumberedRows:
    """Rows whose columns all hold the number of the row."""

    def __init__(self, first: int, count: int) -> None:
        self._numbers = np.arange(first, first + count, dtype=np.int32)

    def __len__(self) -> int:
        return len(self._numbers)

    def read(self, start: int, out: np.ndarray) -> None:
        assert start + len(out) <= len(self)
        out[:] = self._numbers[start : start + len(out), None]


def numbered(sizes: Sequence[int]) -> list[RowSource]:
    return [NumberedRows(sum(sizes[:number]), size) for number, size in enumerate(sizes)]


def test_training_reads_whole_files_in_random_order() -> None:
    sizes = SIZES["train"]
    reader = data.training_split(numbered(sizes), batch_size=64, seed=3, placement=Placement())
    batches = [reader.batch(k) for k in range(100)]
    stream = np.concatenate([batch["rows"][:, 0] for batch in batches])
    orders = [shuffle.epoch_order(len(sizes), 3, epoch) for epoch in range(4)]
    ranges = [np.arange(sum(sizes[:number]), sum(sizes[: number + 1])) for number in range(len(sizes))]
    expected = np.concatenate([ranges[number] for order in orders for number in order])
    np.testing.assert_array_equal(stream, expected[: len(stream)])
    assert len({tuple(order) for order in orders}) > 1
    assert reader.num_examples == sum(sizes)
    assert reader.num_batches is None
    assert all((batch["weights"] == 1).all() for batch in batches)
    np.testing.assert_array_equal(reader.batch(7)["rows"], batches[7]["rows"])
    other = data.training_split(numbered(sizes), batch_size=64, seed=4, placement=Placement())
    assert any((other.batch(k)["rows"] != batches[k]["rows"]).any() for k in range(5))


@pytest.mark.parametrize("most", [None, 900])
def test_evaluation_reads_each_row_once(most: int | None) -> None:
    files = numbered(SIZES["train"])
    reader = data.evaluation_split(files, batch_size=150, placement=Placement(device_count=8), most=most)
    assert reader.num_batches == (14 if most is None else 6)
    assert reader.num_examples == (most or 2_000)
    assert reader.num_batches is not None
    batches = [reader.batch(k) for k in range(reader.num_batches)]
    assert {len(batch["rows"]) for batch in batches} == {152}
    real = np.concatenate([batch["rows"][batch["weights"] == 1] for batch in batches])
    np.testing.assert_array_equal(real[:, 0], np.arange(reader.num_examples))
    padding = np.concatenate([batch["rows"][batch["weights"] == 0] for batch in batches])
    assert not padding.any()


@pytest.mark.parametrize("split", ["train", "eval_train", "validation"])
def test_processes_share_the_global_batch(split: Any) -> None:
    files = numbered(SIZES["train"])

    def opened(placement: Placement) -> Any:
        if split == "train":
            return data.training_split(files, batch_size=400, seed=0, placement=placement)
        most = 900 if split == "eval_train" else None
        return data.evaluation_split(files, batch_size=397, placement=placement, most=most)

    whole, parts = opened(Placement(device_count=8)), [opened(placement) for placement in EIGHT_PROCESSES]
    for k in range(whole.num_batches or 9):
        own = [part.batch(k) for part in parts]
        for name, array in whole.batch(k).items():
            np.testing.assert_array_equal(np.concatenate([batch[name] for batch in own]), array)


def test_a_split_smaller_than_a_batch_is_one_batch() -> None:
    reader = data.evaluation_split(numbered([5]), batch_size=100, placement=Placement(device_count=4))
    batch = reader.batch(0)
    assert reader.num_batches == 1
    np.testing.assert_array_equal(batch["weights"], [1, 1, 1, 1, 1, 0, 0, 0])


def some_rows(lines: Sequence[str], inputs: np.ndarray) -> np.ndarray:
    """The rows of lines whose ids are known."""
    found = np.zeros((len(lines), schema.NUM_COLUMNS), np.int32)
    for row, line in zip(found, lines, strict=True):
        numbers = [int(field) if field else 0 for field in line.split("\t")[:14]]
        row[:14] = [0 if number == -1 else number for number in numbers]
    found[:, schema.CATEGORIES] = inputs[:, schema.NUM_INTEGERS :]
    return found


def test_inputs_are_those_of_the_reference() -> None:
    expected = golden_support.numbers("criteo1tb_input")
    read = some_rows(list(expected["lines"]), expected["inputs"])
    batch = {"rows": jnp.asarray(read), "weights": jnp.ones(len(read))}
    finished = jax.jit(data.finish)(batch)
    assert finished["inputs"].dtype == finished["targets"].dtype == jnp.float32
    np.testing.assert_array_equal(finished["targets"], expected["targets"])
    np.testing.assert_array_equal(finished["inputs"][:, 13:], expected["inputs"][:, 13:])
    # Logarithms of different libraries differ in their last digit.
    np.testing.assert_allclose(finished["inputs"][:, :13], expected["inputs"][:, :13], rtol=2.4e-7)


def test_negative_and_large_integers() -> None:
    read = np.zeros((2, 3, schema.NUM_COLUMNS), np.int32)
    read[0, 0, schema.INTEGERS] = [-3, -1, 0, 1, 2**31 - 1, *[0] * 8]
    read[0, 0, schema.CATEGORIES] = 39_979_768
    finished = data.finish({"rows": read, "weights": np.ones((2, 3), np.float32)})
    assert finished["inputs"].shape == (2, 3, 39)
    assert finished["targets"].shape == (2, 3)
    np.testing.assert_allclose(finished["inputs"][0, 0, :5], [0, 0, 0, np.log(2), 31 * np.log(2)], rtol=1e-6)
    assert (finished["inputs"][0, 0, 13:] == 39_979_768).all()


@pytest.mark.parametrize("leading", [(6,), (2, 3)])
def test_batches_are_finished_alike_in_both_frameworks(leading: tuple[int, ...]) -> None:
    reader = data.training_split(
        builtin.pieces(builtin.SMALL, "train", 100), batch_size=6, seed=0, placement=Placement()
    )
    batch = {name: array.reshape(*leading, *array.shape[1:]) for name, array in reader.batch(0).items()}
    in_numpy = data.finish(batch)
    in_torch = data.finish({name: torch.from_numpy(array) for name, array in batch.items()})
    in_jax = jax.jit(data.finish)(batch)
    for name, array in in_numpy.items():
        assert array.dtype == np.float32
        np.testing.assert_allclose(in_torch[name].numpy(), array, rtol=2.4e-7)
        np.testing.assert_allclose(in_jax[name], array, rtol=2.4e-7)


def write(data_dir: pathlib.Path) -> Mapping[str, np.ndarray]:
    """Prepares files of built-in rows; returns the rows of each split."""
    folder = continued.begin(data_dir, rows.DATASET, force=False)
    splits, content = {}, {}
    for split, sizes in SIZES.items():
        pieces = [np.empty((size, schema.NUM_COLUMNS), np.int32) for size in sizes]
        paths = [folder / f"{split}_{number}.rows" for number in range(len(sizes))]
        for number, (path, piece) in enumerate(zip(paths, pieces, strict=True)):
            builtin.GeneratedRows(builtin.SMALL, split, number * builtin.ROWS_PER_BLOCK, len(piece)).read(0, piece)
            with rows.writer(path, source={}) as append:
                append(piece)
        splits[split] = rows.manifest_split(paths)
        content[split] = np.concatenate(pieces)
    continued.finish(data_dir, rows.DATASET, continued.Written(splits, {"days": 3}), source="a test")
    return content


def opened(data_dir: pathlib.Path | None) -> Data:
    return data.open_data(str(data_dir) if data_dir else None, split_sizes=SPLIT_SIZES, edition=builtin.SMALL)


def read_pass(clicks: Data, split: Any, *, seed: int = 0, batch_size: int = 128) -> np.ndarray:
    reader = clicks.open(split, batch_size=batch_size, seed=seed, placement=Placement())
    assert reader.num_batches is not None
    batches = [reader.batch(k) for k in range(reader.num_batches)]
    return np.concatenate([batch["rows"][batch["weights"] > 0] for batch in batches])


def test_prepared_data(tmp_path: pathlib.Path) -> None:
    content = write(tmp_path)
    clicks = opened(tmp_path)
    assert clicks.origin == "prepared"
    np.testing.assert_array_equal(read_pass(clicks, "validation"), content["validation"])
    np.testing.assert_array_equal(read_pass(clicks, "test"), content["test"])
    train = clicks.open("train", batch_size=2_000, seed=1, placement=Placement()).batch(3)["rows"]
    assert sorted(map(tuple, train)) == sorted(map(tuple, content["train"]))
    description = clicks.describe()
    assert (description["version"], description["source"], description["facts"]) == ("1.0.0", "a test", {"days": 3})
    assert description["split_sizes"] == {"train": 2_000, "validation": 500, "test": 50}
    assert len(json.dumps(description)) < 1_000


def test_every_trial_is_evaluated_on_the_same_training_rows(tmp_path: pathlib.Path) -> None:
    content = write(tmp_path)
    chosen = read_pass(opened(tmp_path), "eval_train")
    assert len(chosen) == 900
    assert set(map(tuple, chosen)) < set(map(tuple, content["train"]))
    for batch_size in (100, 900):
        np.testing.assert_array_equal(read_pass(opened(tmp_path), "eval_train", seed=5, batch_size=batch_size), chosen)


def test_built_in_data() -> None:
    clicks = opened(None)
    assert clicks.origin == "builtin"
    assert clicks.describe()["version"] == builtin.VERSION
    expected = np.empty((500, schema.NUM_COLUMNS), np.int32)
    builtin.GeneratedRows(builtin.SMALL, "validation", 0, 500).read(0, expected)
    np.testing.assert_array_equal(read_pass(clicks, "validation"), expected)
    assert len(read_pass(clicks, "eval_train")) == 900


def test_threads_make_the_same_batches(tmp_path: pathlib.Path) -> None:
    write(tmp_path)
    for clicks in (opened(None), opened(tmp_path)):
        open_train = functools.partial(clicks.open, "train", batch_size=96, seed=2, placement=Placement())
        alone, shared = open_train(), open_train()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for k, batch in enumerate(pool.map(shared.batch, range(40))):
                np.testing.assert_array_equal(batch["rows"], alone.batch(k)["rows"])


def test_missing_incomplete_and_damaged_data(tmp_path: pathlib.Path) -> None:
    clicks = opened(tmp_path)
    with pytest.raises(DataError, match=r"no prepared criteo1tb data in .*algoperf_jax\.prepare criteo1tb --data_dir="):
        read_pass(clicks, "validation")
    write(tmp_path)
    path = tmp_path / "criteo1tb" / "validation_0.rows"
    content = bytearray(path.read_bytes())
    content[1_000] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        DataError,
        match=r"block 0 of \S*validation_0\.rows does not match its checksum\. Remove \S*"
        r"validation_0\.rows, then run: python -m algoperf_jax\.prepare criteo1tb --data_dir=\S* --from=FOLDER",
    ):
        read_pass(clicks, "validation")
    assert len(read_pass(clicks, "test")) == 50
    path.unlink()
    with pytest.raises(DataError, match=r"validation_0\.rows is missing"):
        read_pass(opened(tmp_path), "test")
    continued.begin(tmp_path, rows.DATASET, force=False)
    with pytest.raises(DataError, match="has not finished"):
        read_pass(opened(tmp_path), "test")
