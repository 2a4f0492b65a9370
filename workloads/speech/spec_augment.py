"""SpecAugment (Park et al. 2019, https://arxiv.org/abs/1904.08779): hides bands of time and of frequency.

Time masks are at most 5 % of the utterance long (Park et al. 2020, https://arxiv.org/abs/1912.05533), frequency masks
27 of 80 features wide. What is hidden is 0, the mean of normalized features.
"""

import dataclasses
from typing import Any, NamedTuple

import array_api_compat
import jax
from jaxtyping import Array, Float, Shaped

MAX_TIME_FRACTION = 0.05
MAX_FREQUENCY_BINS = 27


class Uniforms(NamedTuple):
    """Independent numbers in [0, 1), in the order in which they are drawn.

    Attributes:
      time_sizes: decide how long time masks are, [B, time masks].
      time_starts: decide where time masks start, [B, time masks].
      frequency_sizes: the same for frequency masks, [B, frequency masks].
      frequency_starts: the same for frequency masks, [B, frequency masks].
    """

    time_sizes: Float[Any, "batch time_masks"]
    time_starts: Float[Any, "batch time_masks"]
    frequency_sizes: Float[Any, "batch frequency_masks"]
    frequency_starts: Float[Any, "batch frequency_masks"]


@dataclasses.dataclass(frozen=True)
class SpecAugment:
    """How many bands are hidden in each utterance."""

    num_time_masks: int = 10
    num_frequency_masks: int = 2

    def uniforms(self, key: Array, batch_size: int) -> Uniforms:
        """Draws what decides the masks."""
        counts = (self.num_time_masks,) * 2 + (self.num_frequency_masks,) * 2
        keys = jax.random.split(key, len(counts))
        return Uniforms(*(jax.random.uniform(k, (batch_size, n)) for k, n in zip(keys, counts, strict=True)))

    def __call__(
        self, features: Float[Array, "batch frames bins"], paddings: Float[Array, "batch frames"], key: Array
    ) -> Float[Array, "batch frames bins"]:
        """Features with hidden bands."""
        kept = visible(self.uniforms(key, len(features)), (1 - paddings).sum(axis=1), *features.shape[1:])
        return features * kept


NO_MASKS = SpecAugment(num_time_masks=0, num_frequency_masks=0)
FEW_MASKS = SpecAugment(num_time_masks=2, num_frequency_masks=1)
"""For the built-in speech, in which two narrow bands tell letters apart."""


def visible(
    uniforms: Uniforms, num_valid_frames: Shaped[Any, " batch"], num_frames: int, num_bins: int
) -> Float[Any, "batch frames bins"]:
    """1 where a feature can be seen, 0 where it is hidden; written with functions of the array API standard.

    Args:
      uniforms: arrays of JAX, PyTorch or NumPy.
      num_valid_frames: frames of each utterance without padding.
      num_frames: frames of the features.
      num_bins: features of a frame.
    """
    namespace = array_api_compat.array_namespace(uniforms.time_sizes)
    sizes, starts = uniforms.time_sizes, uniforms.time_starts
    frames = namespace.astype(namespace.asarray(num_valid_frames), sizes.dtype)[:, None]
    in_time = _outside(sizes, starts, frames, MAX_TIME_FRACTION * frames, MAX_TIME_FRACTION, num_frames)
    sizes, starts = uniforms.frequency_sizes, uniforms.frequency_starts
    bins = namespace.full_like(frames, num_bins)
    in_frequency = _outside(sizes, starts, bins, namespace.full_like(frames, MAX_FREQUENCY_BINS), 1.0, num_bins)
    return namespace.astype(in_time[:, :, None] & in_frequency[:, None, :], sizes.dtype)


def _outside(
    sizes: Float[Any, "batch masks"],
    starts: Float[Any, "batch masks"],
    extent: Float[Any, "batch 1"],
    largest: Float[Any, "batch 1"],
    largest_fraction: float,
    num_positions: int,
) -> Shaped[Any, "batch positions"]:
    """Whether a position is in none of the masks.

    Args:
      sizes: decide the sizes, from 0 to `largest`.
      starts: decide the first positions, so that a mask ends within `extent`.
      extent: number of positions that may be hidden.
      largest: size that a mask stays below.
      largest_fraction: of the extent that a mask may hide, but one position it may in any case.
      num_positions: length of the axis.
    """
    namespace = array_api_compat.array_namespace(sizes)
    limit = namespace.floor(largest_fraction * extent)
    limit = namespace.where(limit < 1, namespace.ones_like(limit), limit)
    size = namespace.floor(sizes * largest)
    size = namespace.where(size < limit, size, limit)
    start = namespace.floor(starts * (extent - size + 1))
    positions = namespace.arange(num_positions, dtype=sizes.dtype, device=array_api_compat.device(sizes))
    hidden = (positions >= start[..., None]) & (positions < (start + size)[..., None])
    return ~namespace.any(hidden, axis=1)
