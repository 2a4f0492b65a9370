"""Classes of raw images in every layout, and other files next to them."""

import io
import logging
import pathlib
import tarfile
from collections.abc import Iterable

import numpy as np
import pytest

from algoperf_jax.errors import DataError
from tests.workloads.imagenet.images import encoded, smooth
from workloads.imagenet import raw_images
from workloads.imagenet.prepare import convert, labels_of
from workloads.imagenet.raw_images import Classes

CLASSES = tuple(f"n{number:02}" for number in range(12))
V2 = "imagenetv2-matched-frequency-format-val"
IMAGE = encoded(smooth(16, 16))


def write(folder: pathlib.Path, classes: Iterable[str], content: bytes = IMAGE) -> pathlib.Path:
    for name in classes:
        (folder / name).mkdir(parents=True)
        (folder / name / "image.JPEG").write_bytes(content)
    return folder


def write_tar(path: pathlib.Path, files: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz" if path.name.endswith(("gz", "tgz")) else "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


@pytest.fixture
def raw(tmp_path: pathlib.Path) -> pathlib.Path:
    """Training and validation images of twelve classes."""
    write(tmp_path / "train", CLASSES)
    write(tmp_path / "val", CLASSES)
    return tmp_path


def labels(folder: pathlib.Path, split: str) -> list[int]:
    splits = convert(folder)
    records = list(splits[split])
    found = np.concatenate([block.columns["label"] for block in splits[labels_of(split)]]).tolist()
    assert found == [int(block.columns["label"].item()) for block in records]
    return found


def read_all(folder: pathlib.Path) -> None:
    for blocks in convert(folder).values():
        list(blocks)


def fails(folder: pathlib.Path, *parts: str) -> None:
    with pytest.raises(DataError) as error:
        read_all(folder)
    for part in parts:
        assert part in str(error.value), str(error.value)


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("name", [".ipynb_checkpoints", ".git", "__MACOSX", ".a"])
def test_hidden_folders_are_not_classes(raw: pathlib.Path, split: str, name: str) -> None:
    write(raw / split, [name])
    (raw / split / ".DS_Store").write_bytes(b"")
    (raw / split / "n03" / "._image.JPEG").write_bytes(b"")
    (raw / split / "n03" / ".ipynb_checkpoints").mkdir()
    (raw / split / "n03" / ".ipynb_checkpoints" / "image-checkpoint.JPEG").write_bytes(b"")
    assert labels(raw, {"val": "validation"}.get(split, split)) == list(range(12))


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("file", [None, "list.txt", "._image.JPEG", ".part.JPEG"])
def test_folders_without_images_are_refused(raw: pathlib.Path, split: str, file: str | None) -> None:
    for name in ("logs", "n00a"):
        (raw / split / name).mkdir()
        if file is not None:
            (raw / split / name / file).write_bytes(b"")
    fails(raw, f"folders without images in {raw / split}: found 'logs, n00a'", ".jpeg, .jpg, .png")


@pytest.mark.parametrize(
    ("renamed", "found"),
    [
        ({"n03": "n99"}, "'not in train: n99; only in train: n03'"),
        ({"n03": "N03"}, "'not in train: N03; only in train: n03'"),
        ({name: str(number) for number, name in enumerate(CLASSES)}, "'not in train: 0, 1, 10, 11, 2 and 7 more; only"),
    ],
)
def test_validation_classes_must_be_those_of_train(raw: pathlib.Path, renamed: dict[str, str], found: str) -> None:
    for old, new in renamed.items():
        (raw / "val" / old).rename(raw / "val" / new)
    fails(raw, f"classes of the validation split in {raw}: found {found}", "expected the 12 classes of train")


def test_one_more_or_fewer_validation_classes(raw: pathlib.Path) -> None:
    write(raw / "val", ["n12"])
    fails(raw, "found 'not in train: n12'")
    (raw / "val" / "n12").rename(raw / "train" / "n12")
    fails(raw, "found 'only in train: n12'")


@pytest.mark.parametrize("names", [range(12), (2, 10), (0, 1, 10, 3), ("02", "10")])
@pytest.mark.parametrize("place", [V2, "test", f"imagenetv2-matched-frequency/{V2}"])
def test_folders_of_numbers_are_read_by_number(raw: pathlib.Path, names: Iterable[int | str], place: str) -> None:
    write(raw / place, map(str, names))
    assert labels(raw, "test") == sorted(map(int, names))


def test_several_folders_of_imagenet_v2(raw: pathlib.Path) -> None:
    write(raw / V2, ["0"])
    write(raw / f"{V2}-copy", ["1"])
    fails(raw, f"folders of ImageNet-v2 in {raw}: found ['{V2}', '{V2}-copy']; expected one")


def test_numbers_in_an_archive(raw: pathlib.Path) -> None:
    hidden = {f"__MACOSX/{V2}/1/x.jpeg": b"", f"{V2}/1/._x.jpeg": b"", f"{V2}/README.md": b"", f"{V2}/.a/x.jpeg": b""}
    write_tar(raw / f"{V2}.tgz", {f"{V2}/{number}/x.jpeg": IMAGE for number in (10, 2)} | hidden)
    (raw / f"{V2}.a.part").write_bytes(b"an interrupted download")
    assert labels(raw, "test") == [10, 2]
    write_tar(raw / f"{V2}.tgz", {f"{V2}/12/x.jpeg": IMAGE})
    fails(raw, f"class of {V2}.tgz:{V2}/12/x.jpeg: found '12'; expected one of the 12 classes")


def test_test_images_of_some_classes_by_name(raw: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    write(raw / "test", ["n10", "n02"])
    assert labels(raw, "test") == [2, 10]
    assert "test images of only 2 of 12 classes" in caplog.text
    write(raw / "test", ["n12", "12"])
    fails(raw, f"classes of the test split in {raw}: found 'not in train: 12, n12'", "by number from 0")


def test_training_folders_of_numbers() -> None:
    """Numbers with gaps, or starting from 1, name different classes than their positions."""
    classes = Classes(["0", "1", "10"])
    assert [classes.number(name) for name in ("0", "01", "10", "2", "n01")] == [0, 1, 2, None, None]
    assert Classes(["n1", "n2"]).number("1") == 1
    assert Classes(["n1", "n2"]).number("2") is None


@pytest.mark.parametrize("around", ["imagenet", "ILSVRC/Data/CLS-LOC"])
def test_everything_in_a_single_folder(raw: pathlib.Path, tmp_path: pathlib.Path, around: str) -> None:
    root = tmp_path / "elsewhere" / around
    root.mkdir(parents=True)
    for split in ("train", "val"):
        (raw / split).rename(root / split)
    write(tmp_path / "elsewhere" / V2, ["7"])
    assert labels(tmp_path / "elsewhere", "train") == list(range(12))
    assert labels(tmp_path / "elsewhere", "test") == [7]


def test_a_split_one_folder_deeper(raw: pathlib.Path) -> None:
    (raw / "train").rename(raw / "moved")
    (raw / "train").mkdir()
    (raw / "moved").rename(raw / "train" / "train")
    (raw / "train" / ".DS_Store").write_bytes(b"")
    assert labels(raw, "train") == list(range(12))


def test_images_too_deep(raw: pathlib.Path) -> None:
    (raw / "train" / "n03" / "images").mkdir()
    (raw / "train" / "n03" / "image.JPEG").rename(raw / "train" / "n03" / "images" / "image.JPEG")
    fails(
        raw, f"images in {raw}/train/n03/images, a folder too deep; expected {raw}/train/CLASS/*.JPEG", "one folder up"
    )


def test_two_folders_in_place_of_classes(raw: pathlib.Path) -> None:
    (raw / "train").rename(raw / "moved")
    write(raw / "train" / "part1", CLASSES[:6])
    write(raw / "train" / "part2", CLASSES[6:])
    fails(raw, f"images in {raw}/train/part1/n00, a folder too deep")


def test_images_in_no_folder_of_a_class(raw: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    (raw / "train" / "overview.png").write_bytes(IMAGE)
    assert labels(raw, "train") == list(range(12))
    assert f"left out 1 images in {raw}/train" in caplog.text


def test_official_test_images_have_no_classes(raw: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    (raw / "test").mkdir()
    (raw / "test" / "ILSVRC2012_test_00000001.JPEG").write_bytes(IMAGE)
    write(raw / V2, ["7"])
    with caplog.at_level(logging.WARNING):
        assert labels(raw, "test") == [7]
    assert f"ignored {raw}/test" in caplog.text


def inner_tar(tmp_path: pathlib.Path, *names: str) -> bytes:
    write_tar(tmp_path / "inner.tar", dict.fromkeys(names, IMAGE))
    return (tmp_path / "inner.tar").read_bytes()


def test_other_files_next_to_the_archives_of_classes(raw: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (raw / "train").rename(raw / "elsewhere")
    inner = inner_tar(tmp_path, "image.JPEG", "._image.JPEG", "list.txt")
    beside = {"README.txt": b"", "._n03.tar": b"", "__MACOSX": b""}
    write_tar(raw / "ILSVRC2012_img_train.tar", {f"{name}.tar": inner for name in reversed(CLASSES)} | beside)
    assert labels(raw, "train") == list(range(12))
    write_tar(raw / "ILSVRC2012_img_train.tar", {f"{name}.tar": inner for name in CLASSES[1:]})
    fails(raw, "classes of the validation split", "found 'not in train: n00'")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"n00/image.JPEG": IMAGE}, "no archives of classes in"),
        ({"n00.tar": b"no archive"}, "cannot be unpacked"),
    ],
)
def test_other_training_archives(raw: pathlib.Path, content: dict[str, bytes], message: str) -> None:
    (raw / "train").rename(raw / "elsewhere")
    for name in CLASSES[1:]:
        (raw / "val" / name).rename(raw / name)
    write_tar(raw / "ILSVRC2012_img_train.tar", content)
    fails(raw, "ILSVRC2012_img_train.tar", message)


def test_an_archive_of_a_class_without_images(raw: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (raw / "train").rename(raw / "elsewhere")
    files = {f"{name}.tar": inner_tar(tmp_path, "image.JPEG") for name in CLASSES}
    write_tar(raw / "ILSVRC2012_img_train.tar", {**files, "n05.tar": inner_tar(tmp_path, "list.txt")})
    fails(raw, "no images in n05.tar of")


def test_nothing_found(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a" / "b" / "c" / "d" / "e").mkdir(parents=True)
    assert raw_images.find(tmp_path) == {}
