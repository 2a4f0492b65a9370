"""Chooses the part of an image to use: a fixed one in evaluation, a random one in training.

The random rule is that of `tf.image.stateless_sample_distorted_bounding_box` with the whole image as the only box: the
height, not the area, is uniform, and a part that covers less than a tenth of the image is drawn again.
"""

import math
from typing import NamedTuple

import numpy as np

_CENTER_FRACTION = np.float32(224 / 256)
_MIN_AREA, _MAX_AREA = 0.08, 1.0
_MIN_COVERED = 0.1
_ASPECT_RATIOS = (0.75, 4 / 3)
_ATTEMPTS = 10


class Crop(NamedTuple):
    """Part of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def of(self, image: np.ndarray) -> np.ndarray:
        """Returns this part of an image [H, W, ...], as a view."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]


def center(height: int, width: int) -> Crop:
    """The central square with 7/8 of the shorter side; an odd margin is larger at the top and left."""
    size = max(1, int(_CENTER_FRACTION * min(height, width)))
    return Crop((height - size + 1) // 2, (width - size + 1) // 2, size, size)


def random(rng: np.random.Generator, height: int, width: int) -> Crop:
    """Draws a random part of at least a tenth of the image; after 10 rejected draws, takes the middle."""
    for _ in range(_ATTEMPTS):
        crop = _draw(rng, height, width)
        if crop is not None and crop.height * crop.width >= _MIN_COVERED * height * width:
            # The reference treats a crop that is the whole image as a failure.
            return center(height, width) if crop == (0, 0, height, width) else crop
    return center(height, width)


def _draw(rng: np.random.Generator, height: int, width: int) -> Crop | None:
    aspect_ratio = rng.uniform(*_ASPECT_RATIOS)
    smallest, largest = _MIN_AREA * height * width, _MAX_AREA * height * width
    shortest = round(math.sqrt(smallest / aspect_ratio))
    tallest = min(round(math.sqrt(largest / aspect_ratio)), height)
    if round(tallest * aspect_ratio) > width:
        tallest = int((width + 0.5) / aspect_ratio)
        if round(tallest * aspect_ratio) > width:
            tallest -= 1
    chosen = int(rng.integers(min(shortest, tallest), tallest + 1))
    across = round(chosen * aspect_ratio)
    # Rounding may exceed the permitted areas by less than a row.
    if chosen * across < smallest:
        chosen += 1
        across = round(chosen * aspect_ratio)
    if chosen * across > largest:
        chosen -= 1
        across = round(chosen * aspect_ratio)
    if not (smallest <= chosen * across <= largest and 0 < across <= width and 0 < chosen <= height):
        return None
    top = int(rng.integers(height - chosen)) if chosen < height else 0
    left = int(rng.integers(width - across)) if across < width else 0
    return Crop(top, left, chosen, across)
