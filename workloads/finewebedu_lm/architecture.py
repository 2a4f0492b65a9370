"""The sizes of the language model, and the table that tells it the positions of tokens."""

import dataclasses
import functools

import numpy as np
from jaxtyping import Float

ROTARY_BASE = 500_000.0
NORM_EPSILON = 1e-6


@dataclasses.dataclass(frozen=True)
class Architecture:
    """How large the model is.

    Attributes:
      vocab_size: number of tokens V.
      max_length: tokens in a row, at most; the initial scale of attention follows from it.
      width: features of a token, F; an even multiple of `num_heads`.
      depth: number of blocks.
      num_heads: attention heads of each block.
      mlp_width: features of the hidden layer of a multilayer perceptron.
    """

    vocab_size: int
    max_length: int
    width: int
    depth: int
    num_heads: int
    mlp_width: int

    @property
    def head_width(self) -> int:
        """Features of one head."""
        return self.width // self.num_heads

    @property
    def initial_attention_scale(self) -> float:
        """Logarithm to base 2 of the number of ordered pairs of positions (Henry et al. 2020, section 3)."""
        return float(np.log2(self.max_length**2 - self.max_length))


FULL = Architecture(vocab_size=50_257, max_length=1_024, width=1_024, depth=12, num_heads=8, mlp_width=4_096)
SMALL = Architecture(vocab_size=1_024, max_length=128, width=128, depth=2, num_heads=4, mlp_width=512)


@functools.cache
def rotary_table(length: int, features: int) -> Float[np.ndarray, "length half 2"]:
    """Cosine and sine of the angle by which a position turns each pair of features, float64, read-only.

    Pair j of position p is turned by `p * ROTARY_BASE ** (-2 * j / features)` (Su et al. 2021,
    https://arxiv.org/abs/2104.09864).
    """
    frequencies = ROTARY_BASE ** (-np.arange(0, features, 2) / features)
    angles = np.outer(np.arange(length), frequencies)
    table = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    table.flags.writeable = False
    return table
