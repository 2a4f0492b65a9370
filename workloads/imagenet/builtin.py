"""The built-in stand-in for ImageNet: several textured figures of one kind on a colored background, as JPEG files.

A class is a shape, a texture and a palette, out of ten each. Number, positions, sizes and directions of the figures,
lighting, background, noise and image size are independent of the class. Figures repeat, so a crop of a tenth of the
image usually still shows one. Mirroring changes no figure's class.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from algoperf_jax.data.arrays import Columns
from algoperf_jax.data.sources import Origin
from workloads.imagenet.decoding import encode
from workloads.imagenet.rows import ImageFile

VERSION = "1"
"""Version of the images; changes whenever they do."""
MAX_CLASSES = 1000
SPLITS = ("train", "validation", "test")
_SEED = 20_260_301
"""Fixed: every run sees the same images, regardless of its own seed."""
_QUALITY = 90
_KEPT = 4096
"""Number of files that each process caches; those of a small data set are drawn only once."""
_PALETTE = 10

Plane = np.ndarray
"""One number per pixel, float32 [H, W]."""


def _disc(x: Plane, y: Plane) -> Plane:
    return np.hypot(x, y) - 0.85


def _square(x: Plane, y: Plane) -> Plane:
    return np.maximum(np.abs(x), np.abs(y)) - 0.75


def _triangle(x: Plane, y: Plane) -> Plane:
    return np.maximum(np.abs(x) * np.float32(0.866) + y / 2, -y) - 0.5


def _plus(x: Plane, y: Plane) -> Plane:
    x, y = np.abs(x), np.abs(y)
    return np.minimum(np.maximum(x - 1, y - 0.33), np.maximum(x - 0.33, y - 1))


def _ring(x: Plane, y: Plane) -> Plane:
    return np.abs(np.hypot(x, y) - 0.7) - 0.25


def _star(x: Plane, y: Plane) -> Plane:
    # The radius is a zigzag function of the angle.
    turn = np.arctan2(y, x) * np.float32(5 / (2 * np.pi))
    return np.hypot(x, y) - (0.4 + 1.2 * np.abs(turn - np.rint(turn)))


def _crescent(x: Plane, y: Plane) -> Plane:
    return np.maximum(np.hypot(x, y) - 0.95, 0.75 - np.hypot(x - 0.45, y))


def _bar(x: Plane, y: Plane) -> Plane:
    return np.maximum(np.abs(x) - 1, np.abs(y) - 0.3)


def _hourglass(x: Plane, y: Plane) -> Plane:
    return np.maximum(np.abs(x) - np.abs(y) * np.float32(0.9) - 0.05, np.abs(y) - 0.9)


def _clover(x: Plane, y: Plane) -> Plane:
    return np.hypot(x, y) - (0.65 + 0.32 * np.cos(3 * np.arctan2(y, x)))


_SHAPES: tuple[Callable[[Plane, Plane], Plane], ...] = (
    _disc,
    _plus,
    _ring,
    _triangle,
    _star,
    _bar,
    _square,
    _crescent,
    _hourglass,
    _clover,
)
"""Each returns roughly the distance to the edge of a figure of radius 1, negative inside."""

_TEXTURES: tuple[Callable[[Plane, Plane], Plane], ...] = (
    lambda x, y: np.ones_like(x),
    lambda x, y: np.sin(8 * x),
    lambda x, y: np.sin(8 * x) * np.sin(8 * y),
    lambda x, y: np.sin(13 * np.hypot(x, y)),
    lambda x, y: np.sin(6 * np.arctan2(y, x)),
    lambda x, y: np.sin(20 * x),
    lambda x, y: 1.5 - 3 * np.hypot(x, y),
    lambda x, y: np.sin(9 * x + 2.5 * np.sin(5 * y)),
    lambda x, y: np.cos(15 * x) + np.cos(15 * y) - 0.8,
    lambda x, y: 3 * x,
)
"""Each returns a number in about -1 .. 1 from the coordinates of a figure."""


def attributes(label: int) -> tuple[int, int, int]:
    """Shape, texture and palette of a class; the first ten classes differ in all three."""
    ones, tens, hundreds = label % 10, label // 10 % 10, label // 100 % 10
    return ones, (ones + tens) % 10, (ones + hundreds) % 10


def draw(rng: np.random.Generator, label: int, height: int, width: int) -> np.ndarray:
    """Draws an image of a class, uint8 [height, width, 3]."""
    shape, texture, palette = attributes(label)
    extent = min(height, width)
    image = _ground(rng, palette, height, width)
    across = int(rng.integers(2, 4))
    cell = np.array([height, width]) / across
    light, dark = _color(rng, palette, 0.95), _color(rng, palette, 0.45)
    for number in rng.permutation(across * across):
        row, column = divmod(int(number), across)
        center = (np.array([row, column]) + rng.uniform(0.35, 0.65, 2)) * cell
        radius = extent / across * rng.uniform(0.38, 0.52)
        _put(image, rng, _SHAPES[shape], _TEXTURES[texture], center, radius, light, dark)
    image *= rng.uniform(0.75, 1.1) + rng.uniform(-0.2, 0.2) * np.linspace(-1, 1, width, dtype=np.float32)[:, None]
    image += rng.standard_normal((height, width, 1), np.float32) * np.float32(rng.uniform(0.01, 0.05))
    return (255 * np.clip(image, 0, 1)).astype(np.uint8)


def _ground(rng: np.random.Generator, palette: int, height: int, width: int) -> np.ndarray:
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)
    a, b, phase = (np.float32(number) for number in rng.uniform(-4, 4, 3))
    waves = (0.5 + 0.5 * np.sin(a * x + b * y + phase))[..., None]
    opposite = (palette + _PALETTE // 2) % _PALETTE
    one, other = _color(rng, opposite, 0.6) * np.float32(0.5), _color(rng, opposite, 0.3)
    return one + waves * (other - one)


def _color(rng: np.random.Generator, palette: int, lightness: float) -> np.ndarray:
    """A color near a palette's hue, float32 [3]."""
    hue = 6 * (palette / _PALETTE + rng.normal(0, 0.02))
    pure = np.clip(np.abs((hue - np.array([0, 2, 4])) % 6 - 3) - 1, 0, 1)
    saturation = rng.uniform(0.6, 1)
    return ((1 - saturation + saturation * pure) * lightness * rng.uniform(0.85, 1.05)).astype(np.float32)


def _put(
    image: np.ndarray,
    rng: np.random.Generator,
    shape: Callable[[Plane, Plane], Plane],
    texture: Callable[[Plane, Plane], Plane],
    center: np.ndarray,
    radius: float,
    light: np.ndarray,
    dark: np.ndarray,
) -> None:
    """Draws a figure into an image, rotated by a random angle."""
    reach = 1.3 * radius
    top, left = (max(0, int(position - reach)) for position in center)
    part = image[top : int(center[0] + reach) + 1, left : int(center[1] + reach) + 1]
    y = ((np.arange(part.shape[0], dtype=np.float32) + np.float32(top - center[0])) / np.float32(radius))[:, None]
    x = (np.arange(part.shape[1], dtype=np.float32) + np.float32(left - center[1])) / np.float32(radius)
    angle = rng.uniform(0, 2 * np.pi)
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    x, y = cosine * x + sine * y, cosine * y - sine * x
    cover = np.clip(0.5 - np.float32(radius) * shape(x, y), 0, 1)[..., None]
    amount = (0.5 + 0.5 * np.clip(texture(x, y), -1, 1))[..., None]
    part += cover * (dark + amount * (light - dark) - part)


@dataclasses.dataclass(frozen=True)
class BuiltinFiles:
    """The images of a split, drawn when they are read.

    Attributes:
      split: name of the split.
      image_size: height and width that images are cropped to; they are a little larger.
      num_classes: number of classes.
      count: number of images.
    """

    split: str
    image_size: int
    num_classes: int
    count: int

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """Class indices int32 [count], all classes equally often."""
        rng = np.random.default_rng([_SEED, SPLITS.index(self.split), self.image_size])
        return rng.permutation(np.arange(self.count) % self.num_classes).astype(np.int32)

    def __len__(self) -> int:
        return self.count

    def read(self, index: int) -> ImageFile:
        """Image `index`."""
        return _drawn(self, index)


@functools.lru_cache(maxsize=_KEPT)
def _drawn(files: BuiltinFiles, index: int) -> ImageFile:
    rng = np.random.default_rng([_SEED, SPLITS.index(files.split), files.image_size, index])
    height, width = (round(files.image_size * float(factor)) for factor in rng.uniform(1.1, 1.4, 2))
    content = encode(draw(rng, int(files.labels[index]), height, width), _QUALITY)
    return ImageFile(content, f"{index} of the built-in {files.split} split")


class BuiltinImages:
    """Labeled images of all splits.

    Args:
      image_size: height and width that images are cropped to.
      num_classes: number of classes, at most 1000.
      sizes: number of images in each split.
    """

    origin: Origin = "builtin"

    def __init__(self, image_size: int, num_classes: int, sizes: Mapping[str, int]) -> None:
        if not 1 <= num_classes <= MAX_CLASSES:
            raise ValueError(f"{num_classes} classes; there are {MAX_CLASSES}")
        self._num_classes = num_classes
        self._files = {split: BuiltinFiles(split, image_size, num_classes, count) for split, count in sizes.items()}

    def columns(self, split: str) -> Columns:
        """Returns `label`, the class indices int32 [N] of a split."""
        return {"label": self._files[split].labels}

    def examples(self, split: str) -> BuiltinFiles:
        """Returns the images of a split."""
        return self._files[split]

    def describe(self) -> dict[str, Any]:
        """Returns version, number of classes and split sizes."""
        sizes = {split: files.count for split, files in self._files.items()}
        return {
            "dataset": "generated",
            "version": VERSION,
            "num_classes": self._num_classes,
            "split_sizes": sizes,
        }
