"""How large utterances are, and the few shapes that batches of them have."""

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

SAMPLE_RATE = 16_000
"""Samples in a second."""
FRAME_SAMPLES, FRAME_STEP = 401, 160
"""Samples of a frame, and from one frame to the next. An utterance that is shorter than a frame has none."""
SAMPLES_MULTIPLE = 640
"""Samples in a row of a batch are a multiple of this."""


@dataclasses.dataclass(frozen=True)
class Size:
    """Limits of the data.

    Attributes:
      vocab_size: number of token ids.
      max_samples: samples of the longest utterance; a multiple of `SAMPLES_MULTIPLE`.
      max_targets: tokens of the longest transcript, its end included; a multiple of `2 * num_lengths`.
      num_lengths: lengths of batches. Each one costs a compilation.
    """

    vocab_size: int
    max_samples: int
    max_targets: int
    num_lengths: int = 8


FULL = Size(vocab_size=1024, max_samples=320_000, max_targets=256)
SMALL = Size(vocab_size=64, max_samples=32_000, max_targets=64, num_lengths=2)
"""Of the built-in data; on real data, the small models have this vocabulary and the other limits of the full size."""


class Shape(NamedTuple):
    """What the utterances of a batch are padded to: samples N and target tokens L."""

    samples: int
    targets: int


def samples_needed(num_samples: Int[np.ndarray, " n"], most: int) -> Int[np.ndarray, " n"]:
    """To how many samples an utterance is padded at least, so that its logits are those of one padded to `most`.

    A logit sees one frame behind the last valid one. The convolutions pad on the same side for every such number.
    """
    needed = FRAME_STEP * (-(-num_samples // FRAME_STEP) + 1) + FRAME_SAMPLES
    return np.minimum(most, -(-needed // SAMPLES_MULTIPLE) * SAMPLES_MULTIPLE)


def shapes(size: Size) -> tuple[Shape, ...]:
    """The shapes of batches, in ascending order.

    Samples grow in equal parts of the longest utterance. So do targets, but at half of that rate, since few transcripts
    have half as many tokens as the longest may have; the last shape is for those.
    """
    parts = []
    for part in range(1, size.num_lengths + 1):
        samples = -(-size.max_samples * part // (size.num_lengths * SAMPLES_MULTIPLE)) * SAMPLES_MULTIPLE
        parts.append(Shape(min(samples, size.max_samples), size.max_targets * part // (2 * size.num_lengths)))
    return (*parts, Shape(size.max_samples, size.max_targets))


def shape_of(size: Size, num_samples: Int[np.ndarray, " n"], num_targets: Int[np.ndarray, " n"]) -> Shape:
    """The smallest shape that holds utterances of these lengths."""
    samples, targets = samples_needed(num_samples, size.max_samples).max(), num_targets.max()
    return next(shape for shape in shapes(size) if shape.samples >= samples and shape.targets >= targets)
