"""CIFAR-10: from the binary or Python version to columns `image` uint8 [n, 32, 32, 3] and `label` uint8 [n].

Source: https://www.cs.toronto.edu/~kriz/cifar.html
"""

import io
import logging
import lzma
import pathlib
import pickle
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from algoperf_jax.data.download import Download, find
from algoperf_jax.data.prepared import Block, DatasetSpec, in_blocks
from algoperf_jax.errors import DataError

DATASET = DatasetSpec("cifar", "1.0.0")
DOWNLOADS = (
    Download(
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        "cifar-10-binary.tar.gz",
        170_052_171,
        "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    ),
)

_TRAIN_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
_TEST_BATCH = "test_batch"
_BATCHES = (*_TRAIN_BATCHES, _TEST_BATCH)
_PIXELS = 3 * 32 * 32
_NUM_CLASSES = 10
_NEEDED = "Needed are data_batch_1 to data_batch_5 and test_batch of the binary or the Python version of CIFAR-10."

_logger = logging.getLogger(__name__)


def convert(folder: pathlib.Path) -> Mapping[str, Iterable[Block]]:
    """The splits: `train` is the first 9/10 (45,000) of the training images, `validation` the rest, `test`.

    Args:
      folder: holds the batches of the binary version (`.bin`) or of the Python version, unpacked, directly or
        in a subfolder, or else an archive `cifar-10*.tar*` of either. Some training batches may be missing.

    Raises:
      DataError: there is no training batch or no test batch, or a file is damaged.
    """
    batches = _unpacked(folder) or _archived(folder)
    missing = [name for name in _TRAIN_BATCHES if name not in batches]
    if _TEST_BATCH not in batches or len(missing) == len(_TRAIN_BATCHES):
        raise DataError(f"no complete CIFAR-10 in {folder}", value=sorted(batches), remedy=_NEEDED)
    examples = {name: _parse(where, content) for name, (where, content) in batches.items()}
    if missing:
        _logger.warning("cifar: only a subset of the training images; absent: %s", ", ".join(missing))
    train = [examples[name] for name in _TRAIN_BATCHES if name in examples]
    images = np.concatenate([images for images, _ in train])
    labels = np.concatenate([labels for _, labels in train])
    test_images, test_labels = examples[_TEST_BATCH]
    cut = 9 * len(labels) // 10
    return {
        "train": in_blocks({"image": images[:cut], "label": labels[:cut]}),
        "validation": in_blocks({"image": images[cut:], "label": labels[cut:]}),
        "test": in_blocks({"image": test_images, "label": test_labels}),
    }


_RawBatches = dict[str, tuple[str, bytes]]
"""Batch name without suffix -> where it was found (files of the binary version end in `.bin`), content."""


def _unpacked(folder: pathlib.Path) -> _RawBatches:
    for suffix in (".bin", ""):
        paths = {name: find(folder, f"{name}{suffix}") for name in _BATCHES}
        found = {name: (str(path), path.read_bytes()) for name, path in paths.items() if path is not None}
        if found:
            return found
    return {}


def _archived(folder: pathlib.Path) -> _RawBatches:
    path = find(folder, "cifar-10-binary*.tar*", "cifar-10-python*.tar*", "cifar-10*.tar*")
    if path is None:
        return {}
    found: _RawBatches = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = pathlib.PurePath(member.name).name
                file = archive.extractfile(member) if name.removesuffix(".bin") in _BATCHES else None
                if file is not None:
                    found[name.removesuffix(".bin")] = (f"{path}:{member.name}", file.read())
            # The archive's own checksum comes last.
            while archive.fileobj is not None and archive.fileobj.read(1 << 20):
                pass
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError) as error:
        raise DataError(f"{path} cannot be unpacked ({error})", remedy="Download it again.") from error
    return found


def _parse(where: str, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [n, 32, 32, 3] and labels uint8 [n] of a batch; both versions store planes of color."""
    planes, labels = _parse_binary(where, content) if where.endswith(".bin") else _parse_python(where, content)
    if len(labels) != len(planes):
        raise DataError(f"number of labels in {where}", value=len(labels), expected=str(len(planes)))
    if labels.size and (labels.min() < 0 or labels.max() >= _NUM_CLASSES):
        raise DataError(f"labels in {where}", value=(int(labels.min()), int(labels.max())), expected="0 to 9")
    return planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels.astype(np.uint8)


def _parse_binary(where: str, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    if len(content) % (1 + _PIXELS):
        raise DataError(f"size of {where}", value=len(content), expected=f"a multiple of {1 + _PIXELS} bytes")
    records = np.frombuffer(content, np.uint8).reshape(-1, 1 + _PIXELS)
    return records[:, 1:], records[:, 0]


def _parse_python(where: str, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    # A damaged pickle can raise nearly anything.
    try:
        batch = _ArrayUnpickler(io.BytesIO(content), encoding="bytes").load()
        # The original files come from Python 2, whose strings are read as bytes.
        batch = {key.decode() if isinstance(key, bytes) else key: value for key, value in batch.items()}
        planes, labels = np.asarray(batch["data"]), np.asarray(batch["labels"])
        if planes.dtype != np.uint8 or planes.ndim != 2 or planes.shape[1] != _PIXELS:
            raise ValueError(f"data are {planes.dtype} {planes.shape}, not uint8 [n, {_PIXELS}]")
        if labels.dtype.kind not in "iu" or labels.ndim != 1:
            raise ValueError(f"labels are {labels.dtype} {labels.shape}, not integers [n]")
    except Exception as error:
        raise DataError(f"{where} is not a CIFAR-10 batch ({error!r})", remedy="Download it again.") from error
    return planes, labels


_RECONSTRUCT, _FROM_BUFFER = np.empty(0).__reduce__()[0], np.empty(0).__reduce_ex__(5)[0]
_PICKLED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    # NumPy renamed its core package; how an array is rebuilt depends on the pickle protocol.
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy.core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("numpy._core.numeric", "_frombuffer"): _FROM_BUFFER,
    # How protocol 2 of Python 3 spells bytes.
    ("_codecs", "encode"): lambda text, encoding: text.encode(encoding),
}


class _ArrayUnpickler(pickle.Unpickler):
    """Makes dicts, lists and arrays and nothing else, so that a foreign file cannot run code."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        try:
            return _PICKLED[module_name, global_name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module_name}.{global_name} has no place in a batch") from None
