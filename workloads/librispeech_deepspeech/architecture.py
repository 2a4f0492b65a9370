"""What the DeepSpeech models differ in."""

import dataclasses
from typing import Literal

from workloads.speech.spec_augment import SpecAugment

Normalization = Literal["batch", "layer"]


@dataclasses.dataclass(frozen=True)
class Size:
    """How large the model is.

    Attributes:
      vocab_size: number of tokens, the blank included.
      width: features of a frame, F; half of them come from each direction of a recurrent layer.
      num_recurrent_layers: number of recurrent layers.
      num_feed_forward_layers: number of dense layers after them.
      conv_channels: channels of the two convolutions that shorten time.
      batch_norm_momentum: what is kept of the running statistics of batch normalization at an update.
    """

    vocab_size: int
    width: int
    num_recurrent_layers: int
    num_feed_forward_layers: int
    conv_channels: int
    batch_norm_momentum: float


FULL = Size(
    vocab_size=1_024,
    width=512,
    num_recurrent_layers=6,
    num_feed_forward_layers=3,
    conv_channels=512,
    batch_norm_momentum=0.999,
)
SMALL = Size(
    vocab_size=64,
    width=64,
    num_recurrent_layers=2,
    num_feed_forward_layers=1,
    conv_channels=16,
    batch_norm_momentum=0.95,
)


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A size, and the variant of the model.

    Attributes:
      size: how large it is.
      activation: of convolutions and feed-forward layers, by its name in `ACTIVATIONS`.
      use_residual: whether the input of a recurrent or feed-forward layer is added to its output.
      normalization: before each of these layers. With batch normalization there is also a layer normalization before
        the output layer.
      spec_augment: the masks of training.
    """

    size: Size
    activation: str = "relu"
    use_residual: bool = True
    normalization: Normalization = "batch"
    spec_augment: SpecAugment = SpecAugment()
