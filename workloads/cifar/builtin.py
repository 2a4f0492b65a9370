"""The built-in stand-in for CIFAR-10: textured shapes on textured backgrounds.

A class is one of five shapes with one of two textures. Color, position, size, rotation, lighting, background and noise
are independent of the class. Images are 32x32 in color; a mirror image belongs to the same class.
"""

from collections.abc import Callable, Sequence

import numpy as np

from algoperf_jax.workload import Budget, Facts, Goal

VERSION = "1"
"""Version of the examples; changes whenever they do."""
FACTS = Facts(
    goal=Goal(metric="accuracy", direction="maximize", validation=0.95, test=0.95),
    budget=Budget(max_runtime_sec=900, eval_period_sec=60, step_hint=200),
    batch_size=32,
    eval_batch_size=256,
    split_sizes={"train": 4_096, "eval_train": 512, "validation": 512, "test": 512},
)

IMAGE_SIZE = 32
_CHUNK = 256
"""Number of images drawn at a time, which keeps intermediate arrays small."""

Coordinate = np.ndarray
"""A coordinate of every pixel, relative to a shape of radius about 1: float32 [N, 1024]."""
Pattern = Callable[[Coordinate, Coordinate], np.ndarray]


def _square(x: Coordinate, y: Coordinate) -> np.ndarray:
    return np.maximum(np.abs(x), np.abs(y)) - 0.8


def _triangle(x: Coordinate, y: Coordinate) -> np.ndarray:
    return np.maximum(np.abs(x) * np.float32(np.sqrt(0.75)) + y / 2, -y) - 0.55


def _cross(x: Coordinate, y: Coordinate) -> np.ndarray:
    wide = np.maximum(np.abs(x) - 1, np.abs(y) - 0.36)
    tall = np.maximum(np.abs(x) - 0.36, np.abs(y) - 1)
    return np.minimum(wide, tall)


def _disc(x: Coordinate, y: Coordinate) -> np.ndarray:
    return np.hypot(x, y) - 0.9


def _ring(x: Coordinate, y: Coordinate) -> np.ndarray:
    return np.abs(np.hypot(x, y) - 0.72) - 0.26


_SHAPES: Sequence[Pattern] = (_square, _triangle, _cross, _disc, _ring)
"""Each returns roughly the distance to the shape's edge, negative inside."""


def _stripes(x: Coordinate, y: Coordinate) -> np.ndarray:
    del y
    return np.sin(x)


def _plain(x: Coordinate, y: Coordinate) -> np.ndarray:
    return np.ones_like(x + y)


_TEXTURES: Sequence[Pattern] = (_stripes, _plain)
"""Each returns values in -1 .. 1 from coordinates in radians."""


def generate(rng: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    """Draws `count` examples: `image` uint8 [count, 32, 32, 3] and `label` uint8 [count]."""
    labels = rng.integers(len(_SHAPES) * len(_TEXTURES), size=count).astype(np.uint8)
    images = np.empty((count, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
    for label in range(len(_SHAPES) * len(_TEXTURES)):
        members = np.flatnonzero(labels == label)
        shape, texture = _SHAPES[label // len(_TEXTURES)], _TEXTURES[label % len(_TEXTURES)]
        for start in range(0, len(members), _CHUNK):
            chunk = members[start : start + _CHUNK]
            images[chunk] = _draw(rng, shape, texture, len(chunk))
    return {"image": images, "label": labels}


def _draw(rng: np.random.Generator, shape: Pattern, texture: Pattern, count: int) -> np.ndarray:
    """Draws `count` images of one class, uint8 [count, 32, 32, 3]."""
    radius = rng.uniform(9.5, 13, (count, 1)).astype(np.float32)
    x, y = _frame(rng, count, offset=2.0, tilt=0.12)
    cover = np.clip(0.5 - radius * shape(x / radius, y / radius), 0, 1)[..., None]
    colors = _colors(rng, count)
    figure = _blend(colors[0], colors[1], _waves(rng, texture, count, wavelengths=(5, 8), tilt=0.12))
    ground = _blend(colors[2], colors[3], _waves(rng, _stripes, count, wavelengths=(30, 80), tilt=10.0))
    noise = rng.standard_normal((count, IMAGE_SIZE**2, 3), np.float32) * rng.uniform(0.01, 0.05, (count, 1, 1))
    image = _blend(ground, figure, cover) + noise
    return np.clip(255 * image, 0, 255).astype(np.uint8).reshape(count, IMAGE_SIZE, IMAGE_SIZE, 3)


def _frame(rng: np.random.Generator, count: int, offset: float, tilt: float) -> tuple[Coordinate, Coordinate]:
    """Coordinates in pixels around a random center, rotated by a random angle.

    Args:
      rng: source of randomness.
      count: number of images.
      offset: largest distance of the center from the middle of the image along each axis, in pixels.
      tilt: standard deviation of the angle, in radians.
    """
    rows, columns = np.divmod(np.arange(IMAGE_SIZE**2, dtype=np.float32), IMAGE_SIZE)
    center = (IMAGE_SIZE / 2 - 0.5 + rng.uniform(-offset, offset, (2, count, 1))).astype(np.float32)
    x, y = columns - center[0], rows - center[1]
    angle = rng.normal(0, tilt, (count, 1)).astype(np.float32)
    cosine, sine = np.cos(angle), np.sin(angle)
    return cosine * x + sine * y, cosine * y - sine * x


def _waves(
    rng: np.random.Generator, texture: Pattern, count: int, wavelengths: tuple[float, float], tilt: float
) -> np.ndarray:
    """A texture of random wavelength (in pixels), phase and direction, in 0 .. 1 [count, 1024, 1]."""
    frequency = (2 * np.pi / rng.uniform(*wavelengths, (count, 1))).astype(np.float32)
    x, y = _frame(rng, count, offset=IMAGE_SIZE / 2, tilt=tilt)
    return (0.5 + 0.5 * np.clip(1.5 * texture(frequency * x, frequency * y), -1, 1))[..., None]


def _colors(rng: np.random.Generator, count: int) -> np.ndarray:
    """Four random colors [4, count, 1, 3]: two dark ones, and two light ones for the shape, with darker stripes."""
    colors = rng.uniform(0, 0.6, (4, count, 1, 3)).astype(np.float32)
    colors[0] = 0.15 + colors[0]
    colors[1] = 0.4 + colors[1]
    return colors


def _blend(one: np.ndarray, other: np.ndarray, amount: np.ndarray) -> np.ndarray:
    return one + amount * (other - one)
