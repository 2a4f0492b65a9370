"""The built-in stand-in for MNIST: digits drawn with a pen by random hands.

Each digit is a set of strokes in one of a few styles. Its control points are jittered, displaced by a smooth random
field, and sheared, rotated and scaled. The strokes are then drawn with a pen of random width and ink, and noise is
added. Images are 28x28 with a dark background, as in MNIST.
"""

from collections.abc import Sequence

import numpy as np

from algoperf_jax.workload import Budget, Facts, Goal

VERSION = "1"
"""Version of the examples; changes whenever they do."""
FACTS = Facts(
    goal=Goal(metric="accuracy", direction="maximize", validation=0.96, test=0.96),
    budget=Budget(max_runtime_sec=60, eval_period_sec=2, step_hint=6_000),
    batch_size=128,
    eval_batch_size=2_000,
    split_sizes={"train": 20_000, "eval_train": 2_000, "validation": 2_000, "test": 2_000},
)

IMAGE_SIZE = 28
_CHUNK = 128
"""Number of images drawn at a time, such that the distances fit into the processor's cache."""

Stroke = Sequence[tuple[float, float]]


def _arc(x: float, y: float, width: float, height: float, start: float, stop: float) -> list[tuple[float, float]]:
    """Points on an arc of an ellipse; angles are in turns, 0 to the right and 0.25 downwards."""
    turns = np.linspace(start, stop, 2 + int(8 * abs(stop - start)))
    return [(x + width * np.cos(a), y + height * np.sin(a)) for a in 2 * np.pi * turns]


# x to the right, y downwards, both in -1 .. 1. A digit has one or more styles, a style one or more strokes.
_STYLES: Sequence[Sequence[Sequence[Stroke]]] = (
    ([_arc(0, 0, 0.62, 0.95, 0, 1)],),
    ([[(0.05, -0.95), (0, 0.95)]], [[(-0.35, -0.6), (0.05, -0.95), (0.05, 0.95)]]),
    (
        [[*_arc(0, -0.45, 0.55, 0.5, -0.5, 0.1), (-0.6, 0.95), (0.65, 0.95)]],
        [[*_arc(0, -0.45, 0.5, 0.5, -0.45, 0.2), (-0.5, 0.75), (-0.2, 0.6), (0.7, 0.9)]],
    ),
    ([[*_arc(-0.05, -0.48, 0.5, 0.47, -0.4, 0.25), *_arc(-0.05, 0.47, 0.6, 0.48, -0.25, 0.42)]],),
    (
        [[(0.3, 0.95), (0.3, -0.95), (-0.65, 0.3), (0.7, 0.3)]],
        [[(-0.5, -0.9), (-0.55, 0.1), (0.5, 0.1)], [(0.45, -0.7), (0.35, 0.95)]],
    ),
    ([[(0.55, -0.95), (-0.4, -0.95), (-0.45, -0.15), *_arc(-0.05, 0.38, 0.58, 0.55, -0.25, 0.42)]],),
    ([[(0.4, -0.95), (-0.25, -0.4), *_arc(0, 0.42, 0.52, 0.5, -0.55, 0.5)]],),
    (
        [[(-0.6, -0.9), (0.6, -0.9), (-0.1, 0.95)]],
        [[(-0.6, -0.9), (0.6, -0.9), (-0.15, 0.95)], [(-0.2, 0.05), (0.5, 0.05)]],
    ),
    ([_arc(0, -0.48, 0.46, 0.46, 0.25, 1.25), _arc(0, 0.47, 0.56, 0.47, -0.25, 0.75)],),
    (
        [[*_arc(0, -0.42, 0.5, 0.5, 0, 1), (0.4, 0.95)]],
        [[*_arc(0, -0.42, 0.5, 0.5, 0, 1), *_arc(-0.1, 0.4, 0.55, 0.55, 0.05, 0.35)]],
    ),
)


def generate(rng: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    """Draws `count` examples: `image` uint8 [count, 28, 28, 1] and `label` uint8 [count]."""
    labels = rng.integers(len(_STYLES), size=count).astype(np.uint8)
    choices = rng.random(count)
    images = np.empty((count, IMAGE_SIZE, IMAGE_SIZE, 1), np.uint8)
    for digit, styles in enumerate(_STYLES):
        for number, strokes in enumerate(styles):
            members = np.flatnonzero((labels == digit) & ((choices * len(styles)).astype(int) == number))
            for start in range(0, len(members), _CHUNK):
                chunk = members[start : start + _CHUNK]
                images[chunk, ..., 0] = _draw(rng, strokes, len(chunk))
    return {"image": images, "label": labels}


def _draw(rng: np.random.Generator, strokes: Sequence[Stroke], count: int) -> np.ndarray:
    """Draws `count` images of one style, uint8 [count, 28, 28]."""
    points = np.concatenate([np.asarray(stroke) for stroke in strokes])
    ends = np.cumsum([len(stroke) for stroke in strokes])
    first = np.setdiff1d(np.arange(len(points) - 1), ends - 1)
    points = _handwriting(rng, points, count)
    distance = _distance(points[:, first], points[:, first + 1])
    half_width = rng.uniform(0.5, 1.6, (count, 1))
    ink = np.clip(half_width + 0.5 - distance, 0, 1) * rng.uniform(0.55, 1, (count, 1))
    noise = rng.normal(0, 1, ink.shape).astype(np.float32) * rng.uniform(0, 0.1, (count, 1))
    image = np.clip(255 * (ink + noise), 0, 255).astype(np.uint8)
    return image.reshape(count, IMAGE_SIZE, IMAGE_SIZE)


def _handwriting(rng: np.random.Generator, points: np.ndarray, count: int) -> np.ndarray:
    """Places the control points [P, 2] as `count` hands would, in pixels [count, P, 2]."""
    # A smooth field: the displacements are slow sine waves over the glyph.
    frequencies = rng.normal(0, 1.3, (count, 1, 2, 2))
    phases = rng.uniform(0, 2 * np.pi, (count, 1, 2))
    bend = np.sin((points[None, :, None, :] * frequencies).sum(-1) + phases)
    shaken = points + 0.12 * bend + rng.normal(0, 0.04, (count, *points.shape))
    angle = rng.normal(0, 0.18, count)
    scale = rng.uniform(0.75, 1, (count, 2))
    shear = rng.normal(0, 0.25, count)
    cosine, sine = np.cos(angle), np.sin(angle)
    matrix = np.stack(
        [
            np.stack([cosine * scale[:, 0], (shear * cosine - sine) * scale[:, 1]], -1),
            np.stack([sine * scale[:, 0], (shear * sine + cosine) * scale[:, 1]], -1),
        ],
        -2,
    )
    center = IMAGE_SIZE / 2 - 0.5 + rng.uniform(-1.5, 1.5, (count, 1, 2))
    return center + 10.5 * np.einsum("nij,npj->npi", matrix, shaken)


def _distance(start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Distance of every pixel from the nearest of the segments `start` to `stop` [N, S, 2]: [N, 784], in pixels."""
    rows, columns = np.divmod(np.arange(IMAGE_SIZE**2, dtype=np.float32), IMAGE_SIZE)
    start, along = start.astype(np.float32), (stop - start).astype(np.float32)
    length = np.maximum((along**2).sum(-1), 1e-6)
    nearest = np.full((len(start), IMAGE_SIZE**2), np.inf, np.float32)
    for segment in range(start.shape[1]):
        x = columns - start[:, segment, 0, None]
        y = rows - start[:, segment, 1, None]
        dx, dy = along[:, segment, 0, None], along[:, segment, 1, None]
        position = np.clip((x * dx + y * dy) / length[:, segment, None], 0, 1)
        np.minimum(nearest, (x - position * dx) ** 2 + (y - position * dy) ** 2, out=nearest)
    return np.sqrt(nearest)
