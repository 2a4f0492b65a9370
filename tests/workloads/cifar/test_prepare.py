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
from workloads.cifar import prepare as conversion
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


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "real" not in request.node.name:
        monkeypatch.setattr(conversion, "_IMAGES_PER_BATCH", PER_BATCH)


def store_archive(path: pathlib.Path, files: dict[str, bytes], inside: str) -> None:
    modes: dict[str, Literal["w:", "w:gz", "w:xz", "w:bz2"]] = {
        ".tar": "w:",
        ".gz": "w:gz",
        ".tgz": "w:gz",
        ".xz": "w:xz",
        ".bz2": "w:bz2",
    }
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
    # Byte strings have the opcodes U (shorter than 256) and T, and NumPy's core has its original name.
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
        ("cifar-10-python.tgz", python_files(), "cifar-10-batches-py"),
        ("cifar-10-binary.tar", binary_files(), "cifar-10-batches-bin"),
        ("cifar-10.tar.bz2", binary_files(), "."),
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
    assert "missing: data_batch_2, data_batch_5" in caplog.text
    kept = np.r_[0:8, 16:29]
    np.testing.assert_array_equal(train["image"], IMAGES[kept])


def test_complete_set_is_not_called_a_subset(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    store(tmp_path, binary_files())
    with caplog.at_level(logging.INFO):
        convert(tmp_path)
    assert caplog.text == ""


def test_batches_of_another_size_are_announced(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    files = binary_files()
    files["data_batch_3.bin"] = files["data_batch_3.bin"][: 5 * 3073]
    store(tmp_path, files)
    convert(tmp_path)
    assert "a batch of CIFAR-10 has 8 images, but here: data_batch_3 5; results are not comparable" in caplog.text


def fewer(files: dict[str, bytes], *absent: str) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if name.removesuffix(".bin") not in absent}


def shorter(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content[: 3073 * 2] for name, content in files.items()}


def relabelled() -> dict[str, bytes]:
    """Different data in the same format."""
    return {name: bytes([9 - content[0]]) + content[1:] for name, content in binary_files().items()}


@pytest.mark.parametrize(
    "partial",
    [
        fewer(binary_files(), "data_batch_3", "data_batch_4", "data_batch_5"),
        fewer(binary_files(), "test_batch"),
        shorter(binary_files()),
        {**binary_files(), "data_batch_1.bin": b"broken off"},
    ],
    ids=["batches missing", "no test batch", "fewer images", "broken off"],
)
@pytest.mark.parametrize("archive", [True, False])
def test_a_complete_set_is_preferred_to_a_partial_one(
    tmp_path: pathlib.Path, partial: dict[str, bytes], archive: bool
) -> None:
    store(tmp_path / "cifar-10-batches-bin", partial)
    if archive:
        store_archive(tmp_path / "cifar-10-python.tar.gz", python_files(), "cifar-10-batches-py")
    else:
        store(tmp_path / "cifar-10-batches-py", python_files())
    assert_all_splits(tmp_path)


def test_a_damaged_archive_next_to_a_complete_set_is_reported(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    store(tmp_path / "cifar-10-batches-py", python_files())
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(b"no archive")
    assert_all_splits(tmp_path)
    assert "left out: " in caplog.text
    assert "cifar-10-binary.tar.gz cannot be unpacked" in caplog.text


def test_copies_are_harmless(tmp_path: pathlib.Path) -> None:
    store(tmp_path / "cifar-10-batches-bin", binary_files())
    store(tmp_path / "cifar-10-batches-py", python_files())
    store(tmp_path / "backup" / "cifar-10-batches-py", python_files())
    store_archive(tmp_path / "cifar-10-binary.tar.gz", binary_files(), "cifar-10-batches-bin")
    assert_all_splits(tmp_path)


@pytest.mark.parametrize("files", [relabelled(), fewer(relabelled(), "data_batch_2")], ids=["whole", "in part"])
def test_sets_that_differ_are_refused(tmp_path: pathlib.Path, files: dict[str, bytes]) -> None:
    own = binary_files() if len(files) == len(NAMES) else fewer(binary_files(), "data_batch_2")
    store(tmp_path / "a", own)
    store(tmp_path / "b", files)
    assert_refused(tmp_path, f"{tmp_path}/a/*.bin: data_batch_1", f"{tmp_path}/b/*.bin", "--from=FOLDER")


def test_parts_of_two_sets_are_not_mixed(tmp_path: pathlib.Path) -> None:
    store(tmp_path / "a", fewer(binary_files(), "test_batch"))
    store(tmp_path / "b", fewer(relabelled(), *NAMES[1:5]))
    assert_refused(tmp_path, f"{tmp_path}/a/*.bin", f"{tmp_path}/b/*.bin: data_batch_1, test_batch")


def test_batches_in_several_folders(tmp_path: pathlib.Path) -> None:
    store(tmp_path / "train", fewer(binary_files(), "test_batch"))
    store(tmp_path / "test", fewer(binary_files(), *NAMES[:5]))
    assert_all_splits(tmp_path)


def test_a_batch_twice_in_an_archive(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "cifar-10-binary.tar"
    for second, refused in ((binary_files(), False), (relabelled(), True)):
        store_archive(path, binary_files(), "cifar-10-batches-bin")
        with tarfile.open(path, "a") as archive:
            member = tarfile.TarInfo("cifar-10-batches-bin/data_batch_2.bin")
            member.size = len(second["data_batch_2.bin"])
            archive.addfile(member, io.BytesIO(second["data_batch_2.bin"]))
        if refused:
            assert_refused(tmp_path, f"{path} contains cifar-10-batches-bin/data_batch_2.bin twice")
        else:
            assert_all_splits(tmp_path)


def test_both_versions_in_one_archive(tmp_path: pathlib.Path) -> None:
    store_archive(tmp_path / "cifar-10.tar", {**fewer(binary_files(), "data_batch_2"), **python_files()}, "cifar10")
    assert_all_splits(tmp_path)


def test_what_is_not_cifar_10_is_ignored(tmp_path: pathlib.Path) -> None:
    """CIFAR-100, an interrupted download, and files left behind by programs."""
    store(tmp_path / "cifar-10-batches-bin", binary_files())
    store(tmp_path / ".ipynb_checkpoints", relabelled())
    store(tmp_path / "__MACOSX" / "cifar-10-batches-bin", relabelled())
    store_archive(tmp_path / "cifar-100-python.tar.gz", {"train": b"", **relabelled()}, "cifar-100-python")
    (tmp_path / "cifar-10-binary.tar.gz.part").write_bytes(b"broken off")
    assert_all_splits(tmp_path)


def assert_refused(folder: pathlib.Path, *parts: str) -> None:
    with pytest.raises(DataError) as caught:
        convert(folder)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize("absent", [NAMES[:5], NAMES[5:], NAMES])
def test_needed_batches(tmp_path: pathlib.Path, absent: list[str]) -> None:
    files = {name: content for name, content in binary_files().items() if name.removesuffix(".bin") not in absent}
    assert_refused(store(tmp_path, files), str(tmp_path), "Provide data_batch_1")


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
    assert_refused(tmp_path, "data_batch_1", "mkdir is not allowed in a batch")
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
    # Noise is stored almost uncompressed, so that only the checksum of the archive shows the damage.
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
    # Close to the published statistics of the whole set.
    mean = data.columns("train")["image"].mean(axis=(0, 1, 2)) / 255
    np.testing.assert_allclose(mean, [0.4914, 0.4822, 0.4465], atol=0.01)
