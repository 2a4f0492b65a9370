"""Fixed embeddings of positions."""

import math

import numpy as np
from jaxtyping import Float

LONGEST_WAVE = 10_000.0


def position_embedding(length: int, features: int) -> Float[np.ndarray, "length features"]:
    """Sines, then cosines of the positions, float64.

    The frequencies form a geometric series from 1 to 1 / 10,000, both included.
    """
    half = features // 2
    frequencies = np.exp(-np.arange(half) * (math.log(LONGEST_WAVE) / (half - 1)))
    angles = np.outer(np.arange(length), frequencies)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
