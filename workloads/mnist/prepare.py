"""MNIST: from the IDX files to columns `image` uint8 [n, 28, 28, 1] and `label` uint8 [n].

Source: http://yann.lecun.com/exdb/mnist/ (format); the copy of the files that TFDS uses (addresses,
checksums).
"""

import gzip
import math
import pathlib
import struct
import zlib
from collections.abc import Iterable, Mapping

import numpy as np

from algoperf_jax.data.download import Download, find
from algoperf_jax.data.prepared import Block, DatasetSpec, in_blocks
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

_IMAGE_SHAPE = (28, 28)
_NUM_CLASSES = 10


def convert(folder: pathlib.Path) -> Mapping[str, Iterable[Block]]:
    """The splits: `train` is the first 5/6 (50,000) of the training images, `validation` the rest, `test`.

    Args:
      folder: holds the four IDX files, gzipped or not, directly or in a subfolder.

    Raises:
      DataError: a file is missing or damaged.
    """
    images, labels = _examples(folder, "train")
    test_images, test_labels = _examples(folder, "t10k")
    cut = 5 * len(labels) // 6
    return {
        "train": in_blocks({"image": images[:cut], "label": labels[:cut]}),
        "validation": in_blocks({"image": images[cut:], "label": labels[cut:]}),
        "test": in_blocks({"image": test_images, "label": test_labels}),
    }


def _examples(folder: pathlib.Path, prefix: str) -> tuple[np.ndarray, np.ndarray]:
    image_path, images = _read(folder, f"{prefix}-images-idx3-ubyte", num_axes=3)
    label_path, labels = _read(folder, f"{prefix}-labels-idx1-ubyte", num_axes=1)
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


def _read(folder: pathlib.Path, name: str, *, num_axes: int) -> tuple[pathlib.Path, np.ndarray]:
    """An IDX file of bytes: magic number and length of each axis, big-endian uint32, then the values."""
    path = find(folder, name, f"{name}.gz")
    if path is None:
        raise DataError(f"{name} (or {name}.gz) is missing in {folder}", remedy="All four IDX files are needed.")
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error})", remedy="Download it again.") from error
    header = struct.Struct(f">{1 + num_axes}I")
    if len(content) < header.size:
        raise DataError(f"size of {path}", value=len(content), expected=f"a header of {header.size} bytes")
    # 0x08 stands for unsigned bytes, the lowest byte for the number of axes.
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
