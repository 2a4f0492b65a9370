"""What the transformers of wmt differ in, and the lengths of rows that they are given."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Size:
    """How large the model is.

    Attributes:
      vocab_size: number of tokens, padding included.
      max_length: tokens in a row, at most.
      width: features of a token, F; an even multiple of `num_heads`.
      depth: blocks of the encoder, and of the decoder.
      num_heads: attention heads of each layer.
      mlp_width: features of the hidden layer of a multilayer perceptron.
    """

    vocab_size: int
    max_length: int
    width: int
    depth: int
    num_heads: int
    mlp_width: int


FULL = Size(vocab_size=32_000, max_length=256, width=1024, depth=6, num_heads=16, mlp_width=1024)
SMALL = Size(vocab_size=512, max_length=64, width=128, depth=2, num_heads=4, mlp_width=256)


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A size, and the variant of the model.

    Attributes:
      size: how large it is.
      activation: of the multilayer perceptrons, by its name in `ACTIVATIONS`.
      use_glu: gated linear units in them.
      use_post_layer_norm: layer normalization after each layer, not before.
      attention_temperature: the scores of all attention layers are multiplied by it.
    """

    size: Size
    activation: str = "relu"
    use_glu: bool = False
    use_post_layer_norm: bool = False
    attention_temperature: float = 1.0


def row_lengths(max_length: int) -> tuple[int, ...]:
    """The lengths that rows of one sentence are padded to, in ascending order. Each one costs a compilation."""
    return (*(length for length in (32, 64, 128) if length < max_length), max_length)
