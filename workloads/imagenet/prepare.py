"""ImageNet: converts folders, archives or TensorFlow Datasets to records of one image each.

A record has `image` uint8 [bytes], the unchanged file, `name` uint8 [bytes] and `label` int32 [1]. The labels of a
split are also stored in one piece. Neither ILSVRC2012 nor ImageNet-v2 may be downloaded without registration or by a
script, so get the files from https://www.image-net.org/download.php and
https://huggingface.co/datasets/vaishaal/ImageNetV2 (matched-frequency).
"""

import concurrent.futures
import importlib
import itertools
import logging
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from algoperf_jax.data.download import Download
from algoperf_jax.data.prepared import Block, DatasetSpec, in_blocks
from algoperf_jax.data.workers import usable_cores
from algoperf_jax.errors import ConfigError, DataError
from workloads.imagenet import raw_images
from workloads.imagenet.decoding import BadImageError, decode, encode
from workloads.imagenet.facts import NUM_TEST, NUM_TRAIN, NUM_VALIDATION
from workloads.imagenet.raw_images import Classes, RawImage, RawSplit, shortened

DATASET = DatasetSpec("imagenet_resnet", "1.0.0")
"""Shared by all workloads on ImageNet."""
DOWNLOADS: tuple[Download, ...] = ()
OPTIONS = ("resize",)
"""`resize=N` shrinks images to a shorter side of at most N pixels, so that they are decoded faster."""
_NEEDED = (
    "Name with --from one folder that contains train/CLASS/*.JPEG and val/CLASS/*.JPEG, or ILSVRC2012_img_train.tar, "
    "ILSVRC2012_img_val.tar and ILSVRC2012_devkit_t12.tar.gz, or imagenet2012/5.1.0 as TensorFlow Datasets writes it "
    "with file_format=array_record; for the test split test/CLASS/*, imagenetv2-matched-frequency* (a folder or "
    "archive), or imagenet_v2/matched-frequency/3.0.0."
)
_TENSORFLOW_DATASETS = {
    "train": "imagenet2012/5.1.0",
    "validation": "imagenet2012/5.1.0",
    "test": "imagenet_v2/matched-frequency/3.0.0",
}
_NUM_IMAGES = {"train": NUM_TRAIN, "validation": NUM_VALIDATION, "test": NUM_TEST}
_QUALITY = 95
_SMALLEST_RESIZE = 64
_AT_A_TIME = 256

_logger = logging.getLogger(__name__)


def labels_of(split: str) -> str:
    """The name under which the labels of a split are stored."""
    return f"{split}_labels"


def convert(folder: pathlib.Path, *, resize: str | None = None) -> Mapping[str, Iterable[Block]]:
    """The splits `train`, `validation` and, if there are images for it, `test`, each followed by its labels.

    Every image is decoded once. Images that cannot be decoded are left out and listed at the end of their split.

    Args:
      folder: contains the raw files.
      resize: largest shorter side of the stored images, a number of pixels, or None for unchanged files.

    Raises:
      DataError: there are no training or validation images, or their classes differ.
      ConfigError: `resize` is not a number of pixels.
    """
    longest = None if resize is None else _pixels(resize)
    found = {**raw_images.find(folder), **_tensorflow_datasets(folder)}
    missing = [split for split in ("train", "validation") if split not in found]
    if missing:
        raise DataError(f"no {' and no '.join(missing)} images of ImageNet in {folder}", remedy=_NEEDED)
    names = found["train"].classes
    assert names is not None, "known of training images before they are read"
    classes = Classes(names)
    for split, images in found.items():
        if images.classes is not None:
            _check_classes(split, images.classes, classes, folder)
    if "test" not in found:
        _logger.warning("imagenet: no images for the test split, which runs need. %s", _NEEDED)
    splits: dict[str, Iterable[Block]] = {}
    for split, images in found.items():
        labels: list[int] = []
        splits[split] = _blocks(split, images.read(), classes, longest, labels)
        splits[labels_of(split)] = _label_blocks(labels)
    return splits


def _pixels(text: str) -> int:
    if not text.isdecimal() or int(text) < _SMALLEST_RESIZE:
        raise ConfigError("--option resize", value=text, expected=f"a number of pixels, at least {_SMALLEST_RESIZE}")
    return int(text)


def _check_classes(split: str, names: Sequence[str], classes: Classes, folder: pathlib.Path) -> None:
    """Checks that classes are those of the training images; test images may lack some, and may name them by number."""
    if split == "test":
        unknown = [name for name in names if classes.number(name) is None]
        absent = []
        if len(names) < len(classes.names):
            _logger.warning("imagenet: test images of only %d of %d classes", len(names), len(classes.names))
    else:
        unknown = sorted(set(names) - set(classes.names))
        absent = sorted(set(classes.names) - set(names))
    differences = [f"not in train: {shortened(unknown)}"] if unknown else []
    differences += [f"only in train: {shortened(absent)}"] if absent else []
    if differences:
        raise DataError(
            f"classes of the {split} split in {folder}",
            value="; ".join(differences),
            expected=f"the {len(classes.names)} classes of train"
            + (", by name or by number from 0" if split == "test" else ""),
            remedy="Use folders of the same classes for each split, and remove folders that are not classes.",
        )


def _blocks(
    split: str, images: Iterable[RawImage], classes: Classes, longest: int | None, labels: list[int]
) -> Iterator[Block]:
    """Yields one block per valid image, and adds its label to `labels`."""
    bad: list[str] = []
    count = 0
    stream = iter(images)
    # Decoding releases the interpreter lock, so threads suffice.
    with concurrent.futures.ThreadPoolExecutor(usable_cores()) as threads:
        while group := list(itertools.islice(stream, _AT_A_TIME)):
            count += len(group)
            for image, content in zip(group, threads.map(lambda each: _checked(each, longest), group), strict=True):
                if isinstance(content, BadImageError):
                    bad.append(f"{image.name} ({content})")
                    continue
                label = classes.number(image.class_name)
                if label is None:
                    raise DataError(
                        f"class of {image.name}",
                        value=image.class_name,
                        expected=f"one of the {len(classes.names)} classes of train, by name or by number from 0",
                        remedy=_NEEDED,
                    )
                labels.append(label)
                columns = {
                    "image": np.frombuffer(content, np.uint8),
                    "name": np.frombuffer(image.name.encode(), np.uint8),
                    "label": np.array([label], np.int32),
                }
                yield Block(1, columns)
    if count != _NUM_IMAGES[split]:
        _logger.warning(
            "imagenet: %s has %s images, not the %s of ImageNet: results are not comparable with published ones",
            split,
            f"{count:,}",
            f"{_NUM_IMAGES[split]:,}",
        )
    if bad:
        _logger.warning("imagenet: left %d damaged images out of %s:\n  %s", len(bad), split, "\n  ".join(bad))


def _tensorflow_datasets(folder: pathlib.Path) -> Mapping[str, RawSplit]:
    """The splits that TensorFlow Datasets prepared in a folder."""
    return {
        split: _tensorflow_dataset(folder / dataset, split)
        for split, dataset in _TENSORFLOW_DATASETS.items()
        if (folder / dataset / "dataset_info.json").is_file()
    }


def _tensorflow_dataset(folder: pathlib.Path, split: str) -> RawSplit:
    """A split stored as ArrayRecord; the image files are read unchanged, without TensorFlow."""
    try:
        tfds: Any = importlib.import_module("tensorflow_datasets")
    except ImportError as error:
        raise DataError(
            f"reading {folder} needs tensorflow-datasets, which is not installed",
            remedy='Install it with: pip install -e ".[prepare]"',
        ) from error
    builder = tfds.builder_from_directory(folder)
    try:
        source = builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})
    except (NotImplementedError, ValueError) as error:
        raise DataError(
            f"{folder} does not allow random access ({error})",
            expected="a data set written with file_format=array_record",
            remedy="Convert it with: tfds convert_format --root_data_dir=... --out_file_format=array_record",
        ) from error

    feature = builder.info.features["label"]
    classes = [feature.int2str(label) for label in range(feature.num_classes)]

    def read() -> Iterator[RawImage]:
        for index in range(len(source)):
            example = source[index]
            name = example.get("file_name", b"")
            name = name.decode() if isinstance(name, bytes) else str(name)
            yield RawImage(bytes(example["image"]), classes[int(example["label"])], f"{split}:{index}:{name}")

    return RawSplit(classes, read)


def _label_blocks(labels: list[int]) -> Iterator[Block]:
    """Yields the labels of a split, after all its blocks."""
    if labels:
        yield from in_blocks({"label": np.array(labels, np.int32)})


def _checked(image: RawImage, longest: int | None) -> bytes | BadImageError:
    """The file to store, or the reason why there is none."""
    try:
        pixels = decode(image.content)
        if longest is None or min(pixels.shape[:2]) <= longest:
            return image.content
        return encode(_shrunk(pixels, longest), _QUALITY)
    except BadImageError as error:
        return error


def _shrunk(pixels: np.ndarray, longest: int) -> np.ndarray:
    height, width = pixels.shape[:2]
    factor = longest / min(height, width)
    size = (max(longest, round(width * factor)), max(longest, round(height * factor)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
