import gzip
import hashlib
import logging
import os
import pathlib
import struct

import numpy as np
import pytest

from algoperf_jax import prepare
from algoperf_jax.data import prepared
from algoperf_jax.errors import DataError
from workloads.mnist import prepare as conversion
from workloads.mnist.prepare import DATASET, convert

TEST_DATA = os.environ.get("ALGOPERF_TEST_DATA")
IMAGES = np.random.default_rng(0).integers(0, 256, (90, 28, 28), dtype=np.uint8)
LABELS = (np.arange(90) % 10).astype(np.uint8)


def idx(array: np.ndarray, *, magic: int | None = None) -> bytes:
    header = [0x0800 + array.ndim if magic is None else magic, *array.shape]
    return struct.pack(f">{len(header)}I", *header) + array.tobytes()


def raw_files() -> dict[str, bytes]:
    return {
        "train-images-idx3-ubyte": idx(IMAGES[:60]),
        "train-labels-idx1-ubyte": idx(LABELS[:60]),
        "t10k-images-idx3-ubyte": idx(IMAGES[60:]),
        "t10k-labels-idx1-ubyte": idx(LABELS[60:]),
    }


def store(folder: pathlib.Path, files: dict[str, bytes], *, compressed: bool = True) -> pathlib.Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if compressed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    return folder


def columns(folder: pathlib.Path, split: str) -> dict[str, np.ndarray]:
    blocks = list(convert(folder)[split])
    return {name: np.concatenate([block.columns[name] for block in blocks]) for name in blocks[0].columns}


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("subfolder", ["", "MNIST/raw"])
def test_splits(tmp_path: pathlib.Path, compressed: bool, subfolder: str) -> None:
    store(tmp_path / subfolder, raw_files(), compressed=compressed)
    for split, rows in (("train", slice(0, 50)), ("validation", slice(50, 60)), ("test", slice(60, 90))):
        found = columns(tmp_path, split)
        np.testing.assert_array_equal(found["image"], IMAGES[rows, :, :, None])
        np.testing.assert_array_equal(found["label"], LABELS[rows])
        assert found["image"].dtype == found["label"].dtype == np.uint8


def assert_refused(folder: pathlib.Path, file: str, reason: str) -> None:
    with pytest.raises(DataError) as caught:
        convert(folder)
    assert file in str(caught.value)
    assert reason in str(caught.value)


@pytest.mark.parametrize("name", raw_files())
def test_missing_file(tmp_path: pathlib.Path, name: str) -> None:
    files = raw_files()
    del files[name]
    assert_refused(store(tmp_path, files), name, "is missing")


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("name", raw_files())
def test_truncated_file(tmp_path: pathlib.Path, name: str, compressed: bool) -> None:
    store(tmp_path, raw_files(), compressed=compressed)
    path = tmp_path / (f"{name}.gz" if compressed else name)
    path.write_bytes(path.read_bytes()[:-5])
    assert_refused(tmp_path, str(path), "cannot be read" if compressed else "size of")


@pytest.mark.parametrize("content", [b"", b"\0\0\x08", idx(IMAGES[:60]) + b"\0"])
def test_wrong_size(tmp_path: pathlib.Path, content: bytes) -> None:
    name = "train-images-idx3-ubyte"
    assert_refused(store(tmp_path, {**raw_files(), name: content}), name, "size of")


@pytest.mark.parametrize("content", [idx(IMAGES[:60], magic=2049), idx(IMAGES[:60], magic=0x0D03)])
def test_bad_magic_number(tmp_path: pathlib.Path, content: bytes) -> None:
    name = "train-images-idx3-ubyte"
    assert_refused(store(tmp_path, {**raw_files(), name: content}), name, "expected 2051")


def test_not_gzip(tmp_path: pathlib.Path) -> None:
    store(tmp_path, raw_files())
    path = tmp_path / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(b"<html>not found</html>")
    assert_refused(tmp_path, str(path), "Download it again")


def test_damaged_gzip(tmp_path: pathlib.Path) -> None:
    store(tmp_path, raw_files())
    path = tmp_path / "train-images-idx3-ubyte.gz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    path.write_bytes(content)
    assert_refused(tmp_path, str(path), "cannot be read")


def test_count_mismatch(tmp_path: pathlib.Path) -> None:
    files = {**raw_files(), "train-labels-idx1-ubyte": idx(LABELS[:59])}
    assert_refused(store(tmp_path, files), "train-labels-idx1-ubyte", "found 59; expected 60")


def test_label_out_of_range(tmp_path: pathlib.Path) -> None:
    files = {**raw_files(), "t10k-labels-idx1-ubyte": idx(LABELS[60:] + 1)}
    assert_refused(store(tmp_path, files), "t10k-labels-idx1-ubyte", "found 10")


def test_other_image_size(tmp_path: pathlib.Path) -> None:
    files = {**raw_files(), "t10k-images-idx3-ubyte": idx(IMAGES[60:, :20])}
    assert_refused(store(tmp_path, files), "t10k-images-idx3-ubyte", "(20, 28)")


@pytest.fixture
def genuine(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Small files that are treated as those of MNIST."""
    files = raw_files()
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    monkeypatch.setattr(conversion, "_UNPACKED", digests)
    return files


def other_files() -> dict[str, bytes]:
    """Files of the same names and format, like those of FashionMNIST."""
    return {**raw_files(), "train-images-idx3-ubyte": idx(255 - IMAGES[:60])}


# Names that sort before and after that of MNIST, and deeper and less deep folders.
@pytest.mark.parametrize("other", ["FashionMNIST/raw", "zalando", "."])
@pytest.mark.parametrize("compressed", [True, False])
def test_mnist_is_chosen_by_its_checksums(
    tmp_path: pathlib.Path,
    genuine: dict[str, bytes],
    other: str,
    compressed: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    store(tmp_path / other, other_files(), compressed=not compressed)
    store(tmp_path / "MNIST" / "raw", genuine, compressed=compressed)
    with caplog.at_level(logging.INFO):
        np.testing.assert_array_equal(columns(tmp_path, "train")["image"], IMAGES[:50, :, :, None])
    assert caplog.text == ""


def test_a_damaged_set_next_to_mnist_is_harmless(tmp_path: pathlib.Path, genuine: dict[str, bytes]) -> None:
    store(tmp_path / "MNIST", genuine)
    store(tmp_path / "A", other_files())
    (tmp_path / "A" / "t10k-labels-idx1-ubyte.gz").write_bytes(b"no gzip")
    np.testing.assert_array_equal(columns(tmp_path, "train")["image"], IMAGES[:50, :, :, None])


def test_several_sets_that_are_not_mnist_are_refused(tmp_path: pathlib.Path) -> None:
    store(tmp_path / "FashionMNIST", other_files())
    store(tmp_path / "KMNIST", raw_files(), compressed=False)
    assert_refused(tmp_path, f"['{tmp_path}/FashionMNIST: 4 files', '{tmp_path}/KMNIST: 4 files']", "--from=FOLDER")


def test_another_set_does_not_stand_in_for_an_incomplete_one(tmp_path: pathlib.Path, genuine: dict[str, bytes]) -> None:
    del genuine["t10k-labels-idx1-ubyte"]
    store(tmp_path / "MNIST", genuine)
    store(tmp_path / "FashionMNIST", other_files())
    assert_refused(tmp_path, f"{tmp_path}/MNIST: 3 files", "one set of four files")


def test_files_of_two_incomplete_sets_are_not_mixed(tmp_path: pathlib.Path) -> None:
    files, others = raw_files(), other_files()
    del files["t10k-labels-idx1-ubyte"], others["train-labels-idx1-ubyte"]
    store(tmp_path / "MNIST", files)
    store(tmp_path / "FashionMNIST", others)
    assert_refused(tmp_path, f"{tmp_path}/FashionMNIST/train-images-idx3-ubyte.gz and {tmp_path}/MNIST", "differ")


def test_copies_are_harmless(tmp_path: pathlib.Path) -> None:
    """As torchvision stores them, and from archives that put each file into a folder of the same name."""
    store(tmp_path / "raw", raw_files())
    store(tmp_path / "raw", raw_files(), compressed=False)
    for name, content in raw_files().items():
        store(tmp_path / name, {name: content}, compressed=False)
    np.testing.assert_array_equal(columns(tmp_path, "test")["label"], LABELS[60:])


def test_a_packed_file_that_differs_from_the_unpacked_one(tmp_path: pathlib.Path) -> None:
    store(tmp_path, raw_files())
    store(tmp_path, other_files(), compressed=False)
    assert_refused(tmp_path, "train-images-idx3-ubyte and", "train-images-idx3-ubyte.gz differ")


@pytest.mark.parametrize("layout", ["each in a folder", "with dots"])
def test_other_layouts(tmp_path: pathlib.Path, layout: str) -> None:
    for name, content in raw_files().items():
        if layout == "with dots":
            store(tmp_path, {name.replace("-idx", ".idx"): content}, compressed=False)
        else:
            store(tmp_path / name, {name: content}, compressed=False)
    np.testing.assert_array_equal(columns(tmp_path, "test")["label"], LABELS[60:])


def test_files_left_behind_by_programs_are_ignored(tmp_path: pathlib.Path) -> None:
    store(tmp_path / "raw", raw_files())
    store(tmp_path / ".ipynb_checkpoints", other_files())
    store(tmp_path / "__MACOSX" / "raw", other_files())
    np.testing.assert_array_equal(columns(tmp_path, "train")["image"], IMAGES[:50, :, :, None])


def test_other_data_than_mnist_are_announced(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    store(tmp_path / "KMNIST", raw_files())
    convert(tmp_path)
    (message,) = [record.getMessage() for record in caplog.records]
    assert f"the files in {tmp_path}/KMNIST are not those of MNIST (60 training and 30 test images; " in message
    assert "MNIST has 60,000 and 10,000" in message
    assert "not comparable" in message


@pytest.mark.skipif(TEST_DATA is None, reason="ALGOPERF_TEST_DATA is not set")
def test_real_files(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    raw = pathlib.Path(TEST_DATA or "") / "mnist"
    assert prepare.main(["mnist", f"--data_dir={tmp_path}", f"--from={raw}"]) == 0
    assert "not those of MNIST" not in caplog.text
    data = prepared.load(tmp_path, DATASET)
    assert {split: data.num_examples(split) for split in data.splits} == {
        "train": 50_000,
        "validation": 10_000,
        "test": 10_000,
    }
    official = gzip.decompress((raw / "train-images-idx3-ubyte.gz").read_bytes())[16:]
    images = np.concatenate([data.columns(split)["image"] for split in ("train", "validation")])
    assert images.shape == (60_000, 28, 28, 1)
    assert images.tobytes() == official
    assert data.columns("train")["label"][:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert data.columns("test")["label"][:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
