"""fastMRI, knee, single coil: converts HDF5 volumes to one block per slice.

Source: Zbontar et al. 2018, https://arxiv.org/abs/1811.08839, from https://fastmri.med.nyu.edu/ (with registration).
A block has `hybrid` complex64 [W, 320], a slice's k-space transformed and cropped along the other axis (see
`reconstruction`); `target` float32 [1, 320, 320]; and `volume_max` float32 [1]. W differs between volumes.
"""

import logging
import pathlib
import shutil
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import NamedTuple

import numpy as np

from algoperf_jax.data import raw_files
from algoperf_jax.data.download import Download
from algoperf_jax.data.prepared import Block, DatasetSpec
from algoperf_jax.errors import DataError
from workloads.fastmri.reconstruction import IMAGE_SIZE, to_hybrid_space

DATASET = DatasetSpec("fastmri", "1.0.0", compressed=False)
DOWNLOADS: tuple[Download, ...] = ()
"""None: the files are sent only to people who have agreed to the terms."""

KSPACE_ROWS = 640
_TRAIN, _VALIDATION = "knee_singlecoil_train", "knee_singlecoil_val"
_NUM_VOLUMES = {_TRAIN: 973, _VALIDATION: 199}
_NEEDED = (
    f"Get the archives {_TRAIN} and {_VALIDATION} from https://fastmri.med.nyu.edu/ and name their folder with --from."
)

_logger = logging.getLogger(__name__)


class Volume(NamedTuple):
    """The content of a file: k-space complex64 [n, 640, W], targets float32 [n, 320, 320], largest intensity."""

    kspace: np.ndarray
    target: np.ndarray
    volume_max: float


class _BadFileError(Exception):
    """A file cannot be used; the message says why."""


def convert(folder: pathlib.Path) -> Mapping[str, Iterable[Block]]:
    """The splits, in the order of file names: `train`, and the two halves of the official validation volumes.

    The first half (100 of the 199 volumes, the larger half of an odd number) is `validation`, the other `test`; the
    targets of the official test volumes are not public. Files that cannot be used are left out and listed at the end.

    Args:
      folder: contains the folders `knee_singlecoil_train` and `knee_singlecoil_val` (or `singlecoil_train` and
        `singlecoil_val`) of `.h5` files, directly or in subfolders, or else archives of these names (`.tar`, `.tar.gz`,
        `.tgz`, `.tar.xz`), which are unpacked next to themselves.

    Raises:
      DataError: a folder is missing or has too few files, there are several folders of a split, or both splits have the
        same files; while iterating, no file of a split can be used.
    """
    h5py = _h5py()
    train, held_out = (_files(folder, name) for name in (_TRAIN, _VALIDATION))
    both = sorted({path.name for path in train} & {path.name for path in held_out})
    if both:
        raise DataError(
            f"files in {train[0].parent} and in {held_out[0].parent}",
            value=both[:3],
            expected="different volumes in each",
            remedy=_NEEDED,
        )
    if len(held_out) < 2:
        raise DataError(f"files in {held_out[0].parent}", value=len(held_out), expected="2 or more", remedy=_NEEDED)
    half = (len(held_out) + 1) // 2
    parts = {"train": train, "validation": held_out[:half], "test": held_out[half:]}
    left_out: list[str] = []
    return {split: _slices(h5py, split, files, left_out) for split, files in parts.items()}


def _h5py() -> ModuleType:
    try:
        import h5py
    except ImportError as error:
        raise DataError("fastMRI comes as HDF5, and h5py is not installed", remedy="Run: pip install h5py") from error
    return h5py


def _files(folder: pathlib.Path, name: str) -> Sequence[pathlib.Path]:
    """The volumes of an official split, sorted by name."""
    archives = raw_files.archives(folder, name, _short(name))
    found, again = _folders(folder, name), ""
    if found and archives:
        again = f" (to unpack {archives[0]} again, remove the folder)"
    elif archives:
        found = {(unpacked := _unpacked(archives[0], name)): _volumes(unpacked)}
    if not found:
        raise DataError(
            f"{folder} contains neither a folder {name} (or {_short(name)}) of .h5 files nor an archive of it",
            remedy=_NEEDED,
        )
    root, files = next(iter(found.items()))
    # Copies are harmless.
    if any([path.name for path in others] != [path.name for path in files] for others in found.values()):
        raise DataError(
            f"folders of {_short(name)} in {folder}",
            value=[f"{path}: {len(others)} files" for path, others in found.items()],
            expected="one",
            remedy="Remove all but one, or move them elsewhere.",
        )
    if len(files) != _NUM_VOLUMES[name]:
        _logger.warning(
            "fastmri: %s contains %d volumes, not the %d of fastMRI: results are not comparable with published ones%s",
            root,
            len(files),
            _NUM_VOLUMES[name],
            again,
        )
    return files


def _short(name: str) -> str:
    """The name of the folder in the archive of a split."""
    return name.removeprefix("knee_")


def _folders(folder: pathlib.Path, name: str | None) -> dict[pathlib.Path, list[pathlib.Path]]:
    """The folders with volumes of an official split (None: of no split), the nearest first, and these volumes.

    A folder's split is the one that its own name, or that of the nearest parent, refers to.
    """
    splits = {folder_name: split for split in (_TRAIN, _VALIDATION) for folder_name in (split, _short(split))}
    found: dict[pathlib.Path, list[pathlib.Path]] = {}
    for path in raw_files.find_all(folder, "*.h5"):
        around = [parent.name for parent in path.parents if parent.is_relative_to(folder)]
        if next((splits[part] for part in around if part in splits), None) == name:
            found.setdefault(path.parent, []).append(path)
    return found


def _volumes(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(path for path in folder.glob("*.h5") if not raw_files.is_hidden(path.name))


def _unpacked(archive: pathlib.Path, name: str) -> pathlib.Path:
    """Unpacks an archive into a folder next to it, which exists only once it is complete."""
    partial, final = archive.with_name(f".{name}.partial"), archive.with_name(name)
    if final.exists():
        raise DataError(f"no .h5 files in {final}", remedy=f"Remove it, so that {archive} is unpacked again.")
    _logger.info("unpacking %s", archive)
    try:
        shutil.rmtree(partial, ignore_errors=True)
        with tarfile.open(archive) as opened:
            opened.extractall(partial, filter="data")
        # The archive may or may not contain folders.
        inside = _folders(partial, name) or _folders(partial, None)
        if len(inside) != 1:
            raise DataError(
                f"folders of .h5 files in {archive}",
                value=[str(path.relative_to(partial)) for path in inside],
                expected=f"one, {_short(name)}",
                remedy=_NEEDED,
            )
        next(iter(inside)).rename(final)
    except raw_files.UNPACKING_ERRORS as error:
        raise DataError(
            f"{archive} cannot be unpacked ({error})",
            remedy="Free disk space, unpack it by hand, or download it again.",
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return final


def _slices(h5py: ModuleType, split: str, files: Sequence[pathlib.Path], left_out: list[str]) -> Iterator[Block]:
    """Yields one block per slice; bad files are added to `left_out`, which is reported after the last split."""
    usable = 0
    for path in files:
        try:
            volume = read_volume(h5py, path)
        except _BadFileError as error:
            left_out.append(f"{path}: {error}")
            continue
        usable += 1
        hybrid = to_hybrid_space(volume.kspace, IMAGE_SIZE)
        for spectrum, target in zip(hybrid, volume.target, strict=True):
            columns = {
                # Transposed, because slices may differ in W.
                "hybrid": np.ascontiguousarray(spectrum.T),
                "target": target[None],
                "volume_max": np.array([volume.volume_max], np.float32),
            }
            yield Block(1, columns)
    if not usable:
        raise DataError(f"no file of {split} can be used; {left_out[-1]}", remedy="Download the files again.")
    if split == "test" and left_out:
        _logger.warning("fastmri: %d files were left out:", len(left_out))
        for line in left_out:
            _logger.warning("  %s", line)


def read_volume(h5py: ModuleType, path: pathlib.Path) -> Volume:
    """Reads and checks a file."""
    try:
        with h5py.File(path) as file:
            absent = [name for name in ("kspace", "reconstruction_esc") if name not in file]
            if absent:
                raise _BadFileError(f"has no dataset {' and no dataset '.join(absent)}")
            shapes = file["kspace"].shape, file["reconstruction_esc"].shape
            expected = _expected_shapes(shapes[0])
            if shapes != expected:
                raise _BadFileError(f"kspace and reconstruction_esc have the shapes {shapes[0]} and {shapes[1]}")
            kspace = file["kspace"][:].astype(np.complex64, copy=False)
            target = file["reconstruction_esc"][:].astype(np.float32, copy=False)
            # 0 means that the maximum is unknown; the similarity then uses a range of 1.
            volume_max = float(file.attrs.get("max", 0.0))
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise _BadFileError(f"cannot be read ({error})") from error
    for name, values in (("kspace", kspace), ("reconstruction_esc", target)):
        if not np.isfinite(values).all():
            raise _BadFileError(f"{name} contains numbers that are not finite")
        # Such a slice cannot be divided by its standard deviation.
        if not values.any(axis=(1, 2)).all():
            raise _BadFileError(f"{name} has a slice of zeros")
    return Volume(kspace, target, volume_max)


def _expected_shapes(kspace: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The expected shapes of k-space and target: any number of slices, any width from `IMAGE_SIZE` on, the rest is
    fixed.
    """
    count, width = (max(kspace[0], 1), max(kspace[-1], IMAGE_SIZE)) if kspace else (1, IMAGE_SIZE)
    return (count, KSPACE_ROWS, width), (count, IMAGE_SIZE, IMAGE_SIZE)
