"""Rows gathered from blocks on disk do not depend on the caller, and need few blocks in memory."""

import concurrent.futures
import itertools
import json
import pathlib
import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from algoperf_jax.data import block_rows, blocks, prepared
from algoperf_jax.data.block_rows import BlockRows
from algoperf_jax.data.prepared import Block, DatasetSpec
from algoperf_jax.errors import DataError
from algoperf_jax.workload import Placement, SplitReader

SPEC = DatasetSpec("clicks", "1", compressed=False)
COUNT, GROUP = 3_000, 4


def columns() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "dense": rng.standard_normal((COUNT, 13), np.float32),
        "ids": rng.integers(0, 1 << 22, (COUNT, 26), np.int32),
        "label": np.arange(COUNT, dtype=np.int32),
    }


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """24 blocks of 31 to 150 examples in several files."""
    whole, bounds = columns(), [*range(0, 1_500, 150), *range(1_500, COUNT, 113), COUNT]
    found = [
        Block(stop - start, {name: column[start:stop] for name, column in whole.items()})
        for start, stop in itertools.pairwise(bounds)
    ]
    folder = tmp_path_factory.mktemp("data")
    prepared.write(folder, SPEC, {"train": found}, source="a test", max_file_bytes=100_000)
    return folder


@pytest.fixture
def rows(data_dir: pathlib.Path) -> BlockRows:
    return prepared.load(data_dir, SPEC).rows("train", group=GROUP)


def transform(examples: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return {"inputs": examples["dense"], "targets": examples["label"]}


def training(rows: BlockRows, placement: Placement = Placement(), *, seed: int = 1) -> SplitReader:
    return block_rows.training_split(rows, batch_size=120, seed=seed, placement=placement, transform=transform)


def counted_reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    read: list[int] = []
    original = blocks.BlockReader.read

    def counted(self: blocks.BlockReader, index: int) -> Block:
        read.append(index)
        return original(self, index)

    monkeypatch.setattr(blocks.BlockReader, "read", counted)
    return read


@pytest.mark.parametrize("order", ["random", "increasing", "none"])
def test_rows_of_any_numbers(rows: BlockRows, order: str) -> None:
    asked = np.random.default_rng(1).integers(0, COUNT, 0 if order == "none" else 700)
    asked = np.sort(asked) if order == "increasing" else asked
    assert len(rows) == COUNT
    for found in (rows, pickle.loads(pickle.dumps(rows))):
        taken = found.take(asked)
        for name, column in columns().items():
            assert taken[name].dtype == column.dtype
            np.testing.assert_array_equal(taken[name], column[asked])


@pytest.mark.parametrize("index", [-1, COUNT])
def test_missing_rows(rows: BlockRows, index: int) -> None:
    with pytest.raises(IndexError, match=f"not all in 0 to {COUNT - 1}"):
        rows.take(np.array([5, index]))


def test_batches_are_fresh_arrays(rows: BlockRows) -> None:
    one, other = rows.take(np.arange(5)), rows.take(np.arange(5))
    assert one["dense"].flags.writeable
    one["dense"][...] = 0
    assert other["dense"].any()


def test_an_epoch_has_every_example_once_with_its_label(rows: BlockRows) -> None:
    reader = training(rows)
    assert (reader.num_examples, reader.num_batches) == (COUNT, None)
    batches = [reader.batch(k) for k in range(50)]
    for epoch in (batches[:25], batches[25:]):
        assert sorted(np.concatenate([batch["targets"] for batch in epoch])) == list(range(COUNT))
    for batch in batches:
        np.testing.assert_array_equal(batch["inputs"], columns()["dense"][batch["targets"]])
        assert batch["weights"].tolist() == [1.0] * 120
    assert not np.array_equal(batches[0]["targets"], batches[25]["targets"])
    assert not np.array_equal(batches[0]["targets"], training(rows, seed=2).batch(0)["targets"])


def test_any_batch_at_any_time_from_any_thread(data_dir: pathlib.Path, rows: BlockRows) -> None:
    expected = [training(rows).batch(k) for k in range(60)]
    asked = np.random.default_rng(0).permutation(np.repeat(np.arange(60), 3)).tolist()
    at_random = training(prepared.load(data_dir, SPEC).rows("train", group=GROUP))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for k, batch in zip(asked, pool.map(at_random.batch, asked), strict=True):
            for name, leaf in expected[k].items():
                np.testing.assert_array_equal(batch[name], leaf)


def test_processes_read_their_own_rows_from_few_blocks(data_dir: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = training(prepared.load(data_dir, SPEC).rows("train", group=GROUP)).batch(3)
    read, parts = counted_reads(monkeypatch), []
    for index in range(4):
        mine = prepared.load(data_dir, SPEC).rows("train", group=GROUP)
        before = len(read)
        parts.append(training(mine, Placement(index, 4, 8)).batch(3))
        assert len(read) - before <= 3  # the batch has rows of 4 blocks, or of 8 where a group ends
    for name, leaf in whole.items():
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), leaf)


def test_each_block_is_read_once_in_an_epoch_and_few_are_kept(rows: BlockRows, monkeypatch: pytest.MonkeyPatch) -> None:
    read = counted_reads(monkeypatch)
    reader = training(rows)
    for k in range(COUNT // 120):
        reader.batch(k)
        assert len(rows._kept) <= 2 * GROUP
    assert len(read) == len(rows.block_sizes) == 24


@pytest.mark.parametrize("devices", [1, 8])
def test_a_pass_gives_each_example_once_in_order(rows: BlockRows, devices: int) -> None:
    reader = block_rows.evaluation_split(
        rows, batch_size=256, placement=Placement(device_count=devices), transform=transform
    )
    assert (reader.num_examples, reader.num_batches) == (COUNT, 12)
    batches = [reader.batch(k) for k in range(12)]
    assert {len(batch["inputs"]) for batch in batches} == {256}
    seen = np.concatenate([batch["targets"][batch["weights"] == 1] for batch in batches])
    assert seen.tolist() == list(range(COUNT))


def test_a_sample_is_a_fixed_subset_of_whole_blocks(rows: BlockRows, monkeypatch: pytest.MonkeyPatch) -> None:
    def seen(placements: list[Placement]) -> list[int]:
        found: list[int] = []
        for k in range(5):
            for placement in placements:
                reader = block_rows.evaluation_split(
                    rows, batch_size=64, placement=placement, transform=transform, count=300
                )
                assert (reader.num_examples, reader.num_batches) == (300, 5)
                batch = reader.batch(k)
                found += batch["targets"][batch["weights"] == 1].tolist()
        return found

    read = counted_reads(monkeypatch)
    one = seen([Placement()])
    assert len(read) <= 4
    assert len(set(one)) == 300
    assert one == seen([Placement(0, 2, 2), Placement(1, 2, 2)])
    assert one != list(range(300))


def copied(data_dir: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """A copy of the data set that a test may damage."""
    (tmp_path / SPEC.name).mkdir()
    for path in (data_dir / SPEC.name).iterdir():
        (tmp_path / SPEC.name / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_damage_names_file_and_record(data_dir: pathlib.Path, tmp_path: pathlib.Path) -> None:
    folder = copied(data_dir, tmp_path)
    found = prepared.load(folder, SPEC).rows("train", group=GROUP)
    path = sorted((folder / SPEC.name).glob("train-*"))[1]
    content = bytearray(path.read_bytes())
    row = next(row for row in columns()["dense"][150:] if row.tobytes() in content)
    content[content.index(row.tobytes())] ^= 0xFF
    path.write_bytes(bytes(content))
    found.take(np.arange(100))
    for _ in range(2):
        with pytest.raises(DataError, match=rf"record \d+ of .*{path.name} is damaged.*prepare clicks.*--force"):
            found.take(np.arange(COUNT))


def edit_runs(folder: pathlib.Path, change: Any) -> None:
    path = folder / SPEC.name / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest["splits"]["train"]["files"])
    path.write_text(json.dumps(manifest))


def test_a_short_block_is_named(data_dir: pathlib.Path, tmp_path: pathlib.Path) -> None:
    def swap(files: list[dict[str, Any]]) -> None:
        assert files[0]["block_sizes"][0][1] == 150
        files[0]["block_sizes"] = [[1, 151], [1, 149], [files[0]["blocks"] - 2, 150]]

    folder = copied(data_dir, tmp_path)
    edit_runs(folder, swap)
    found = prepared.load(folder, SPEC).rows("train", group=GROUP)
    with pytest.raises(DataError, match=r"record 0 of .*train-00000-.*\[150\] rows.*expected 151 rows of dense"):
        found.take(np.array([3]))


def test_an_older_manifest_is_refused(data_dir: pathlib.Path, tmp_path: pathlib.Path) -> None:
    folder = copied(data_dir, tmp_path)
    edit_runs(folder, lambda files: [file.pop("block_sizes") for file in files])
    opened = prepared.load(folder, SPEC)
    assert len(opened.columns("train")["label"]) == COUNT
    with pytest.raises(DataError, match=r"number of examples in each block of train.*--force"):
        opened.rows("train", group=GROUP)


def test_ragged_columns_are_refused(tmp_path: pathlib.Path) -> None:
    ragged = Block(2, {"length": np.array([1, 2]), "token": np.arange(3)})
    prepared.write(tmp_path, SPEC, {"train": [ragged]}, source="a test")
    with pytest.raises(ValueError, match=r"\['token'\] of train do not have one row per example"):
        prepared.load(tmp_path, SPEC).rows("train", group=1)
    with pytest.raises(ValueError, match="a group has at least one block, not 0"):
        BlockRows((), np.array([1]), {}, group=0, remedy="")
