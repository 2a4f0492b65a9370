"""RandAugment (Cubuk et al. 2020, https://arxiv.org/abs/1909.13719) with two operations at magnitude 10 of 10.

The operations have the same effects as in the reference, even where those are odd: the solarization threshold of 256
wraps around, so that all pixels are inverted, and contrast is relative to the number of pixels / 256 instead of the
mean brightness.
"""

import functools
import math
from collections.abc import Callable, Mapping

import numpy as np

LAYERS = 2
FILL = 128
"""Value of pixels that an operation uncovers or cuts out."""
_BLEND = np.float32(1.9)
_GRAY = np.array([0.2989, 0.587, 0.114], np.float32)
_CUTOUT = 40

Operation = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""Maps uint8 [H, W, 3] to the same shape; draws its own random numbers."""


def augment(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Applies two random operations to uint8 [H, W, 3]."""
    for chosen in rng.integers(len(OPERATIONS), size=LAYERS):
        image = _IN_ORDER[chosen](image, rng)
    return image


def mapped(image: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Replaces each value by its entry in a table uint8 [256]."""
    return np.take(table, image, mode="clip")


def auto_contrast(image: np.ndarray) -> np.ndarray:
    """Stretches each channel to 0 .. 255; leaves constant channels unchanged."""
    out = np.empty_like(image)
    for channel in range(3):
        plane = image[..., channel]
        low, high = np.float32(plane.min()), np.float32(plane.max())
        if high <= low:
            out[..., channel] = plane
            continue
        scale = np.float32(255) / (high - low)
        out[..., channel] = mapped(plane, _truncated(_values() * scale - low * scale))
    return out


def equalize(image: np.ndarray) -> np.ndarray:
    """Equalizes the histogram of each channel, as Pillow does."""
    out = np.empty_like(image)
    for channel in range(3):
        plane = image[..., channel]
        counts = np.bincount(plane.ravel(), minlength=256)
        filled = counts[counts > 0]
        step = (int(filled.sum()) - int(filled[-1])) // 255
        if step == 0:
            out[..., channel] = plane
            continue
        before = np.concatenate([[0], np.cumsum(counts)[:-1]])
        out[..., channel] = mapped(plane, np.minimum((before + step // 2) // step, 255).astype(np.uint8))
    return out


def solarize(image: np.ndarray, threshold: int) -> np.ndarray:
    """Inverts pixels of at least `threshold`, taken modulo 256."""
    values = np.arange(256)
    return mapped(image, np.where(values < threshold % 256, values, 255 - values).astype(np.uint8))


def color(image: np.ndarray) -> np.ndarray:
    """Exaggerates the distance from gray."""
    # TensorFlow converts to 0 .. 1, and scales by 255.5 on the way back.
    gray = _truncated(image.astype(np.float32) @ (_GRAY * np.float32(255.5 / 255)))
    return _blended(gray[..., None].astype(np.float32), image)


def contrast(image: np.ndarray) -> np.ndarray:
    """Exaggerates the distance from a level that depends only on the number of pixels."""
    level = np.float32(min(image.shape[0] * image.shape[1] // 256, 255))
    return mapped(image, _truncated(level + _BLEND * (_values() - level)))


def sharpness(image: np.ndarray) -> np.ndarray:
    """Exaggerates the distance from a smoothed image; leaves the border unchanged."""
    wide = image.astype(np.uint16)
    rows = wide[:-2] + wide[1:-1] + wide[2:]
    inside = wide[1:-1, 1:-1]
    smooth = (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] + 4 * inside) // 13
    out = image.copy()
    out[1:-1, 1:-1] = _blended(smooth.astype(np.float32), image[1:-1, 1:-1])
    return out


def cutout(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Covers a square of up to 80 x 80 pixels with a center anywhere in the image."""
    row, column = rng.integers(image.shape[0]), rng.integers(image.shape[1])
    out = image.copy()
    out[max(0, row - _CUTOUT) : row + _CUTOUT, max(0, column - _CUTOUT) : column + _CUTOUT] = FILL
    return out


def project(image: np.ndarray, transform: tuple[float, float, float, float, float, float]) -> np.ndarray:
    """Moves pixels: the output at (x, y) is the input nearest to (a x + b y + c, d x + e y + f)."""
    height, width = image.shape[:2]
    pixels = np.concatenate([image.reshape(-1, 3), np.full((1, 3), FILL, np.uint8)])
    # Moving three bytes at a time is much faster than one by one.
    moved = np.take(pixels.view("V3")[:, 0], _sources(height, width, transform), mode="clip")
    return moved.view(np.uint8).reshape(image.shape)


@functools.lru_cache(maxsize=64)
def _sources(height: int, width: int, transform: tuple[float, float, float, float, float, float]) -> np.ndarray:
    """The flat input position of each output pixel, or `height * width` if it is outside; int64 [H * W]."""
    a, b, c, d, e, f = (np.float32(number) for number in transform)
    y, x = np.meshgrid(np.arange(height, dtype=np.float32), np.arange(width, dtype=np.float32), indexing="ij")
    column, row = (_nearest(position) for position in (a * x + b * y + c, d * x + e * y + f))
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    return np.where(inside, row * width + column, height * width).ravel()


def _nearest(position: np.ndarray) -> np.ndarray:
    """Rounds to the nearest integer, halves away from 0."""
    return np.trunc(position + np.copysign(np.float32(0.5), position)).astype(np.int64)


def rotate(image: np.ndarray, degrees: float) -> np.ndarray:
    """Rotates the image around its center."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y = (image.shape[1] - 1) / 2, (image.shape[0] - 1) / 2
    offset_x, offset_y = x - (cosine * x - sine * y), y - (sine * x + cosine * y)
    return project(image, (cosine, -sine, offset_x, sine, cosine, offset_y))


def shear_x(image: np.ndarray, shear: float) -> np.ndarray:
    """Moves each row by `shear` times its index."""
    return project(image, (1, shear, 0, 0, 1, 0))


def shear_y(image: np.ndarray, shear: float) -> np.ndarray:
    """Moves each column by `shear` times its index."""
    return project(image, (1, 0, 0, shear, 1, 0))


def translate_x(image: np.ndarray, pixels: float) -> np.ndarray:
    """Moves the content to the left."""
    return project(image, (1, 0, pixels, 0, 1, 0))


def translate_y(image: np.ndarray, pixels: float) -> np.ndarray:
    """Moves the content up."""
    return project(image, (1, 0, 0, 0, 1, pixels))


def _values() -> np.ndarray:
    return np.arange(256, dtype=np.float32)


def _truncated(values: np.ndarray) -> np.ndarray:
    return np.clip(values, 0, 255).astype(np.uint8)


def _blended(degenerate: np.ndarray, image: np.ndarray) -> np.ndarray:
    """`degenerate + 1.9 (image - degenerate)` as uint8."""
    return _truncated(degenerate + _BLEND * (image - degenerate))


def _fixed(operation: Callable[[np.ndarray], np.ndarray]) -> Operation:
    return lambda image, rng: operation(image)


def _table(values: np.ndarray) -> Operation:
    table = np.clip(values, 0, 255).astype(np.uint8)
    return lambda image, rng: mapped(image, table)


def _signed(operation: Callable[[np.ndarray, float], np.ndarray], amount: float) -> Operation:
    return lambda image, rng: operation(image, amount if rng.random() < 0.5 else -amount)


_ALL = np.arange(256)
OPERATIONS: Mapping[str, Operation] = {
    "AutoContrast": _fixed(auto_contrast),
    "Equalize": _fixed(equalize),
    "Invert": _table(255 - _ALL),
    "Rotate": _signed(rotate, 30.0),
    "Posterize": _table(_ALL & 0xF0),
    "Solarize": _fixed(lambda image: solarize(image, 256)),
    "Color": _fixed(color),
    "Contrast": _fixed(contrast),
    "Brightness": _table(_BLEND * np.arange(256, dtype=np.float32)),
    "Sharpness": _fixed(sharpness),
    "ShearX": _signed(shear_x, 0.3),
    "ShearY": _signed(shear_y, 0.3),
    "TranslateX": _signed(translate_x, 100.0),
    "TranslateY": _signed(translate_y, 100.0),
    "Cutout": cutout,
    "SolarizeAdd": _table(np.where(_ALL < 128, _ALL + 110, _ALL)),
}
"""Operations by name; each is drawn with the same probability."""
_IN_ORDER = tuple(OPERATIONS.values())
