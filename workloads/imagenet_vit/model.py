"""A vision transformer without class token: ViT-S/16 (Beyer et al. 2022, https://arxiv.org/abs/2205.01580).

Variants: a gated linear unit in the multilayer perceptrons (Shazeer 2020, https://arxiv.org/abs/2002.05202), layer
normalization after instead of before each layer, and pooling by attention instead of the mean (Zhai et al. 2022,
https://arxiv.org/abs/2106.04560).
"""

import dataclasses
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64

from workloads.dropout import Dropout, Rate
from workloads.layers.attention import multi_head_attention

CHANNELS = 3
MLP_EXPANSION = 4
"""Ratio of the hidden width of a multilayer perceptron to the width of tokens."""
POSITION_TEMPERATURE = 10_000.0
NORM_EPSILON = 1e-6


@dataclasses.dataclass(frozen=True)
class Size:
    """The size of the images and the model.

    Attributes:
      image_size: height and width of the images.
      num_classes: number of classes.
      patch_size: height and width of the squares of pixels that become tokens.
      width: features of a token, a multiple of 4 and of `num_heads`.
      depth: number of encoder blocks.
      num_heads: number of attention heads per block.
    """

    image_size: int
    num_classes: int
    patch_size: int
    width: int
    depth: int
    num_heads: int


FULL = Size(image_size=224, num_classes=1_000, patch_size=16, width=384, depth=12, num_heads=6)
SMALL = Size(image_size=64, num_classes=10, patch_size=8, width=96, depth=4, num_heads=3)


def position_embedding(height: int, width: int, features: int) -> Float64[np.ndarray, "tokens features"]:
    """Sines and cosines of the coordinates on a grid of `height * width` tokens, row by row.

    Sine and cosine of the column, and sine and cosine of the row, each take a quarter of the features. The wavelengths
    form a geometric series from 2 pi to 10,000 times that, inclusive.
    """
    rows, columns = np.divmod(np.arange(height * width), width)
    frequencies = POSITION_TEMPERATURE ** -np.linspace(0, 1, features // 4)
    x, y = np.outer(columns, frequencies), np.outer(rows, frequencies)
    return np.concatenate([np.sin(x), np.cos(x), np.sin(y), np.cos(y)], axis=1)


class MlpBlock(nn.Module):
    """A multilayer perceptron with one hidden layer.

    Attributes:
      deterministic: whether dropout is off.
      use_glu: whether the hidden layer is multiplied by a dense layer of itself.
    """

    deterministic: bool
    use_glu: bool = False

    @nn.compact
    def __call__(self, tokens: Float[Array, "*batch features"], dropout_rate: Rate) -> Float[Array, "*batch features"]:
        def dense(features: int) -> nn.Dense:
            return nn.Dense(
                features, kernel_init=nn.initializers.xavier_uniform(), bias_init=nn.initializers.normal(1e-6)
            )

        features = tokens.shape[-1]
        hidden = nn.gelu(dense(MLP_EXPANSION * features)(tokens))
        if self.use_glu:
            hidden = hidden * dense(MLP_EXPANSION * features)(hidden)
        return dense(features)(Dropout(self.deterministic)(hidden, dropout_rate))


class EncoderBlock(nn.Module):
    """Self-attention and a multilayer perceptron, each with a residual connection."""

    num_heads: int
    use_glu: bool
    use_post_layer_norm: bool
    deterministic: bool

    @nn.compact
    def __call__(
        self, tokens: Float[Array, "batch tokens features"], dropout_rate: Rate
    ) -> Float[Array, "batch tokens features"]:
        attention = multi_head_attention(self.num_heads, name="MultiHeadDotProductAttention_1")
        mlp = MlpBlock(self.deterministic, self.use_glu, name="MlpBlock_3")
        layers: tuple[tuple[str, Callable[[Array], Array]], ...] = (
            ("LayerNorm_0", attention),
            ("LayerNorm_2", lambda inputs: mlp(inputs, dropout_rate)),
        )
        for norm_name, layer in layers:
            norm = nn.LayerNorm(epsilon=NORM_EPSILON, name=norm_name)
            branch = layer(tokens if self.use_post_layer_norm else norm(tokens))
            tokens = tokens + Dropout(self.deterministic)(branch, dropout_rate)
            tokens = norm(tokens) if self.use_post_layer_norm else tokens
        return tokens


class Encoder(nn.Module):
    """The blocks, followed by a layer normalization unless each block ends with one."""

    size: Size
    use_glu: bool
    use_post_layer_norm: bool
    deterministic: bool

    @nn.compact
    def __call__(
        self, tokens: Float[Array, "batch tokens features"], dropout_rate: Rate
    ) -> Float[Array, "batch tokens features"]:
        for index in range(self.size.depth):
            tokens = EncoderBlock(
                self.size.num_heads,
                self.use_glu,
                self.use_post_layer_norm,
                self.deterministic,
                name=f"encoderblock_{index}",
            )(tokens, dropout_rate)
        if self.use_post_layer_norm:
            return tokens
        return nn.LayerNorm(epsilon=NORM_EPSILON, name="encoder_layernorm")(tokens)


class MAPHead(nn.Module):
    """Pools tokens: a learned token attends to them, then a multilayer perceptron. It has no dropout."""

    num_heads: int

    @nn.compact
    def __call__(self, tokens: Float[Array, "batch tokens features"]) -> Float[Array, "batch features"]:
        batch_size, _, features = tokens.shape
        probe = self.param("probe", nn.initializers.xavier_uniform(), (1, 1, features))
        probes = jnp.broadcast_to(probe, (batch_size, 1, features))
        pooled = multi_head_attention(self.num_heads, name="MultiHeadDotProductAttention_0")(probes, tokens)
        hidden = nn.LayerNorm(epsilon=NORM_EPSILON)(pooled)
        return (pooled + MlpBlock(deterministic=True)(hidden, 0.0))[:, 0]


class ViT(nn.Module):
    """The network; it returns logits.

    Attributes:
      size: size of the model.
      use_glu: use gated linear units.
      use_post_layer_norm: normalize after each layer of a block, not before.
      use_map: pool by attention.
      deterministic: whether dropout is off.
    """

    size: Size
    use_glu: bool
    use_post_layer_norm: bool
    use_map: bool
    deterministic: bool

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch height width 3"], dropout_rate: Rate
    ) -> Float[Array, "batch classes"]:
        size, patch = self.size, (self.size.patch_size, self.size.patch_size)
        patches = nn.Conv(size.width, patch, patch, padding="VALID", name="conv_patch_extract")(images)
        batch_size, height, width, features = patches.shape
        tokens = patches.reshape(batch_size, height * width, features)
        tokens = tokens + jnp.asarray(position_embedding(height, width, features), tokens.dtype)
        tokens = Dropout(self.deterministic)(tokens, dropout_rate)
        encoder = Encoder(size, self.use_glu, self.use_post_layer_norm, self.deterministic, name="Transformer")
        tokens = encoder(tokens, dropout_rate)
        pooled = MAPHead(size.num_heads)(tokens) if self.use_map else tokens.mean(axis=1)
        hidden = jnp.tanh(nn.Dense(features, name="pre_logits")(pooled))
        return nn.Dense(size.num_classes, kernel_init=nn.initializers.zeros, name="head")(hidden)
