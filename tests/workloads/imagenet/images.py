"""Small image files, and access to real ones and large reference arrays."""

import functools
import io
import os
import pathlib
import tarfile
from collections.abc import Mapping

import numpy as np
import pytest
from PIL import Image


@functools.cache
def golden(name: str) -> Mapping[str, np.ndarray]:
    """Reference arrays that are too large to copy into the tests."""
    folder = os.environ.get("ALGOPERF_GOLDEN_DIR")
    if not folder:
        pytest.skip(f"ALGOPERF_GOLDEN_DIR does not name the folder with {name}.npz")
    with np.load(pathlib.Path(folder) / f"{name}.npz", allow_pickle=False) as archive:
        return dict(archive)


@functools.cache
def photos() -> tuple[bytes, ...]:
    """Real JPEG files, including gray ones."""
    folder = os.environ.get("ALGOPERF_TEST_DATA")
    if not folder:
        pytest.skip("ALGOPERF_TEST_DATA does not name the folder with imagenet_like/*.tar")
    found = []
    for path in sorted((pathlib.Path(folder) / "imagenet_like").glob("*.tar")):
        with tarfile.open(path) as archive:
            for member in archive:
                if member.isfile() and len(found) < 64:
                    file = archive.extractfile(member)
                    assert file is not None
                    found.append(file.read())
    return tuple(found)


def smooth(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Pixels uint8 [height, width, 3] that survive compression."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(30, 220, (4, 4, 3), np.uint8))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def encoded(pixels: np.ndarray, *, mode: str = "RGB", kind: str = "JPEG") -> bytes:
    file = io.BytesIO()
    options = {"quality": 95} if kind == "JPEG" else {}
    Image.fromarray(pixels).convert(mode).save(file, kind, **options)
    return file.getvalue()
