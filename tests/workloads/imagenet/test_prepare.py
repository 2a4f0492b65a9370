"""Raw images of every kind become records; problems with them are reported."""

import io
import logging
import pathlib
import tarfile

import numpy as np
import pytest
from scipy import io as scipy_io

from algoperf_jax import prepare as command
from algoperf_jax.data import prepared
from algoperf_jax.errors import ConfigError, DataError
from algoperf_jax.workload import Placement
from tests.workloads.imagenet.images import encoded, smooth
from workloads.imagenet.data import open_data
from workloads.imagenet.decoding import decode
from workloads.imagenet.prepare import DATASET, convert
from workloads.imagenet.stored import StoredImages

CLASSES = ("n01", "n02", "n03")


def image(seed: int, height: int = 90, width: int = 120) -> bytes:
    return encoded(smooth(height, width, seed))


def write_tree(folder: pathlib.Path, classes: tuple[str, ...] = CLASSES, count: int = 4) -> None:
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for index in range(count):
            (folder / name / f"{name}_{index}.JPEG").write_bytes(image(10 * number + index))


def write_tar(path: pathlib.Path, files: dict[str, bytes], mode: str = "w") -> None:
    with tarfile.open(path, mode) as archive:  # pyright: ignore[reportCallIssue, reportArgumentType] -- a mode
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "raw"
    for split in ("train", "val", "test"):
        write_tree(folder / split)
    return folder


def prepare(raw: pathlib.Path, data_dir: pathlib.Path, **options: str) -> StoredImages:
    splits = convert(raw, **options)
    prepared.write(data_dir, DATASET, splits, source="a test")
    return StoredImages(str(data_dir), len(CLASSES))


def test_tree(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tree / "train" / "n01" / "README.txt").write_text("no image")
    stored = prepare(tree, tmp_path / "data")
    for split in ("train", "validation", "test"):
        assert stored.columns(split)["label"].tolist() == [0] * 4 + [1] * 4 + [2] * 4
    files = stored.examples("train")
    for index in (11, 0, 5):
        assert files.read(index).content == image(10 * (index // 4) + index % 4)
    assert files.read(5).name == "train/n02/n02_1.JPEG"
    assert stored.describe()["split_sizes"] == {"train": 12, "validation": 12, "test": 12}


def test_batches_of_prepared_images(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    prepare(tree, tmp_path / "data")
    opened = open_data(
        str(tmp_path / "data"),
        image_size=32,
        num_classes=3,
        num_eval_train=6,
        split_sizes={},
        augmentation="resnet",
    )
    assert opened.origin == "prepared"
    assert opened.with_workers is not None
    batches = [
        opened.with_workers(workers).open("train", batch_size=12, seed=0, placement=Placement()).batch(1)
        for workers in (0, 1)
    ]
    np.testing.assert_array_equal(batches[0]["inputs"], batches[1]["inputs"])
    assert sorted(batches[0]["targets"].tolist()) == [0] * 4 + [1] * 4 + [2] * 4


def test_original_archives(tmp_path: pathlib.Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    inner: dict[str, bytes] = {}
    for number, name in reversed(list(enumerate(CLASSES))):
        path = tmp_path / f"{name}.tar"
        write_tar(path, {f"{name}_{index}.JPEG": image(10 * number + index) for index in range(2)})
        inner[path.name] = path.read_bytes()
    write_tar(raw / "ILSVRC2012_img_train.tar", inner)
    write_tar(
        raw / "ILSVRC2012_img_val.tar", {f"ILSVRC2012_val_{index + 1:08d}.JPEG": image(index) for index in range(3)}
    )
    with pytest.raises(DataError, match=r"has no labels.*devkit_t12\.tar\.gz is missing"):
        convert(raw)
    # The kit numbers the classes in its own order, and also lists inner nodes of the hierarchy.
    synsets = np.array(
        [(1, "n02", 0), (2, "n03", 0), (3, "n01", 0), (4, "n00", 3)],
        dtype=[("ILSVRC2012_ID", "O"), ("WNID", "O"), ("num_children", "O")],
    )
    kit = io.BytesIO()
    scipy_io.savemat(kit, {"synsets": synsets})
    truth = b"3\n1\n2\n"
    write_tar(
        raw / "ILSVRC2012_devkit_t12.tar.gz",
        {
            "ILSVRC2012_devkit_t12/data/meta.mat": kit.getvalue(),
            "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt": truth,
        },
        "w:gz",
    )
    write_tar(
        raw / "imagenetv2-matched-frequency.tar.gz",
        {f"imagenetv2-matched-frequency-format-val/{k}/{k}.jpeg": image(k) for k in (2, 0, 1)},
        "w:gz",
    )
    stored = prepare(raw, tmp_path / "data")
    assert stored.columns("train")["label"].tolist() == [0, 0, 1, 1, 2, 2]
    assert stored.examples("train").read(4).content == image(20)
    assert stored.columns("validation")["label"].tolist() == [0, 1, 2]
    assert stored.columns("test")["label"].tolist() == [2, 0, 1]


def test_damaged_images_are_left_out_and_listed(
    tree: pathlib.Path, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tree / "train" / "n01" / "n01_2.JPEG").write_bytes(image(2)[:500])
    (tree / "train" / "n03" / "n03_0.JPEG").write_bytes(b"nothing")
    (tree / "train" / "n02" / "n02_0.JPEG").write_bytes(encoded(smooth(40, 40), mode="CMYK"))
    with caplog.at_level(logging.WARNING):
        stored = prepare(tree, tmp_path / "data")
    assert stored.columns("train")["label"].tolist() == [0] * 3 + [1] * 4 + [2] * 3
    (message,) = [record.getMessage() for record in caplog.records if "damaged" in record.getMessage()]
    assert message.startswith("imagenet: left 2 damaged images out of train:")
    assert "train/n01/n01_2.JPEG" in message
    assert "train/n03/n03_0.JPEG" in message


def test_another_number_of_images_is_announced(
    tree: pathlib.Path, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workloads.imagenet.prepare._NUM_IMAGES", {"train": 12, "validation": 50_000, "test": 12})
    prepare(tree, tmp_path / "data")
    (message,) = [record.getMessage() for record in caplog.records]
    assert "validation has 12 images, not the 50,000 of ImageNet: results are not comparable" in message


def test_resized_ahead(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    stored = prepare(tree, tmp_path / "data", resize="64")
    assert decode(stored.examples("train").read(0).content).shape == (64, 85, 3)
    stored = prepare(tree, tmp_path / "data", resize="200")
    assert stored.examples("train").read(0).content == image(0), "small images are kept unchanged"
    with pytest.raises(ConfigError, match=r"--option resize: found '8'; expected a number of pixels, at least 64"):
        convert(tree, resize="8")


def test_what_is_missing_is_reported(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tree / "test").rename(tmp_path / "elsewhere")
    stored = prepare(tree, tmp_path / "data")
    with pytest.raises(DataError, match=r"have no test split\. Put the images of ImageNet-v2"):
        stored.columns("test")["label"]
    (tree / "val").rename(tmp_path / "val")
    with pytest.raises(DataError, match=r"no validation images of ImageNet in .*Name with --from one folder"):
        convert(tree)


def test_the_number_of_classes_must_be_right(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    prepare(tree, tmp_path / "data")
    for wrong in (2, 1000):
        with pytest.raises(DataError, match=rf"number of classes in the train split.*found 3; expected {wrong}"):
            StoredImages(str(tmp_path / "data"), wrong).columns("train")["label"]
    (tree / "val" / "n03").rename(tmp_path / "n03")
    with pytest.raises(DataError, match=r"classes of the validation split.*found 'only in train: n03'; expected the 3"):
        convert(tree)


def test_command_line_options(
    tree: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import workloads
    from workloads.imagenet import prepare as conversion

    monkeypatch.setattr(workloads, "preparation", lambda name: conversion)
    place = f"--data_dir={tmp_path / 'data'}"
    assert command.main(["imagenet_resnet", place]) == 2
    assert "cannot be downloaded without registration" in capsys.readouterr().err
    assert command.main(["imagenet_resnet", place, f"--from={tree}", "--option=size=3"]) == 2
    assert "--option size" in capsys.readouterr().err
    assert command.main(["imagenet_resnet", place, f"--from={tree}", "--option=resize"]) == 2
    assert "expected KEY=VALUE" in capsys.readouterr().err
    assert command.main(["imagenet_resnet", place, f"--from={tree}", "--option=resize=64"]) == 0
    assert StoredImages(str(tmp_path / "data"), 3).describe()["source"].endswith("raw (resize=64)")
