"""The built-in stand-in for fastMRI: volumes of overlapping ellipsoids, measured with noise.

A volume is a body that contains organs of other intensities, with textures. Its slices are images with a smooth phase,
so that k-space has no symmetry that a network could exploit. The target is the noisy image, as in fastMRI.
"""

import dataclasses
import functools
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from algoperf_jax.data.sources import Origin
from algoperf_jax.workload import Budget, Facts, Goal
from workloads.fastmri.reconstruction import Slice

VERSION = "1"
"""Version of the examples; changes whenever they do."""
FACTS = Facts(
    goal=Goal(metric="ssim", direction="maximize", validation=0.80, test=0.80),
    budget=Budget(max_runtime_sec=1_800, eval_period_sec=60, step_hint=2_000),
    batch_size=32,
    eval_batch_size=64,
    split_sizes={"train": 512, "eval_train": 64, "validation": 128, "test": 128},
)
SMALL_FACTS = Facts(
    goal=Goal(metric="ssim", direction="maximize", validation=0.795, test=0.795),
    budget=Budget(max_runtime_sec=300, eval_period_sec=15, step_hint=800),
    batch_size=16,
    eval_batch_size=128,
    split_sizes={"train": 2_048, "eval_train": 128, "validation": 256, "test": 256},
)

_SEED = 20_250_602
_SPLITS = ("train", "validation", "test")
SLICES_PER_VOLUME = 8
_NUM_ORGANS = 14
_UNIT = 2e-4
"""Scale of intensities, about that of scanners."""


@dataclasses.dataclass(frozen=True)
class GeneratedSplit:
    """The slices of a split; any thread of this process may read them.

    Attributes:
      count: number of slices.
      slice_at: index -> slice.
    """

    count: int
    slice_at: Callable[[int], Slice]

    def __len__(self) -> int:
        return self.count

    def read(self, index: int) -> Slice:
        """Returns one slice, the same at every call; it must not be changed."""
        return self.slice_at(index)


class GeneratedSlices:
    """A source that draws a volume when one of its slices is first read, and caches it.

    Args:
      size: height and width of the targets.
      split_sizes: number of slices of each split.
    """

    origin: Origin = "builtin"

    def __init__(self, size: int, split_sizes: Mapping[str, int]) -> None:
        self._size = size
        self._split_sizes = {split: split_sizes[split] for split in _SPLITS}
        self._lock = threading.Lock()
        self._drawn = functools.cache(functools.partial(volume, size))

    def examples(self, split: str) -> "GeneratedSplit":
        """The slices of a split."""
        return GeneratedSplit(self._split_sizes[split], functools.partial(self._example, split))

    def _example(self, split: str, index: int) -> Slice:
        number, place = divmod(index, SLICES_PER_VOLUME)
        with self._lock:
            return self._drawn(split, number)[place]

    def describe(self) -> dict[str, Any]:
        """Returns version and split sizes."""
        return {"dataset": "generated", "version": VERSION, "split_sizes": dict(self._split_sizes)}


def volume(size: int, split: str, number: int) -> tuple[Slice, ...]:
    """Draws the slices of a volume, with `size` rows and about 1.15 times as many columns of k-space."""
    rng = np.random.Generator(np.random.Philox(key=[_SEED, _SPLITS.index(split)], counter=[0, 0, 0, number]))
    width = size * 23 // 20
    organs = [_body(rng), *(_organ(rng) for _ in range(_NUM_ORGANS))]
    phase = _smooth_phase(rng, size, width)
    noise = np.float32(rng.uniform(0.02, 0.04))
    images = np.empty((SLICES_PER_VOLUME, size, width), np.complex64)
    for image, height in zip(images, np.linspace(-0.6, 0.6, SLICES_PER_VOLUME), strict=True):
        magnitude = np.zeros((size, width), np.float32)
        for organ in organs:
            _draw(magnitude, organ, height)
        image[:] = np.maximum(magnitude, 0) * phase
        image += noise * rng.standard_normal((size, 2 * width), np.float32).view(np.complex64)
    images *= np.float32(_UNIT)
    spectra = np.fft.fftshift(np.fft.fft(np.fft.ifftshift(images, -1), norm="ortho"), -1)
    start = (width - size) // 2
    targets = np.abs(images[:, :, start : start + size])
    return tuple(Slice(*pair, float(targets.max())) for pair in zip(spectra, targets, strict=True))


@dataclasses.dataclass(frozen=True)
class _Ellipsoid:
    """A textured ellipsoid; the unit of length is half the image's height.

    Attributes:
      center: x, y, z.
      radii: radii along its own first two axes and along z.
      angle: angle between its first axis and x, in radians.
      intensity: intensity that it adds to the image.
      contrast: amplitude of its texture, relative to the intensity.
      frequency: frequency of the texture along its first two axes, in radians per unit of length.
    """

    center: tuple[float, float, float]
    radii: tuple[float, float, float]
    angle: float
    intensity: float
    contrast: float
    frequency: tuple[float, float]


def _body(rng: np.random.Generator) -> _Ellipsoid:
    x, y = rng.uniform(-0.08, 0.08, 2)
    across, along = rng.uniform(0.68, 0.85, 2)
    return _Ellipsoid(
        (x, y, 0.0), (across, along, 1.4), rng.uniform(-0.3, 0.3), rng.uniform(0.35, 0.55), 0.1, (5.0, 4.0)
    )


def _organ(rng: np.random.Generator) -> _Ellipsoid:
    distance, direction = 0.6 * np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi)
    across, along, deep = np.exp(rng.uniform(np.log(0.06), np.log(0.35), 3))
    first, second = rng.uniform(-40, 40, 2)
    return _Ellipsoid(
        (distance * np.cos(direction), distance * np.sin(direction), rng.uniform(-0.6, 0.6)),
        (across, along, 2 * deep),
        rng.uniform(0, np.pi),
        rng.uniform(0.15, 0.45) * rng.choice([-1, 1]),
        rng.uniform(0, 0.5),
        (first, second),
    )


def _draw(image: np.ndarray, organ: _Ellipsoid, height: float) -> None:
    """Adds the ellipsoid's section at a height to an image; only the pixels around it change."""
    share = 1 - ((height - organ.center[2]) / organ.radii[2]) ** 2
    if share <= 0:
        return
    first, second = (radius * np.sqrt(share) for radius in organ.radii[:2])
    cosine, sine = np.cos(organ.angle), np.sin(organ.angle)
    pixels = len(image) / 2
    x, y = (
        _stretch(center, reach, count, pixels)
        for center, reach, count in (
            (organ.center[0], np.hypot(first * cosine, second * sine), image.shape[1]),
            (organ.center[1], np.hypot(first * sine, second * cosine), image.shape[0]),
        )
    )
    if not (x.size and y.size):
        return
    across = ((x - image.shape[1] / 2) / pixels - organ.center[0]).astype(np.float32)
    along = ((y - image.shape[0] / 2) / pixels - organ.center[1]).astype(np.float32)[:, None]
    u, v = cosine * across + sine * along, cosine * along - sine * across
    inside = 1 - np.sqrt((u / first) ** 2 + (v / second) ** 2)
    # The edge is about a pixel wide.
    cover = np.clip(0.5 + inside * (min(first, second) * pixels), 0, 1)
    texture = 1 + organ.contrast * np.sin(organ.frequency[0] * u + organ.frequency[1] * v)
    image[y[0] : y[-1] + 1, x[0] : x[-1] + 1] += organ.intensity * cover * texture


def _stretch(center: float, reach: float, count: int, pixels: float) -> np.ndarray:
    """The pixels along an axis within `reach` of the center, plus one on each side."""
    middle, reach = count / 2 + center * pixels, reach * pixels + 1
    return np.arange(max(0, int(middle - reach)), min(count, int(middle + reach) + 1))


def _smooth_phase(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Numbers of magnitude 1 whose phase is a random quadratic function of the position, complex64 [height, width]."""
    y = np.linspace(-1, 1, height)[:, None]
    x = np.linspace(-1, 1, width)
    a = rng.uniform(-1.5, 1.5, 6)
    phase = a[0] + a[1] * x + a[2] * y + a[3] * x * y + a[4] * x**2 + a[5] * y**2
    return np.exp(1j * phase).astype(np.complex64)
