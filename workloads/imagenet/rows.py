"""Turns one image into a row of a batch. These objects are sent to worker processes."""

import dataclasses
from typing import NamedTuple

import numpy as np

from algoperf_jax.data import shuffle
from algoperf_jax.data.sources import Examples
from algoperf_jax.errors import DataError
from workloads.imagenet import crops, randaugment, resampling
from workloads.imagenet.decoding import BadImageError, decode
from workloads.imagenet.finishing import normalized


class ImageFile(NamedTuple):
    """An image file.

    Attributes:
      content: the bytes of a JPEG file, or of another file that can be decoded.
      name: a name for messages.
    """

    content: bytes
    name: str


class Request(NamedTuple):
    """A request for one image.

    Attributes:
      index: its index in the split.
      epoch: number of completed epochs; affects the augmentation.
    """

    index: int
    epoch: int = 0

    def __str__(self) -> str:
        return f"image {self.index}"


@dataclasses.dataclass(frozen=True)
class TrainingRows:
    """Random crop and flip, resized to uint8 [S, S, 3]: rounded, or truncated with RandAugment, as in the reference.

    Attributes:
      files: the images.
      seed: seed of the augmentation, which it determines together with the epoch and index of an image.
      augment: whether RandAugment is applied.
    """

    files: Examples[ImageFile]
    seed: int
    augment: bool

    def __call__(self, request: Request, row: np.ndarray) -> None:
        """Fills `row`."""
        pixels = _decoded(self.files.read(request.index))
        rng = shuffle.example_generator(self.seed, request.epoch, request.index)
        crop = crops.random(rng, *pixels.shape[:2])
        resized = resampling.resize(crop.of(pixels), len(row), mirror=rng.random() < 0.5)
        np.clip(resized, 0, 255, out=resized)
        if self.augment:
            row[...] = randaugment.augment(resized.astype(np.uint8), rng)
        else:
            row[...] = np.rint(resized, out=resized)


@dataclasses.dataclass(frozen=True)
class EvaluationRows:
    """The middle of an image, resized and normalized, float32 [S, S, 3]."""

    files: Examples[ImageFile]

    def __call__(self, request: Request, row: np.ndarray) -> None:
        """Fills `row`."""
        pixels = _decoded(self.files.read(request.index))
        crop = crops.center(*pixels.shape[:2])
        row[...] = normalized(resampling.resize(crop.of(pixels), len(row)))


def _decoded(file: ImageFile) -> np.ndarray:
    try:
        return decode(file.content)
    except BadImageError as error:
        raise DataError(
            f"image {file.name} cannot be decoded ({error})", remedy="Prepare the data again; that leaves it out."
        ) from error
