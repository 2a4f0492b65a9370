"""Layers that both speech models have: normalizations of frames, and convolutions that shorten time to a quarter.

Utterances of a batch differ in length. `paddings` [B, T] are 1 where a frame belongs to none, else 0; what is at
padding never reaches other frames.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from workloads.activations import ACTIVATIONS
from workloads.dropout import Dropout, Rate
from workloads.layers.positions import position_embedding
from workloads.speech.convolution import strided_conv

LAYER_NORM_EPSILON = 1e-6
BATCH_NORM_EPSILON = 1e-3

Frames = Float[Array, "batch frames features"]
Paddings = Float[Array, "batch frames"]


class LayerNorm(nn.Module):
    """Layer normalization (Ba et al. 2016, https://arxiv.org/abs/1607.06450) whose factor is 1 + `scale`."""

    @nn.compact
    def __call__(self, frames: Frames) -> Frames:
        scale = self.param("scale", nn.initializers.zeros, frames.shape[-1:])
        bias = self.param("bias", nn.initializers.zeros, frames.shape[-1:])
        centered = frames - frames.mean(axis=-1, keepdims=True)
        variance = (centered**2).mean(axis=-1, keepdims=True)
        return centered * jax.lax.rsqrt(variance + LAYER_NORM_EPSILON) * (1 + scale) + bias


class BatchNorm(nn.Module):
    """Batch normalization (Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167) over the frames without padding.

    Statistics are of the whole batch, over all devices; the variance is the biased one. The factor is 1 + `scale`.
    Padding becomes 0. The running statistics keep their shape, [F]; those of the reference change theirs.

    Attributes:
      use_running_average: whether to normalize with the running statistics instead of those of the batch.
      momentum: what is kept of the running statistics at an update.
    """

    use_running_average: bool
    momentum: float

    @nn.compact
    def __call__(self, frames: Frames, paddings: Paddings) -> Frames:
        shape = frames.shape[-1:]
        scale = self.param("scale", nn.initializers.zeros, shape)
        bias = self.param("bias", nn.initializers.zeros, shape)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
        running_variance = self.variable("batch_stats", "var", jnp.ones, shape)
        is_valid = (1 - paddings)[..., None]
        if self.use_running_average:
            mean, variance = running_mean.value, running_variance.value
        else:
            count = jnp.maximum(is_valid.sum(), 1)
            mean = (frames * is_valid).sum(axis=(0, 1)) / count
            variance = (((frames - mean) * is_valid) ** 2).sum(axis=(0, 1)) / count
            for running, of_batch in ((running_mean, mean), (running_variance, variance)):
                running.value = self.momentum * running.value + (1 - self.momentum) * of_batch
        factor = (1 + scale) * jax.lax.rsqrt(variance + BATCH_NORM_EPSILON)
        return ((frames - mean) * factor + bias) * is_valid


class Conv2dSubsampling(nn.Module):
    """A convolution 3x3 with stride 2 over time and frequency, and an activation function."""

    channels: int
    activation: str

    @nn.compact
    def __call__(
        self, features: Float[Array, "batch frames bins in_channels"], paddings: Paddings
    ) -> tuple[Float[Array, "batch out_frames out_bins channels"], Float[Array, "batch out_frames"]]:
        shape = (3, 3, features.shape[-1], self.channels)
        kernel = self.param("kernel", nn.initializers.xavier_uniform(), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.channels,))
        paddings = paddings[:, ::2]
        activated = ACTIVATIONS[self.activation](strided_conv(features, kernel) + bias)
        return activated * (1 - paddings)[:, :, None, None], paddings


class Subsample(nn.Module):
    """Two convolutions and a dense layer: features of a quarter of the frames.

    Attributes:
      width: features of a frame that it returns.
      channels: of the convolutions.
      activation: of the convolutions, by its name in `ACTIVATIONS`.
      add_positions: whether to add sines and cosines of the frames' positions.
      deterministic: whether to leave out dropout.
    """

    width: int
    channels: int
    activation: str
    add_positions: bool
    deterministic: bool

    @nn.compact
    def __call__(
        self, features: Float[Array, "batch all_frames bins"], paddings: Float[Array, "batch all_frames"], rate: Rate
    ) -> tuple[Frames, Paddings]:
        hidden, paddings = Conv2dSubsampling(self.channels, self.activation)(features[..., None], paddings)
        hidden, paddings = Conv2dSubsampling(self.channels, self.activation)(hidden, paddings)
        hidden = hidden.reshape(*hidden.shape[:2], -1)
        frames = nn.Dense(self.width, kernel_init=nn.initializers.xavier_uniform())(hidden)
        if self.add_positions:
            frames = frames + jnp.asarray(position_embedding(frames.shape[1], self.width), frames.dtype)
        return Dropout(self.deterministic)(frames, rate), paddings
