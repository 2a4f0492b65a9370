"""ImageNet as it comes: trees of folders, or archives.

The class of an image is the position of its folder among the training folders in alphabetical order; folders of
ImageNet-v2 are named by that number.
"""

import dataclasses
import io
import pathlib
import tarfile
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from scipy import io as scipy_io

from algoperf_jax.errors import DataError

_SUFFIXES = {".jpeg", ".jpg", ".png"}
_TRAIN_TAR, _VALIDATION_TAR = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
_DEVKIT, _TRUTH = "ILSVRC2012_devkit_t12.tar.gz", "ILSVRC2012_validation_ground_truth.txt"
_V2 = "imagenetv2-matched-frequency"
_DOWNLOAD_AGAIN = "Download it again."


class RawImage(NamedTuple):
    """An image file, its class, and where it was found."""

    content: bytes
    label: int
    name: str


@dataclasses.dataclass(frozen=True)
class RawSplit:
    """The images of a split.

    Attributes:
      num_classes: number of classes, None where only reading tells.
      read: goes through the images.
    """

    num_classes: int | None
    read: Callable[[], Iterator[RawImage]]


def find(folder: pathlib.Path) -> Mapping[str, RawSplit]:
    """The splits that a folder has images for: `train`, `validation`, `test`.

    Raises:
      DataError: files that belong together are not all there.
    """
    found: dict[str, RawSplit] = {}
    for split, name in (("train", "train"), ("validation", "val"), ("test", "test")):
        if (folder / name).is_dir():
            found[split] = _tree(folder / name)
    if "train" not in found and (folder / _TRAIN_TAR).is_file():
        found["train"] = RawSplit(None, lambda: _train_tar(folder / _TRAIN_TAR))
    if "validation" not in found and (folder / _VALIDATION_TAR).is_file():
        found["validation"] = _validation_tar(folder)
    if "test" not in found and (test := _v2(folder)) is not None:
        found["test"] = test
    return found


def _tree(folder: pathlib.Path) -> RawSplit:
    """`folder/<class>/<image>`."""
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    if all(path.name.isdecimal() for path in classes):
        classes.sort(key=lambda path: int(path.name))
    if not classes:
        raise DataError(f"no folders of classes in {folder}", remedy="Each class of images is a folder of its own.")

    def read() -> Iterator[RawImage]:
        for label, path in enumerate(classes):
            for file in sorted(path.iterdir()):
                if file.suffix.lower() in _SUFFIXES:
                    yield RawImage(file.read_bytes(), label, str(file.relative_to(folder.parent)))

    return RawSplit(len(classes), read)


def _members(archive: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the files in an archive, in its order."""
    for member in archive:
        file = archive.extractfile(member) if member.isfile() else None
        if file is not None:
            yield member.name, file.read()


def _opened(path: pathlib.Path) -> Iterator[tuple[str, bytes]]:
    """The files of an archive on disk."""
    try:
        with tarfile.open(path) as archive:
            yield from _members(archive)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DataError(f"{path} cannot be unpacked ({error})", remedy=_DOWNLOAD_AGAIN) from error


def _train_tar(path: pathlib.Path) -> Iterator[RawImage]:
    """An archive of one archive for each class."""
    try:
        with tarfile.open(path) as outer:
            classes = sorted((member for member in outer if member.isfile()), key=lambda member: member.name)
            for label, member in enumerate(classes):
                file = outer.extractfile(member)
                assert file is not None, "only files were chosen"
                with tarfile.open(fileobj=file) as inner:
                    for name, content in _members(inner):
                        yield RawImage(content, label, f"{path.name}:{member.name}:{name}")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DataError(f"{path} cannot be unpacked ({error})", remedy=_DOWNLOAD_AGAIN) from error


def _validation_tar(folder: pathlib.Path) -> RawSplit:
    """A flat archive; the class of each image, in the order of their names, comes from the development kit."""
    labels = _ground_truth(folder)

    def read() -> Iterator[RawImage]:
        for name, content in _opened(folder / _VALIDATION_TAR):
            number = pathlib.PurePath(name).stem.rpartition("_")[2]
            if not number.isdecimal() or not 1 <= int(number) <= len(labels):
                raise DataError(
                    f"image in {folder / _VALIDATION_TAR}",
                    value=name,
                    expected=f"ILSVRC2012_val_<1 to {len(labels)}>.JPEG",
                    remedy=_DOWNLOAD_AGAIN,
                )
            yield RawImage(content, labels[int(number) - 1], f"{_VALIDATION_TAR}:{name}")

    return RawSplit(len(set(labels)), read)


def _ground_truth(folder: pathlib.Path) -> list[int]:
    """The classes of the validation images, whose numbering in the kit is not that of sorted folders."""
    if not (folder / _DEVKIT).is_file():
        raise DataError(
            f"{_VALIDATION_TAR} comes without labels, and {folder / _DEVKIT} is missing",
            remedy="Put the development kit (Task 1 & 2) beside it, or sort the images into val/CLASS folders.",
        )
    kit = {pathlib.PurePath(name).name: content for name, content in _opened(folder / _DEVKIT)}
    try:
        truth = [int(line) for line in kit[_TRUTH].decode().split()]
        synsets = scipy_io.loadmat(io.BytesIO(kit["meta.mat"]), squeeze_me=True)["synsets"]
        # Inner nodes of the hierarchy have children; the classes are the leaves.
        wnids = {int(s["ILSVRC2012_ID"]): str(s["WNID"]) for s in synsets if int(s["num_children"]) == 0}
        order = {wnid: label for label, wnid in enumerate(sorted(wnids.values()))}
        return [order[wnids[number]] for number in truth]
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise DataError(f"{folder / _DEVKIT} is damaged ({error!r})", remedy=_DOWNLOAD_AGAIN) from error


def _v2(folder: pathlib.Path) -> RawSplit | None:
    """ImageNet-v2, a folder or an archive of folders that are named by class numbers."""
    for path in sorted(folder.glob(f"{_V2}*")):
        if path.is_dir():
            return _tree(path)
        if ".tar" in path.name:
            return RawSplit(None, lambda path=path: _v2_tar(path))
    return None


def _v2_tar(path: pathlib.Path) -> Iterator[RawImage]:
    for name, content in _opened(path):
        file = pathlib.PurePath(name)
        if file.suffix.lower() not in _SUFFIXES:
            continue
        if not file.parent.name.isdecimal():
            raise DataError(f"folder of {name} in {path}", value=file.parent.name, expected="the number of a class")
        yield RawImage(content, int(file.parent.name), f"{path.name}:{name}")
