"""Reads ImageNet as distributed: trees of folders, or archives.

The class of an image is the position of its folder among the training folders in alphabetical order. Folders of
ImageNet-v2 are named by that number.
"""

import contextlib
import dataclasses
import io
import logging
import os
import pathlib
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from scipy import io as scipy_io

from algoperf_jax.data.raw_files import ARCHIVE_SUFFIXES, UNPACKING_ERRORS, is_hidden, members
from algoperf_jax.errors import DataError

_SUFFIXES = {".jpeg", ".jpg", ".png"}
_FOLDERS = {"train": "train", "validation": "val", "test": "test"}
_TRAIN_TAR, _VALIDATION_TAR = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
_DEVKIT, _TRUTH = "ILSVRC2012_devkit_t12.tar.gz", "ILSVRC2012_validation_ground_truth.txt"
_V2 = "imagenetv2-matched-frequency"
_DOWNLOAD_AGAIN = "Download it again."
_MOST_FOLDERS_AROUND = 3

_logger = logging.getLogger(__name__)


class RawImage(NamedTuple):
    """An image file, the name of its class, and its place."""

    content: bytes
    class_name: str
    name: str


@dataclasses.dataclass(frozen=True)
class RawSplit:
    """The images of a split.

    Attributes:
      classes: names of the classes, in the order of their numbers; None if they are known only after reading.
      read: iterates over the images.
    """

    classes: Sequence[str] | None
    read: Callable[[], Iterator[RawImage]]


class Classes:
    """The classes of the training images, numbered in their order."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self._numbers = {name: number for number, name in enumerate(names)}
        if all(name.isdecimal() for name in names):
            self._by_number = {int(name): number for number, name in enumerate(names)}
        else:
            self._by_number = {number: number for number in range(len(names))}

    def number(self, name: str) -> int | None:
        """The number of a class, given the name of its training folder or the number itself; None if there is none."""
        if name in self._numbers or not name.isdecimal():
            return self._numbers.get(name)
        return self._by_number.get(int(name))


def find(folder: pathlib.Path) -> Mapping[str, RawSplit]:
    """Finds the splits that a folder has images for: `train`, `validation`, `test`.

    They may be in a single subfolder, as archives unpack.

    Raises:
      DataError: some files that belong together are missing, or folders are not those of classes.
    """
    found: dict[str, RawSplit] = {}
    place = folder
    for _ in range(1 + _MOST_FOLDERS_AROUND):
        found = {**_in_folder(place), **found}
        inside = [name for name in _listed(place).folders if name not in _FOLDERS.values() and not name.startswith(_V2)]
        if len(inside) != 1 or not found.keys().isdisjoint({"train", "validation"}):
            break
        place /= inside[0]
    return found


def _in_folder(folder: pathlib.Path) -> dict[str, RawSplit]:
    found: dict[str, RawSplit] = {}
    for split, name in _FOLDERS.items():
        if not (folder / name).is_dir():
            continue
        if split == "test" and not _listed(folder / name).folders:
            # The official test images have no labels.
            _logger.warning("imagenet: ignored %s, which has no folders of classes", folder / name)
            continue
        found[split] = _tree(folder / name)
    if "train" not in found and (folder / _TRAIN_TAR).is_file():
        found["train"] = _train_tar(folder / _TRAIN_TAR)
    if "validation" not in found and (folder / _VALIDATION_TAR).is_file():
        found["validation"] = _validation_tar(folder)
    if "test" not in found and (test := _v2(folder)) is not None:
        found["test"] = test
    return found


class _Listing(NamedTuple):
    """Sorted names of the images and folders in a folder, without hidden ones."""

    images: list[str]
    folders: list[str]


def _listed(folder: pathlib.Path) -> _Listing:
    found = _Listing([], [])
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_hidden(entry.name):
                continue
            if entry.is_dir():
                found.folders.append(entry.name)
            elif _is_image(entry.name):
                found.images.append(entry.name)
    return _Listing(sorted(found.images), sorted(found.folders))


def _is_image(name: str) -> bool:
    return pathlib.PurePath(name).suffix.lower() in _SUFFIXES


def _tree(folder: pathlib.Path) -> RawSplit:
    """Lists `folder/<class>/<image>`, or the same one folder deeper, such as `train/train/<class>/<image>`."""
    loose_images, classes = _listed(folder)
    if not classes:
        raise DataError(f"no folders of classes in {folder}", remedy="Put the images of each class into a folder.")
    inside = {name: _listed(folder / name) for name in classes}
    if len(classes) == 1 and not inside[classes[0]].images and inside[classes[0]].folders:
        return _tree(folder / classes[0])
    for name, listing in inside.items():
        for deeper in listing.folders:
            if _listed(folder / name / deeper).images:
                raise DataError(
                    f"images in {folder / name / deeper}, a folder too deep",
                    expected=f"{folder}/CLASS/*.JPEG",
                    remedy=f"Move the content of {folder / name / deeper} one folder up.",
                )
    empty = [name for name, listing in inside.items() if not listing.images]
    if empty:
        raise DataError(
            f"folders without images in {folder}",
            value=shortened(empty),
            expected=f"images ({', '.join(sorted(_SUFFIXES))}) in the folder of each class",
            remedy="Unpack them again, or remove the folders if they are not classes.",
        )
    if loose_images:
        _logger.warning(
            "imagenet: left out %d images in %s that are not in the folder of a class", len(loose_images), folder
        )
    if all(name.isdecimal() for name in classes):
        classes.sort(key=int)

    def read() -> Iterator[RawImage]:
        for name in classes:
            for file in _listed(folder / name).images:
                content = (folder / name / file).read_bytes()
                yield RawImage(content, name, f"{folder.name}/{name}/{file}")

    return RawSplit(classes, read)


def shortened(names: Sequence[str]) -> str:
    """The first few of many names."""
    rest = len(names) - 5
    return ", ".join(names[:5]) + (f" and {rest} more" if rest > 0 else "")


def _train_tar(path: pathlib.Path) -> RawSplit:
    """Reads an archive that contains one archive per class, named after the class."""
    with _unpacking(path), tarfile.open(path) as archive:
        classes = sorted(_class_archives(archive))
    if not classes:
        raise DataError(f"no archives of classes in {path}", remedy=_DOWNLOAD_AGAIN)

    def read() -> Iterator[RawImage]:
        with _unpacking(path), tarfile.open(path) as outer:
            archives = _class_archives(outer)
            for name in classes:
                count = 0
                with tarfile.open(fileobj=outer.extractfile(archives[name])) as inner:
                    for member in inner:
                        file = inner.extractfile(member) if member.isfile() and _is_visible_image(member.name) else None
                        if file is not None:
                            count += 1
                            yield RawImage(file.read(), name, f"{path.name}:{archives[name].name}:{member.name}")
                if not count:
                    raise DataError(f"no images in {archives[name].name} of {path}", remedy=_DOWNLOAD_AGAIN)

    return RawSplit(classes, read)


def _class_archives(archive: tarfile.TarFile) -> dict[str, tarfile.TarInfo]:
    paths = ((pathlib.PurePath(member.name), member) for member in archive if member.isfile())
    return {path.stem: member for path, member in paths if path.suffix == ".tar" and not is_hidden(path.name)}


def _is_visible_image(name: str) -> bool:
    return _is_image(name) and not is_hidden(pathlib.PurePath(name).name)


@contextlib.contextmanager
def _unpacking(path: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except UNPACKING_ERRORS as error:
        raise DataError(f"{path} cannot be unpacked ({error})", remedy=_DOWNLOAD_AGAIN) from error


def _validation_tar(folder: pathlib.Path) -> RawSplit:
    """Reads a flat archive; the development kit lists the class of each image, in the order of their names."""
    classes, truth = _ground_truth(folder)

    def read() -> Iterator[RawImage]:
        for name, content in members(folder / _VALIDATION_TAR):
            if not _is_image(name):
                continue
            number = pathlib.PurePath(name).stem.rpartition("_")[2]
            if not number.isdecimal() or not 1 <= int(number) <= len(truth):
                raise DataError(
                    f"image in {folder / _VALIDATION_TAR}",
                    value=name,
                    expected=f"ILSVRC2012_val_<1 to {len(truth)}>.JPEG",
                    remedy=_DOWNLOAD_AGAIN,
                )
            yield RawImage(content, truth[int(number) - 1], f"{_VALIDATION_TAR}:{name}")

    return RawSplit(classes, read)


def _ground_truth(folder: pathlib.Path) -> tuple[list[str], list[str]]:
    """The sorted names of all classes, and the class name of each validation image."""
    if not (folder / _DEVKIT).is_file():
        raise DataError(
            f"{_VALIDATION_TAR} has no labels, and {folder / _DEVKIT} is missing",
            remedy="Put the development kit (Task 1 & 2) next to it, or sort the images into val/CLASS folders.",
        )
    kit = {pathlib.PurePath(name).name: content for name, content in members(folder / _DEVKIT)}
    try:
        truth = [int(line) for line in kit[_TRUTH].decode().split()]
        synsets = scipy_io.loadmat(io.BytesIO(kit["meta.mat"]), squeeze_me=True)["synsets"]
        # Inner nodes of the hierarchy have children; the classes are the leaves.
        wnids = {int(s["ILSVRC2012_ID"]): str(s["WNID"]) for s in synsets if int(s["num_children"]) == 0}
        return sorted(wnids.values()), [wnids[number] for number in truth]
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise DataError(f"{folder / _DEVKIT} is damaged ({error!r})", remedy=_DOWNLOAD_AGAIN) from error


def _v2(folder: pathlib.Path) -> RawSplit | None:
    """Finds ImageNet-v2, a folder or an archive of folders that are named by class numbers."""
    paths = sorted(folder.glob(f"{_V2}*"))
    folders = [path for path in paths if path.is_dir()]
    if len(folders) > 1:
        raise DataError(
            f"folders of ImageNet-v2 in {folder}",
            value=[path.name for path in folders],
            expected="one",
            remedy="Remove all but one, or move them elsewhere.",
        )
    if folders:
        return _tree(folders[0])
    for path in paths:
        if path.name.endswith(ARCHIVE_SUFFIXES):
            return RawSplit(None, lambda path=path: _v2_tar(path))
    return None


def _v2_tar(path: pathlib.Path) -> Iterator[RawImage]:
    for name, content in members(path):
        if _is_image(name):
            yield RawImage(content, pathlib.PurePath(name).parent.name, f"{path.name}:{name}")
