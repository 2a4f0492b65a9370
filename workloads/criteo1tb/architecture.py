"""What the recommendation models of criteo1tb differ in."""

import dataclasses

VOCAB_SIZE = 4_194_304
"""Rows of the published model's embedding table."""


@dataclasses.dataclass(frozen=True)
class Size:
    """Widths of the layers.

    Attributes:
      width: features of a row of the embedding table.
      bottom_widths: of the multilayer perceptron on the integers; the last is `width`.
      top_widths: of the multilayer perceptron on all features; the last is 1, the logit.
      residual_bottom_widths: of the first one in models with residual connections; all are equal.
      residual_top_widths: of the second one there; all but the last are equal.
    """

    width: int
    bottom_widths: tuple[int, ...]
    top_widths: tuple[int, ...]
    residual_bottom_widths: tuple[int, ...]
    residual_top_widths: tuple[int, ...]


FULL = Size(
    width=128,
    bottom_widths=(512, 256, 128),
    top_widths=(1024, 1024, 512, 256, 1),
    residual_bottom_widths=(256, 256, 256),
    residual_top_widths=(256, 256, 256, 256, 1),
)
SMALL = Size(
    width=16,
    bottom_widths=(64, 32, 16),
    top_widths=(64, 32, 1),
    residual_bottom_widths=(32, 32, 32),
    residual_top_widths=(32, 32, 32, 1),
)


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A size, and the variant of the model.

    Attributes:
      size: how wide its layers are.
      vocab_size: rows of the embedding table, which all columns of categories share.
      use_layer_norm: layer normalization after each activation, and of the looked-up embeddings. Residual models have
        none.
      use_residual: residual connections in the perceptrons, and embeddings that are concatenated instead of multiplied.
      embedding_scale: upper bound of the table's initial values, or None for 1 / sqrt(vocab_size).
    """

    size: Size
    vocab_size: int = VOCAB_SIZE
    use_layer_norm: bool = False
    use_residual: bool = False
    embedding_scale: float | None = None

    @property
    def bottom_widths(self) -> tuple[int, ...]:
        """Widths of the perceptron on the integers."""
        return self.size.residual_bottom_widths if self.use_residual else self.size.bottom_widths

    @property
    def top_widths(self) -> tuple[int, ...]:
        """Widths of the perceptron on all features."""
        return self.size.residual_top_widths if self.use_residual else self.size.top_widths
