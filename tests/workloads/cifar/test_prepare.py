import io
import logging
import os
import pathlib
import pickle
import tarfile
from typing import Any, Literal

import numpy as np
import pytest

from algoperf_jax import prepare
from algoperf_jax.data import prepared
from algoperf_jax.errors import DataError
from workloads.cifar.prepare import DATASET, convert

TEST_DATA = os.environ.get("ALGOPERF_TEST_DATA")
NAMES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
PER_BATCH = 8
IMAGES = np.random.default_rng(0).integers(0, 256, (len(NAMES) * PER_BATCH, 32, 32, 3), dtype=np.uint8)
LABELS = (np.arange(len(IMAGES)) % 10).astype(np.uint8)
EXPECTED_ROWS = {"train": slice(0, 36), "validation": slice(36, 40), "test": slice(40, 48)}


def rows(name: str) -> tuple[np.ndarray, np.ndarray]:
    """The planes [n, 3072] and labels [n] of a batch."""
    start = NAMES.index(name) * PER_BATCH
    images, labels = IMAGES[start : start + PER_BATCH], LABELS[start : start + PER_BATCH]
    return images.transpose(0, 3, 1, 2).reshape(PER_BATCH, -1), labels


def binary_files() -> dict[str, bytes]:
    files = {}
    for name in NAMES:
        planes, labels = rows(name)
        files[f"{name}.bin"] = np.concatenate([labels[:, None], planes], axis=1).tobytes()
    return files


def python_files(protocol: int = 2) -> dict[str, bytes]:
    files = {}
    for name in NAMES:
        planes, labels = rows(name)
        files[name] = pickle.dumps({"data": planes, "labels": labels.tolist(), "batch_label": name}, protocol)
    return files


def store(folder: pathlib.Path, files: dict[str, bytes]) -> pathlib.Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def store_archive(path: pathlib.Path, files: dict[str, bytes], inside: str) -> None:
    modes: dict[str, Literal["w:gz", "w:xz"]] = {".gz": "w:gz", ".xz": "w:xz"}
    with tarfile.open(path, modes[path.suffix]) as archive:
        for name, content in {**files, "batches.meta": b"not read"}.items():
            member = tarfile.TarInfo(f"{inside}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def columns(folder: pathlib.Path, split: str) -> dict[str, np.ndarray]:
    blocks = list(convert(folder)[split])
    return {name: np.concatenate([block.columns[name] for block in blocks]) for name in blocks[0].columns}


def assert_all_splits(folder: pathlib.Path) -> None:
    for split, expected in EXPECTED_ROWS.items():
        found = columns(folder, split)
        np.testing.assert_array_equal(found["image"], IMAGES[expected])
        np.testing.assert_array_equal(found["label"], LABELS[expected])
        assert found["image"].dtype == found["label"].dtype == np.uint8


@pytest.mark.parametrize("subfolder", ["", "cifar-10-batches-bin"])
def test_binary_version(tmp_path: pathlib.Path, subfolder: str) -> None:
    store(tmp_path / subfolder, binary_files())
    assert_all_splits(tmp_path)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_python_version(tmp_path: pathlib.Path, protocol: int) -> None:
    store(tmp_path / "cifar-10-batches-py", python_files(protocol))
    assert_all_splits(tmp_path)


def test_python_version_as_python_2_wrote_it(tmp_path: pathlib.Path) -> None:
    # Byte strings have the opcodes U (shorter than 256) and T, and NumPy's core has its first name.
    planes, labels = rows("data_batch_1")
    state = b"(I1\n(I%d\nI3072\nt" % PER_BATCH
    dtype = b"cnumpy\ndtype\n(U\x02u1I0\nI1\ntR(I3\nU\x01|NNNI-1\nI-1\nI0\ntb"
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntU\x01btR"
    content = planes.tobytes()
    data = array + state + dtype + b"I00\nT" + len(content).to_bytes(4, "little") + content + b"tb"
    numbers = b"(" + b"".join(b"I%d\n" % label for label in labels) + b"l"
    written = b"\x80\x02(U\x04data" + data + b"U\x06labels" + numbers + b"d."
    store(tmp_path, {**python_files(), "data_batch_1": written})
    assert_all_splits(tmp_path)


@pytest.mark.parametrize(
    ("archive", "files", "inside"),
    [
        ("cifar-10-binary.tar.gz", binary_files(), "cifar-10-batches-bin"),
        ("cifar-10-binary-subset.tar.xz", binary_files(), "cifar-10-batches-bin"),
        ("cifar-10-python.tar.gz", python_files(), "cifar-10-batches-py"),
    ],
)
def test_archives(tmp_path: pathlib.Path, archive: str, files: dict[str, bytes], inside: str) -> None:
    store_archive(tmp_path / archive, files, inside)
    assert_all_splits(tmp_path)


def test_subset_is_announced(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    files = binary_files()
    del files["data_batch_2.bin"], files["data_batch_5.bin"]
    store(tmp_path, files)
    with caplog.at_level(logging.INFO):
        train = columns(tmp_path, "train")
    assert "absent: data_batch_2, data_batch_5" in caplog.text
    kept = np.r_[0:8, 16:29]
    np.testing.assert_array_equal(train["image"], IMAGES[kept])


def test_complete_set_is_not_called_a_subset(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    store(tmp_path, binary_files())
    with caplog.at_level(logging.INFO):
        convert(tmp_path)
    assert caplog.text == ""


def assert_refused(folder: pathlib.Path, *parts: str) -> None:
    with pytest.raises(DataError) as caught:
        convert(folder)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize("absent", [NAMES[:5], NAMES[5:], NAMES])
def test_needed_batches(tmp_path: pathlib.Path, absent: list[str]) -> None:
    files = {name: content for name, content in binary_files().items() if name.removesuffix(".bin") not in absent}
    assert_refused(store(tmp_path, files), str(tmp_path), "Needed are")


def test_truncated_binary_batch(tmp_path: pathlib.Path) -> None:
    files = binary_files()
    files["data_batch_3.bin"] = files["data_batch_3.bin"][:-1]
    assert_refused(store(tmp_path, files), "data_batch_3.bin", "a multiple of 3073 bytes")


def test_label_out_of_range(tmp_path: pathlib.Path) -> None:
    files = binary_files()
    files["test_batch.bin"] = b"\x0a" + files["test_batch.bin"][1:]
    assert_refused(store(tmp_path, files), "test_batch.bin", "expected 0 to 9")


@pytest.mark.parametrize(
    "batch",
    [
        {"data": np.zeros((2, 3072), np.uint8)},
        {"data": np.zeros((2, 3071), np.uint8), "labels": [0, 1]},
        {"data": np.zeros((2, 3072), np.float32), "labels": [0, 1]},
        {"data": np.zeros((2, 3072), np.uint8), "labels": [0, 1, 2]},
        {"data": np.zeros((2, 3072), np.uint8), "labels": [0, -1]},
        {"data": np.zeros((2, 3072), np.uint8), "labels": ["cat", "dog"]},
        ["data", "labels"],
    ],
)
def test_python_batch_of_another_form(tmp_path: pathlib.Path, batch: Any) -> None:
    store(tmp_path, {**python_files(), "data_batch_2": pickle.dumps(batch)})
    assert_refused(tmp_path, "data_batch_2")


def test_truncated_python_batch(tmp_path: pathlib.Path) -> None:
    files = python_files()
    files["data_batch_4"] = files["data_batch_4"][:-100]
    assert_refused(store(tmp_path, files), "data_batch_4", "Download it again")


def test_pickle_cannot_run_code(tmp_path: pathlib.Path) -> None:
    trace = tmp_path / "trace"

    class Attack:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(trace),)

    store(tmp_path, {**python_files(), "data_batch_1": pickle.dumps({"data": Attack(), "labels": []})})
    assert_refused(tmp_path, "data_batch_1", "mkdir has no place in a batch")
    assert not trace.exists()


@pytest.mark.parametrize("suffix", ["gz", "xz"])
def test_truncated_archive(tmp_path: pathlib.Path, suffix: str) -> None:
    path = tmp_path / f"cifar-10-binary.tar.{suffix}"
    store_archive(path, binary_files(), "cifar-10-batches-bin")
    content = path.read_bytes()
    for size in (0, len(content) // 3, len(content) - 40, len(content) - 1):
        path.write_bytes(content[:size])
        assert_refused(tmp_path, str(path), "cannot be unpacked")


@pytest.mark.parametrize("suffix", ["gz", "xz"])
def test_damaged_archive(tmp_path: pathlib.Path, suffix: str) -> None:
    path = tmp_path / f"cifar-10-binary.tar.{suffix}"
    store_archive(path, binary_files(), "cifar-10-batches-bin")
    content = bytearray(path.read_bytes())
    # Noise is stored nearly as it is, so that only the checksum of the archive can tell.
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert_refused(tmp_path, str(path), "cannot be unpacked")


@pytest.mark.skipif(TEST_DATA is None, reason="ALGOPERF_TEST_DATA is not set")
def test_real_subset(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = pathlib.Path(TEST_DATA or "") / "cifar10"
    assert prepare.main(["cifar", f"--data_dir={tmp_path}", f"--from={raw}"]) == 0
    data = prepared.load(tmp_path, DATASET)
    sizes = {split: data.num_examples(split) for split in data.splits}
    num_train = sizes["train"] + sizes["validation"]
    assert sizes["train"] == 9 * num_train // 10
    # The first images of the official training set show a frog, a truck, a truck, a deer and a car.
    assert data.columns("train")["label"][:5].tolist() == [6, 9, 9, 4, 1]
    # Nearly the published statistics of the whole set.
    mean = data.columns("train")["image"].mean(axis=(0, 1, 2)) / 255
    np.testing.assert_allclose(mean, [0.4914, 0.4822, 0.4465], atol=0.01)
