"""The Conformer (Gulati et al. 2020, https://arxiv.org/abs/2005.08100) for speech recognition.

A block has half a feed-forward module, self-attention, a convolution over time and another half feed-forward module,
each with a residual connection, and a layer normalization. Positions are absolute, and queries are scaled by learned
factors (Shazeer and Stern's `per_dim_scale`). Variants: another activation function, attention outputs multiplied by a
number, and blocks without the last normalization.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

from workloads.activations import ACTIVATIONS
from workloads.dropout import Dropout, Rate
from workloads.layers.attention import multi_head_attention
from workloads.librispeech_conformer.architecture import Architecture
from workloads.speech.features import log_mel
from workloads.speech.layers import BatchNorm, Frames, LayerNorm, Paddings, Subsample
from workloads.speech.repeated import repeat

KERNEL_SIZE = 5
"""Frames that the convolution of a block sees."""
QUERY_SCALE = 1.442695041
"""1 / softplus(0), so that queries keep their size at the start of training."""

dense = functools.partial(nn.Dense, kernel_init=nn.initializers.xavier_uniform())


class FeedForwardModule(nn.Module):
    """A multilayer perceptron with one hidden layer."""

    architecture: Architecture
    deterministic: bool

    @nn.compact
    def __call__(self, frames: Frames, paddings: Paddings, dropout_rate: Rate) -> Frames:
        is_valid = (1 - paddings)[..., None]
        hidden = dense(self.architecture.size.hidden_width)(LayerNorm()(frames))
        hidden = ACTIVATIONS[self.architecture.activation](hidden)
        hidden = Dropout(self.deterministic)(hidden, dropout_rate) * is_valid
        return Dropout(self.deterministic)(dense(frames.shape[-1])(hidden) * is_valid, dropout_rate)


class QueryScaler(nn.Module):
    """Multiplies each feature of a query by a learned positive factor, initially 1; heads share the factors."""

    @nn.compact
    def __call__(
        self, queries: Float[Array, "batch frames heads features"]
    ) -> Float[Array, "batch frames heads features"]:
        scale = self.param("scale", nn.initializers.zeros, queries.shape[-1:])
        return queries * (QUERY_SCALE * jax.nn.softplus(scale))


class MultiHeadedSelfAttention(nn.Module):
    """Attention of frames to each other."""

    architecture: Architecture
    deterministic: bool

    @nn.compact
    def __call__(self, frames: Frames, mask: Bool[Array, "batch 1 frames frames"], dropout_rate: Rate) -> Frames:
        attention = multi_head_attention(
            self.architecture.size.num_heads,
            name="MultiHeadDotProductAttention_0",
            # Made when it is called, and so a part of the attention layer.
            scale_query=lambda queries: QueryScaler()(queries),
            output_scale=self.architecture.attention_temperature,
        )
        return Dropout(self.deterministic)(attention(LayerNorm()(frames), mask=mask), dropout_rate)


class DepthwiseConv(nn.Module):
    """A convolution over time of each feature by itself; as long as its input, without a bias."""

    @nn.compact
    def __call__(self, frames: Frames) -> Frames:
        length, features = frames.shape[1:]
        kernel = self.param("kernel", nn.initializers.xavier_uniform(), (KERNEL_SIZE, 1, features))
        margin = KERNEL_SIZE // 2
        padded = jnp.pad(frames, ((0, 0), (margin, margin), (0, 0)))
        # A sum of products, since libraries are slow at convolutions with as many groups as features.
        terms = (padded[:, place : place + length] * kernel[place] for place in range(KERNEL_SIZE))
        return functools.reduce(jnp.add, terms)


class ConvolutionBlock(nn.Module):
    """A gated linear unit, a convolution over time, batch normalization and a dense layer."""

    architecture: Architecture
    deterministic: bool
    use_running_average: bool

    @nn.compact
    def __call__(self, frames: Frames, paddings: Paddings, dropout_rate: Rate) -> Frames:
        width = frames.shape[-1]
        frames = LayerNorm()(frames)
        hidden = dense(width)(frames) * nn.sigmoid(dense(width)(frames)) * (1 - paddings)[..., None]
        hidden = DepthwiseConv(name="Conv_0")(hidden)
        hidden = BatchNorm(self.use_running_average, self.architecture.size.batch_norm_momentum)(hidden, paddings)
        hidden = dense(width)(ACTIVATIONS[self.architecture.activation](hidden))
        return Dropout(self.deterministic)(hidden, dropout_rate)


class ConformerBlock(nn.Module):
    """One block."""

    architecture: Architecture
    deterministic: bool
    use_running_average: bool

    @nn.compact
    def __call__(
        self, frames: Frames, paddings: Paddings, mask: Bool[Array, "batch 1 frames frames"], dropout_rate: Rate
    ) -> Frames:
        arguments = self.architecture, self.deterministic
        frames = frames + 0.5 * FeedForwardModule(*arguments)(frames, paddings, dropout_rate)
        frames = frames + MultiHeadedSelfAttention(*arguments)(frames, mask, dropout_rate)
        frames = frames + ConvolutionBlock(*arguments, self.use_running_average)(frames, paddings, dropout_rate)
        frames = frames + 0.5 * FeedForwardModule(*arguments)(frames, paddings, dropout_rate)
        return LayerNorm()(frames) if self.architecture.use_block_layer_norm else frames


class Conformer(nn.Module):
    """The network.

    Attributes:
      architecture: size and variant.
      deterministic: whether to leave out SpecAugment and dropout.
      use_running_average: whether to normalize with the running statistics instead of those of the batch.
    """

    architecture: Architecture
    deterministic: bool
    use_running_average: bool

    @nn.compact
    def __call__(
        self, inputs: tuple[Shaped[Array, "batch samples"], Int[Array, " batch"]], dropout_rate: Rate
    ) -> tuple[Float[Array, "batch frames vocabulary"], Paddings]:
        """Logits of the tokens, 0 for the blank, and paddings of their frames.

        Args:
          inputs: samples of 16 bits, and how many of them belong to the utterance.
          dropout_rate: rate of dropout: of the first frames, in and after each feed-forward module, and after each
            attention and each convolution.
        """
        size = self.architecture.size
        features, paddings = log_mel(*inputs)
        if not self.deterministic:
            features = self.architecture.spec_augment(features, paddings, self.make_rng("dropout"))
        subsample = Subsample(size.width, size.conv_channels, "relu", True, self.deterministic)
        frames, paddings = subsample(features, paddings, dropout_rate)
        is_valid = paddings == 0
        mask = (is_valid[:, :, None] & is_valid[:, None, :])[:, None]
        block = ConformerBlock(self.architecture, self.deterministic, self.use_running_average, parent=None)
        frames = repeat(self, block, size.depth, frames, paddings, mask, dropout_rate)
        return dense(size.vocab_size)(LayerNorm()(frames)), paddings
