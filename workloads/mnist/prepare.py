"""MNIST: converts the IDX files to columns `image` uint8 [n, 28, 28, 1] and `label` uint8 [n].

Source: http://yann.lecun.com/exdb/mnist/ (format); the copy of the files that TFDS uses (addresses, checksums). Other
data sets, such as FashionMNIST, have files of the same names and format.
"""

import collections
import gzip
import hashlib
import logging
import math
import pathlib
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from algoperf_jax.data.download import Download
from algoperf_jax.data.prepared import Block, DatasetSpec, in_blocks
from algoperf_jax.data.raw_files import find_all
from algoperf_jax.errors import DataError

DATASET = DatasetSpec("mnist", "1.0.0")

_URL = "https://storage.googleapis.com/cvdf-datasets/mnist/"
_FILES = (
    (
        "train-images-idx3-ubyte.gz",
        9_912_422,
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ),
    (
        "train-labels-idx1-ubyte.gz",
        28_881,
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    ),
    (
        "t10k-images-idx3-ubyte.gz",
        1_648_877,
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    ),
    (
        "t10k-labels-idx1-ubyte.gz",
        4_542,
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
)
DOWNLOADS = tuple(Download(_URL + name, name, size, f"sha256:{digest}") for name, size, digest in _FILES)

# SHA-256 of the unpacked files of MNIST; copies are packed differently.
_UNPACKED = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
_IMAGE_SHAPE = (28, 28)
_NUM_CLASSES = 10
_NUM_IMAGES = (60_000, 10_000)

_logger = logging.getLogger(__name__)


def convert(folder: pathlib.Path) -> Mapping[str, Iterable[Block]]:
    """The splits: `train` is the first 5/6 (50,000) of the training images, `validation` the rest; and `test`.

    If several folders have such files, those of MNIST are recognized by their checksums.

    Args:
      folder: contains the four IDX files, gzipped or not, directly or in a subfolder.

    Raises:
      DataError: a file is missing or damaged, or there are several sets of files, none of them MNIST.
    """
    files, genuine = _chosen(folder)
    images, labels = _examples(files, "train")
    test_images, test_labels = _examples(files, "t10k")
    if not genuine:
        _logger.warning(
            "mnist: the files in %s are not those of MNIST (%s training and %s test images; MNIST has %s and %s, and "
            "data sets like FashionMNIST have files of the same names): results are not comparable with published ones",
            files["train-images-idx3-ubyte"].path.parent,
            *(f"{count:,}" for count in (len(labels), len(test_labels), *_NUM_IMAGES)),
        )
    cut = 5 * len(labels) // 6
    return {
        "train": in_blocks({"image": images[:cut], "label": labels[:cut]}),
        "validation": in_blocks({"image": images[cut:], "label": labels[cut:]}),
        "test": in_blocks({"image": test_images, "label": test_labels}),
    }


class _File(NamedTuple):
    """A raw file, unpacked."""

    path: pathlib.Path
    content: bytes


def _chosen(folder: pathlib.Path) -> tuple[Mapping[str, _File], bool]:
    """The four files by name, and whether they are those of MNIST."""
    sets: dict[pathlib.Path, dict[str, list[pathlib.Path]]] = collections.defaultdict(dict)
    everywhere: dict[str, list[pathlib.Path]] = {}
    for name in _UNPACKED:
        dotted = name.replace("-idx", ".idx")
        everywhere[name] = find_all(folder, name, f"{name}.gz", dotted, f"{dotted}.gz")
        if not everywhere[name]:
            raise DataError(f"{name} (or {name}.gz) is missing in {folder}", remedy="All four IDX files are needed.")
        for path in everywhere[name]:
            sets[path.parent].setdefault(name, []).append(path)
    if not any(len(files) == len(_UNPACKED) for files in sets.values()):
        # Each file is in a separate folder, so folders do not show which files belong together.
        sets = {folder: everywhere}
    loaded: dict[pathlib.Path, Mapping[str, _File]] = {}
    errors: list[DataError] = []
    for parent, files in sets.items():
        try:
            loaded[parent] = {name: _same(paths) for name, paths in files.items()}
        except DataError as error:
            errors.append(error)
    for files in loaded.values():
        if {name: hashlib.sha256(file.content).hexdigest() for name, file in files.items()} == _UNPACKED:
            return files, True
    if errors:
        raise errors[0]
    first = max(loaded.values(), key=len)
    # Copies are harmless; but of different files, any may be the intended ones.
    if any(file.content != first[name].content for files in loaded.values() for name, file in files.items()):
        raise DataError(
            f"IDX files in several folders below {folder}, none of them those of MNIST",
            value=sorted(f"{parent}: {len(files)} files" for parent, files in loaded.items()),
            expected="one set of four files",
            remedy="Name the folder of one with --from=FOLDER.",
        )
    return first, False


def _same(paths: Sequence[pathlib.Path]) -> _File:
    """The common content of files that should be copies, packed or not."""
    first, *others = (_File(path, _unpacked(path)) for path in paths)
    for other in others:
        if other.content != first.content:
            raise DataError(
                f"{first.path} and {other.path} differ", remedy="Name the folder of one with --from, or remove one."
            )
    return first


def _unpacked(path: pathlib.Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error})", remedy="Download it again.") from error


def _examples(files: Mapping[str, _File], prefix: str) -> tuple[np.ndarray, np.ndarray]:
    image_path, images = _read(files[f"{prefix}-images-idx3-ubyte"], num_axes=3)
    label_path, labels = _read(files[f"{prefix}-labels-idx1-ubyte"], num_axes=1)
    if images.shape[1:] != _IMAGE_SHAPE:
        raise DataError(f"image size in {image_path}", value=images.shape[1:], expected=str(_IMAGE_SHAPE))
    if len(images) != len(labels):
        raise DataError(
            f"number of labels in {label_path}",
            value=len(labels),
            expected=f"{len(images)} as in {image_path}",
        )
    if labels.size and labels.max() >= _NUM_CLASSES:
        raise DataError(f"largest label in {label_path}", value=int(labels.max()), expected="0 to 9")
    return images[..., None], labels


def _read(file: _File, *, num_axes: int) -> tuple[pathlib.Path, np.ndarray]:
    """Reads an IDX file of bytes: magic number and length of each axis, big-endian uint32, then the values."""
    path, content = file
    header = struct.Struct(f">{1 + num_axes}I")
    if len(content) < header.size:
        raise DataError(f"size of {path}", value=len(content), expected=f"a header of {header.size} bytes")
    # 0x08 means unsigned bytes; the lowest byte is the number of axes.
    magic, *shape = header.unpack_from(content)
    if magic != 0x0800 + num_axes:
        raise DataError(f"magic number of {path}", value=magic, expected=str(0x0800 + num_axes))
    if len(content) != header.size + math.prod(shape):
        raise DataError(
            f"size of {path} (unpacked)",
            value=len(content),
            expected=f"{header.size + math.prod(shape)} bytes",
        )
    return path, np.frombuffer(content, np.uint8, offset=header.size).reshape(shape)
