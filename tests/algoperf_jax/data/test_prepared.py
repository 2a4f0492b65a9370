import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from algoperf_jax.data import blocks, prepared
from algoperf_jax.data.prepared import Block, DatasetSpec
from algoperf_jax.errors import DataError

SPEC = DatasetSpec("mnist", "1.0.0")
REMEDY = "python -m algoperf_jax.prepare mnist --data_dir={}"


def ragged_block(seed: int, num_examples: int) -> Block:
    generator = np.random.default_rng(seed)
    num_nodes = generator.integers(0, 5, num_examples).astype(np.int32)
    return Block(
        num_examples,
        {
            "num_nodes": num_nodes,
            "node_features": generator.standard_normal((num_nodes.sum(), 9)).astype(np.float32),
            "valid": generator.integers(0, 2, (num_examples, 2)).astype(bool),
        },
    )


def ragged_blocks() -> list[Block]:
    empty = Block(
        2,
        {
            "num_nodes": np.zeros(2, np.int32),
            "node_features": np.zeros((0, 9), np.float32),
            "valid": np.ones((2, 2), bool),
        },
    )
    return [ragged_block(0, 7), empty, ragged_block(1, 1), ragged_block(2, 30)]


def write_images(data_dir: pathlib.Path, spec: DatasetSpec = SPEC) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    columns = {
        "image": generator.integers(0, 256, (100, 8, 8, 1), dtype=np.uint8),
        "label": np.arange(100, dtype=np.uint8),
    }
    splits = {"train": prepared.in_blocks(columns, max_bytes=1000), "test": prepared.in_blocks(columns)}
    prepared.write(data_dir, spec, splits, source="a test")
    return columns


def only_file(data_dir: pathlib.Path, split: str) -> pathlib.Path:
    (path,) = (data_dir / SPEC.name).glob(f"{split}-*")
    return path


def edit_manifest(data_dir: pathlib.Path, old: str, new: str) -> None:
    path = data_dir / SPEC.name / "manifest.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_columns_come_back_concatenated(tmp_path: pathlib.Path) -> None:
    expected = ragged_blocks()
    prepared.write(tmp_path, SPEC, {"train": iter(expected)}, source="a test")
    columns = prepared.load(tmp_path, SPEC).columns("train")
    assert set(columns) == set(expected[0].columns)
    for name, column in columns.items():
        joined = np.concatenate([block.columns[name] for block in expected])
        np.testing.assert_array_equal(column, joined)
        assert column.dtype == joined.dtype


@pytest.mark.parametrize("max_file_bytes", [1, 500, 1 << 28])
def test_number_of_files_does_not_matter(tmp_path: pathlib.Path, max_file_bytes: int) -> None:
    expected = ragged_blocks()
    prepared.write(tmp_path, SPEC, {"train": expected}, source="a test", max_file_bytes=max_file_bytes)
    files = sorted(path.name for path in (tmp_path / "mnist").glob("train-*"))
    assert all(name.endswith(f"-of-{len(files):05d}.array_record") for name in files)
    assert len(files) == {1: 4, 500: 2, 1 << 28: 1}[max_file_bytes]
    joined = np.concatenate([block.columns["node_features"] for block in expected])
    np.testing.assert_array_equal(prepared.load(tmp_path, SPEC).columns("train")["node_features"], joined)


def test_sizes_and_description(tmp_path: pathlib.Path) -> None:
    write_images(tmp_path)
    data = prepared.load(tmp_path, SPEC)
    assert data.splits == ("train", "test")
    assert data.num_examples("train") == data.num_examples("test") == 100
    description = data.describe()
    assert description["version"] == "1.0.0"
    assert description["source"] == "a test"
    assert description["split_sizes"] == {"train": 100, "test": 100}
    assert set(description["sha256"]) == {path.name for path in (tmp_path / "mnist").glob("*.array_record")}
    json.dumps(description)


def test_facts_are_asked_for_after_the_blocks_and_kept(tmp_path: pathlib.Path) -> None:
    counted = []

    def blocks() -> Iterator[Block]:
        counted.append(3)
        yield Block(3, {"x": np.arange(3)})

    prepared.write(tmp_path, SPEC, {"train": blocks()}, source="a test", facts=lambda: {"pairs": list(counted)})
    data = prepared.load(tmp_path, SPEC)
    assert data.facts == {"pairs": [3]}
    assert data.describe()["facts"] == {"pairs": [3]}
    prepared.write(tmp_path, SPEC, {"train": blocks()}, source="a test")
    assert not prepared.load(tmp_path, SPEC).facts


def test_big_endian_and_strided_columns(tmp_path: pathlib.Path) -> None:
    column = np.arange(24, dtype=">i4").reshape(4, 6)[:, ::2]
    prepared.write(tmp_path, SPEC, {"train": [Block(4, {"x": column})]}, source="a test")
    loaded = prepared.load(tmp_path, SPEC).columns("train")["x"]
    assert loaded.dtype == np.int32
    np.testing.assert_array_equal(loaded, column)


def test_writing_twice_gives_the_same_bytes(tmp_path: pathlib.Path) -> None:
    write_images(tmp_path / "first")
    write_images(tmp_path / "second")
    for path in (tmp_path / "first" / "mnist").iterdir():
        assert path.read_bytes() == (tmp_path / "second" / "mnist" / path.name).read_bytes()


def test_columns_are_read_once_and_shared_by_threads(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_images(tmp_path)
    data = prepared.load(tmp_path, SPEC)
    reads: list[pathlib.Path] = []
    original = blocks.read

    def counting(path: pathlib.Path, count: int, *, remedy: str) -> Iterator[Block]:
        reads.append(path)
        return original(path, count, remedy=remedy)

    monkeypatch.setattr(blocks, "read", counting)
    images: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: images.append(data.columns("train")["image"])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(images) == 8
    assert all(image is images[0] for image in images)
    assert len(reads) == 1
    with pytest.raises(ValueError, match="read-only"):
        images[0][0] = 1


def test_missing_data_name_the_command(tmp_path: pathlib.Path) -> None:
    with pytest.raises(DataError) as caught:
        prepared.load(tmp_path / "my data", SPEC)
    path = tmp_path / "my data"
    assert str(caught.value).endswith(f"Run: python -m algoperf_jax.prepare mnist '--data_dir={path}'")


def test_only_a_prepared_data_set_may_be_replaced(tmp_path: pathlib.Path) -> None:
    prepared.check_replaceable(tmp_path, SPEC)
    (tmp_path / "mnist").mkdir()
    prepared.check_replaceable(tmp_path, SPEC)
    (tmp_path / "mnist" / "train-images.gz").touch()
    with pytest.raises(DataError, match=r"mnist is not a prepared data set, .*choose another --data_dir"):
        prepared.check_replaceable(tmp_path, SPEC)
    write_images(tmp_path, SPEC)
    prepared.check_replaceable(tmp_path, SPEC)


def test_other_version_names_both(tmp_path: pathlib.Path) -> None:
    write_images(tmp_path, DatasetSpec("mnist", "0.9.0"))
    with pytest.raises(DataError, match=r"'0\.9\.0'; expected 1\.0\.0\. Run: python -m algoperf_jax\.prepare mnist"):
        prepared.load(tmp_path, SPEC)


def test_other_data_set(tmp_path: pathlib.Path) -> None:
    write_images(tmp_path)
    edit_manifest(tmp_path, '"dataset": "mnist"', '"dataset": "cifar"')
    with pytest.raises(DataError, match="'cifar'; expected mnist"):
        prepared.load(tmp_path, SPEC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"format": 1}',
        '{"format": 1, "dataset": "mnist", "version": "1.0.0", "splits": 3}',
    ],
)
def test_damaged_manifest(tmp_path: pathlib.Path, text: str) -> None:
    write_images(tmp_path)
    (tmp_path / "mnist" / "manifest.json").write_text(text)
    with pytest.raises(DataError, match=r"manifest\.json is damaged.*algoperf_jax\.prepare"):
        prepared.load(tmp_path, SPEC)


def test_manifest_of_a_later_format(tmp_path: pathlib.Path) -> None:
    write_images(tmp_path)
    edit_manifest(tmp_path, '"format": 1', '"format": 2')
    with pytest.raises(DataError, match=r"format of .*found 2; expected 1"):
        prepared.load(tmp_path, SPEC)


def test_absent_file_is_named(tmp_path: pathlib.Path) -> None:
    write_images(tmp_path)
    path = only_file(tmp_path, "test")
    path.unlink()
    with pytest.raises(DataError) as caught:
        prepared.load(tmp_path, SPEC)
    assert str(path) in str(caught.value)
    assert REMEDY.format(tmp_path) in str(caught.value)


def test_short_file_is_named(tmp_path: pathlib.Path) -> None:
    write_images(tmp_path)
    path = only_file(tmp_path, "train")
    os.truncate(path, path.stat().st_size - 1000)
    with pytest.raises(DataError, match=f"size of {path}: found .*expected "):
        prepared.load(tmp_path, SPEC)


def test_file_that_shrinks_after_opening_is_named(tmp_path: pathlib.Path) -> None:
    write_images(tmp_path)
    data = prepared.load(tmp_path, SPEC)
    path = only_file(tmp_path, "train")
    os.truncate(path, 10)
    with pytest.raises(DataError, match=f"size of {path}"):
        data.columns("train")


def flip_byte(path: pathlib.Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 0xFF
    path.write_bytes(content)


def test_damage_names_file_and_record(tmp_path: pathlib.Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3, 300_000), dtype=np.uint8)
    prepared.write(tmp_path, SPEC, {"train": [Block(1, {"x": row[None]}) for row in noise]}, source="a test")
    path = only_file(tmp_path, "train")
    # Records are stored in order and noise does not compress: the second is near byte 450,000.
    flip_byte(path, 450_000)
    data = prepared.load(tmp_path, SPEC)
    with pytest.raises(DataError) as caught:
        data.columns("train")
    assert f"record 1 of {path} is damaged" in str(caught.value)
    assert str(caught.value).endswith(REMEDY.format(tmp_path) + " --force")


def test_damage_anywhere_is_noticed(tmp_path: pathlib.Path) -> None:
    write_images(tmp_path)
    path = only_file(tmp_path, "train")
    intact = path.read_bytes()
    for position in np.linspace(0, len(intact) - 1, 40).astype(int):
        flip_byte(path, int(position))
        with pytest.raises(DataError, match=str(path)):
            prepared.load(tmp_path, SPEC).columns("train")
        path.write_bytes(intact)
    assert len(prepared.load(tmp_path, SPEC).columns("train")["label"]) == 100


@pytest.mark.parametrize("content", [b"", b"text", os.urandom(100_000)])
def test_foreign_file_is_named(tmp_path: pathlib.Path, content: bytes) -> None:
    path = tmp_path / "x.array_record"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"{path} is damaged"):
        list(blocks.read(path, 1, remedy=""))


def test_manifest_that_disagrees_with_the_records(tmp_path: pathlib.Path) -> None:
    prepared.write(tmp_path, SPEC, {"train": [Block(3, {"x": np.zeros((3, 2))})]}, source="a test")
    manifest = tmp_path / "mnist" / "manifest.json"
    original = manifest.read_text()
    for name, shape in (("x", [4, 2]), ("x", [2, 2]), ("x", [3, 5]), ("y", [3, 2])):
        content = json.loads(original)
        content["splits"]["train"]["columns"] = {name: {"dtype": "<f8", "shape": shape}}
        manifest.write_text(json.dumps(content))
        with pytest.raises(DataError, match=r"manifest\.json"):
            prepared.load(tmp_path, SPEC).columns("train")


@pytest.mark.parametrize("position", [0, 4, 8, 12, 40, -1])
def test_record_checksum_covers_every_part(position: int) -> None:
    record = bytearray(blocks._encode(ragged_block(0, 5)))
    assert blocks._decode(bytes(record)).num_examples == 5
    record[position] ^= 0xFF
    with pytest.raises(ValueError, match=r"CRC-32|not a block"):
        blocks._decode(bytes(record))
    with pytest.raises(ValueError, match="truncated"):
        blocks._decode(b"APB1")


def test_failed_conversion_leaves_nothing_behind(tmp_path: pathlib.Path) -> None:
    def failing() -> Iterator[Block]:
        yield ragged_block(0, 3)
        raise DataError("the raw file is damaged")

    with pytest.raises(DataError, match="the raw file is damaged"):
        prepared.write(tmp_path, SPEC, {"train": failing()}, source="a test")
    assert list(tmp_path.iterdir()) == []


def test_failed_conversion_keeps_the_old_data(tmp_path: pathlib.Path) -> None:
    images = write_images(tmp_path)["image"]
    with pytest.raises(DataError, match="'train' has no examples"):
        prepared.write(tmp_path, DatasetSpec("mnist", "2.0.0"), {"train": []}, source="a test")
    np.testing.assert_array_equal(prepared.load(tmp_path, SPEC).columns("train")["image"], images)


def test_new_version_replaces_the_old_one(tmp_path: pathlib.Path) -> None:
    write_images(tmp_path)
    newer = DatasetSpec("mnist", "2.0.0")
    prepared.write(tmp_path, newer, {"train": [ragged_block(0, 3)]}, source="a test")
    assert prepared.load(tmp_path, newer).splits == ("train",)
    assert [path.name for path in tmp_path.iterdir()] == ["mnist"]


def test_killed_preparation_does_not_look_complete(tmp_path: pathlib.Path) -> None:
    program = """
import os, signal, sys
import numpy as np
from algoperf_jax.data.prepared import Block, DatasetSpec, write
def blocks():
    for _ in range(3):
        yield Block(1, {"x": np.zeros((1, 100_000))})
    os.kill(os.getpid(), signal.SIGKILL)
write(sys.argv[1], DatasetSpec("mnist", "1.0.0"), {"train": blocks()}, source="a test")
"""
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    with pytest.raises(DataError, match="no prepared mnist data"):
        prepared.load(tmp_path, SPEC)
    write_images(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mnist"]


@pytest.fixture
def file_size_limit() -> Iterator[None]:
    """Makes writing fail beyond one megabyte, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("file_size_limit")
@pytest.mark.parametrize("num_blocks", [2, 12])
def test_disk_errors(tmp_path: pathlib.Path, num_blocks: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1, 700_000), dtype=np.uint8)
    with pytest.raises(DataError, match=r"File too large\); the partial output was removed"):
        prepared.write(tmp_path, SPEC, {"train": [Block(1, {"x": noise})] * num_blocks}, source="a test")
    assert list(tmp_path.iterdir()) == []


def test_data_dir_that_is_a_file(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"preparing mnist in .*file failed"):
        prepared.write(tmp_path / "file", SPEC, {"train": [ragged_block(0, 3)]}, source="a test")


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"x": np.array(["a"])}, "cannot be stored"),
        ({"x": np.array([None])}, "cannot be stored"),
        ({"x": np.array(1.0)}, "cannot be stored"),
        ({"y": np.zeros(1)}, "differ in their columns"),
        ({"x": np.zeros((1, 3))}, "differ in their columns"),
        ({"x": np.zeros(1, np.float32)}, "differ in their columns"),
    ],
)
def test_columns_that_do_not_fit(tmp_path: pathlib.Path, columns: dict[str, np.ndarray], reason: str) -> None:
    first = Block(1, {"x": np.zeros(1)})
    with pytest.raises(ValueError, match=reason):
        prepared.write(tmp_path, SPEC, {"train": [first, Block(1, columns)]}, source="a test")


def test_blocks_are_cut_by_size() -> None:
    column = np.arange(10_000, dtype=np.int32)
    pieces = list(prepared.in_blocks({"x": column, "y": column}, max_bytes=8 * 3000))
    assert [piece.num_examples for piece in pieces] == [3000, 3000, 3000, 1000]
    np.testing.assert_array_equal(np.concatenate([piece.columns["y"] for piece in pieces]), column)
    assert [piece.num_examples for piece in prepared.in_blocks({"x": column[:2]}, max_bytes=1)] == [1, 1]


def test_reading_does_not_import_tensorflow_or_torch() -> None:
    program = "import sys, algoperf_jax.data.prepared; print({'tensorflow', 'torch', 'jax'} & set(sys.modules))"
    finished = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert finished.stdout.strip() == "set()"
