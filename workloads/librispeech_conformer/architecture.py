"""What the Conformers differ in."""

import dataclasses

from workloads.speech.spec_augment import SpecAugment


@dataclasses.dataclass(frozen=True)
class Size:
    """How large the model is.

    Attributes:
      vocab_size: number of tokens, the blank included.
      width: features of a frame, F; an even multiple of `num_heads`.
      depth: number of blocks.
      num_heads: attention heads of a block.
      hidden_width: features of the hidden layer of a feed-forward module.
      conv_channels: channels of the two convolutions that shorten time.
      batch_norm_momentum: what is kept of the running statistics of batch normalization at an update.
    """

    vocab_size: int
    width: int
    depth: int
    num_heads: int
    hidden_width: int
    conv_channels: int
    batch_norm_momentum: float


FULL = Size(
    vocab_size=1_024, width=512, depth=4, num_heads=8, hidden_width=2_048, conv_channels=512, batch_norm_momentum=0.999
)
SMALL = Size(
    vocab_size=64, width=64, depth=2, num_heads=4, hidden_width=128, conv_channels=16, batch_norm_momentum=0.95
)


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A size, and the variant of the model.

    Attributes:
      size: how large it is.
      activation: of feed-forward modules and convolution blocks, by its name in `ACTIVATIONS`.
      attention_temperature: what attention returns is multiplied by it, before the output projection.
      use_block_layer_norm: whether a block ends with a layer normalization.
      spec_augment: the masks of training.
    """

    size: Size
    activation: str = "silu"
    attention_temperature: float = 1.0
    use_block_layer_norm: bool = True
    spec_augment: SpecAugment = SpecAugment()
