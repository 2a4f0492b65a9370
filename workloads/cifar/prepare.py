"""CIFAR-10: converts the binary or Python version to columns `image` uint8 [n, 32, 32, 3] and `label` uint8 [n].

Source: https://www.cs.toronto.edu/~kriz/cifar.html
"""

import hashlib
import io
import logging
import pathlib
import pickle
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from algoperf_jax.data.download import Download
from algoperf_jax.data.prepared import Block, DatasetSpec, in_blocks
from algoperf_jax.data.raw_files import archives, find_all, members
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
_IMAGES_PER_BATCH = 10_000
_PIXELS = 3 * 32 * 32
_NUM_CLASSES = 10
_NEEDED = "Provide data_batch_1 to data_batch_5 and test_batch of the binary or the Python version of CIFAR-10."

_logger = logging.getLogger(__name__)


def convert(folder: pathlib.Path) -> Mapping[str, Iterable[Block]]:
    """The splits: `train` is the first 9/10 (45,000) of the training images, `validation` the rest; and `test`.

    If there are several sets of batches, a complete one is used.

    Args:
      folder: contains the batches of the binary version (`.bin`) or of the Python version, unpacked, directly or in a
        subfolder, or an archive `cifar-10*` of either (`.tar`, `.tar.gz`, `.tgz`, `.tar.xz`). Some training batches may
        be missing.

    Raises:
      DataError: there is no training batch or no test batch, a file is damaged, or several sets differ.
    """
    batches = _chosen(folder)
    absent = [name for name in _TRAIN_BATCHES if name not in batches]
    if absent:
        _logger.warning("cifar: only a subset of the training images; missing: %s", ", ".join(absent))
    sizes = {name: len(batch.labels) for name, batch in batches.items() if len(batch.labels) != _IMAGES_PER_BATCH}
    if sizes:
        _logger.warning(
            "cifar: a batch of CIFAR-10 has %s images, but here: %s; results are not comparable with published ones",
            f"{_IMAGES_PER_BATCH:,}",
            ", ".join(f"{name} {size:,}" for name, size in sizes.items()),
        )
    train = [batches[name] for name in _TRAIN_BATCHES if name in batches]
    images = np.concatenate([batch.images for batch in train])
    labels = np.concatenate([batch.labels for batch in train])
    test_images, test_labels = batches[_TEST_BATCH]
    cut = 9 * len(labels) // 10
    return {
        "train": in_blocks({"image": images[:cut], "label": labels[:cut]}),
        "validation": in_blocks({"image": images[cut:], "label": labels[cut:]}),
        "test": in_blocks({"image": test_images, "label": test_labels}),
    }


class _RawSet(NamedTuple):
    """Batches that belong together: their place, and for each name without suffix, place and content of the batch."""

    where: str
    batches: dict[str, tuple[str, bytes]]


class _Batch(NamedTuple):
    """Images uint8 [n, 32, 32, 3] and labels uint8 [n]."""

    images: np.ndarray
    labels: np.ndarray


def _unpacked(folder: pathlib.Path) -> list[_RawSet]:
    """The sets in folders: the binary version first, then by depth."""
    found: list[_RawSet] = []
    for suffix in (".bin", ""):
        sets: dict[pathlib.Path, dict[str, tuple[str, bytes]]] = {}
        paths = find_all(folder, *(f"{name}{suffix}" for name in _BATCHES))
        names = [path.name.removesuffix(".bin") for path in paths]
        # If each batch occurs once, they need not be in one folder.
        together = len(set(names)) == len(names)
        for path, name in zip(paths, names, strict=True):
            sets.setdefault(folder if together else path.parent, {})[name] = (str(path), path.read_bytes())
        ordered = sorted(sets.items(), key=lambda item: (len(item[0].parts), item[0]))
        found += [_RawSet(f"{place}/*{suffix}", batches) for place, batches in ordered]
    return found


def _archived(path: pathlib.Path) -> list[_RawSet]:
    """The sets in an archive; several if it contains several folders or both versions."""
    sets: dict[tuple[str, str], dict[str, tuple[str, bytes]]] = {}
    for member, content in members(path):
        file = pathlib.PurePath(member)
        name = file.name.removesuffix(".bin")
        if name not in _BATCHES:
            continue
        batches = sets.setdefault((str(file.parent), file.name.removeprefix(name)), {})
        if batches.setdefault(name, (f"{path}:{member}", content))[1] != content:
            raise DataError(f"{path} contains {member} twice, and the two differ", remedy="Download it again.")
    return [_RawSet(f"{path}:{place}/*{suffix}", batches) for (place, suffix), batches in sets.items()]


def _chosen(folder: pathlib.Path) -> Mapping[str, _Batch]:
    """The batches of the most complete set; damaged and incomplete sets are ignored if one is complete."""
    sets = _unpacked(folder)
    errors: list[DataError] = []
    for path in archives(folder, "cifar-10-binary", "cifar-10-python", "cifar-10"):
        try:
            sets += [] if path.name.startswith("cifar-100") else _archived(path)
        except DataError as error:
            errors.append(error)
    parsed: list[tuple[int, str, Mapping[str, _Batch]]] = []
    for where, contents in sets:
        try:
            batches = {name: _parse(place, content) for name, (place, content) in contents.items()}
        except DataError as error:
            errors.append(error)
            continue
        parsed.append((_completeness(batches), where, batches))
    best = max((completeness for completeness, *_ in parsed), default=0)
    if errors and best < _WHOLE:
        raise errors[0]
    for error in errors:
        _logger.warning("cifar: left out: %s", error)
    equal = [(where, batches) for completeness, where, batches in parsed if completeness == best]
    if len(equal) > 1 and len({_digest(batches) for _, batches in equal}) > 1:
        raise DataError(
            f"several sets of CIFAR-10 batches in {folder} differ",
            value=[f"{where}: {', '.join(sorted(batches))}" for where, batches in equal],
            expected="one complete set",
            remedy="Name the folder of one with --from=FOLDER.",
        )
    if not equal or _TEST_BATCH not in equal[0][1] or len(equal[0][1]) < 2:
        found = [f"{where}: {', '.join(sorted(batches))}" for where, batches in equal]
        raise DataError(f"no complete CIFAR-10 in {folder}", value=found, remedy=_NEEDED)
    return equal[0][1]


_WHOLE = 2


def _completeness(batches: Mapping[str, _Batch]) -> int:
    """`_WHOLE` if all batches have all images, 1 if all batches are there, else 0."""
    if len(batches) < len(_BATCHES):
        return 0
    return _WHOLE if all(len(batch.labels) == _IMAGES_PER_BATCH for batch in batches.values()) else 1


def _digest(batches: Mapping[str, _Batch]) -> str:
    digest = hashlib.sha256()
    for name, (images, labels) in sorted(batches.items()):
        digest.update(f"{name} {len(labels)}".encode())
        digest.update(images.tobytes())
        digest.update(labels.tobytes())
    return digest.hexdigest()


def _parse(where: str, content: bytes) -> _Batch:
    """Parses a batch; both versions store planes of color."""
    planes, labels = _parse_binary(where, content) if where.endswith(".bin") else _parse_python(where, content)
    if len(labels) != len(planes):
        raise DataError(f"number of labels in {where}", value=len(labels), expected=str(len(planes)))
    if labels.size and (labels.min() < 0 or labels.max() >= _NUM_CLASSES):
        raise DataError(f"labels in {where}", value=(int(labels.min()), int(labels.max())), expected="0 to 9")
    return _Batch(planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels.astype(np.uint8))


def _parse_binary(where: str, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    if len(content) % (1 + _PIXELS):
        raise DataError(f"size of {where}", value=len(content), expected=f"a multiple of {1 + _PIXELS} bytes")
    records = np.frombuffer(content, np.uint8).reshape(-1, 1 + _PIXELS)
    return records[:, 1:], records[:, 0]


def _parse_python(where: str, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    # A damaged pickle can raise almost any exception.
    try:
        batch = _ArrayUnpickler(io.BytesIO(content), encoding="bytes").load()
        # The original files come from Python 2; its strings are read as bytes.
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
    # NumPy renamed its core package, and how an array is rebuilt depends on the pickle protocol.
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy.core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("numpy._core.numeric", "_frombuffer"): _FROM_BUFFER,
    # How protocol 2 of Python 3 encodes bytes.
    ("_codecs", "encode"): lambda text, encoding: text.encode(encoding),
}


class _ArrayUnpickler(pickle.Unpickler):
    """Makes only dicts, lists and arrays, so that an untrusted file cannot run code."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        try:
            return _PICKLED[module_name, global_name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module_name}.{global_name} is not allowed in a batch") from None
