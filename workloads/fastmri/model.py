"""A U-Net that repairs images (Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597; Zbontar et al. 2018,
https://arxiv.org/abs/1811.08839): [B, H, W] -> [B, H, W], for any H and W that leave two pixels at the bottom.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from workloads.dropout import Dropout

DROPOUT_RATE = 0.0
NEGATIVE_SLOPE = 0.2
INSTANCE_NORM_EPSILON = 1e-5
LAYER_NORM_EPSILON = 1e-6

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "leaky_relu": lambda features: nn.leaky_relu(features, NEGATIVE_SLOPE),
    "tanh": jnp.tanh,
}
NORMALIZATIONS = ("instance", "layer")


def instance_norm(features: jax.Array) -> jax.Array:
    """Each channel of each image [B, H, W, C] to mean 0 and variance 1 (Ulyanov et al. 2016); no parameters."""
    mean = features.mean(axis=(1, 2), keepdims=True)
    variance = jnp.maximum((features**2).mean(axis=(1, 2), keepdims=True) - mean**2, 0)
    return (features - mean) * jax.lax.rsqrt(variance + INSTANCE_NORM_EPSILON)


class ConvBlock(nn.Module):
    """Twice a 3x3 convolution, normalization, activation and dropout of whole channels: [B, H, W, C] -> channels.

    The layer norm of an image is over all its pixels and channels, with a scale and a bias for each channel.
    """

    channels: int
    activation: str
    normalization: str
    deterministic: bool

    @nn.compact
    def __call__(self, features: jax.Array, dropout_rate: Any) -> jax.Array:
        for _ in range(2):
            features = nn.Conv(self.channels, (3, 3), use_bias=False)(features)
            if self.normalization == "layer":
                features = nn.LayerNorm(LAYER_NORM_EPSILON, reduction_axes=(1, 2, 3), feature_axes=-1)(features)
            else:
                features = instance_norm(features)
            features = ACTIVATIONS[self.activation](features)
            if not self.deterministic:
                kept = jnp.ones((len(features), self.channels), features.dtype)
                features = features * Dropout(self.deterministic)(kept, dropout_rate)[:, None, None, :]
        return features


class ConvTranspose(nn.Module):
    """A 2x2 convolution transposed with stride 2, [B, H, W, C] -> [B, 2 H, 2 W, channels].

    No two pixels reach the same place, so it is a product with a matrix for each of the four places. The class's name
    makes that of its parameters.
    """

    channels: int

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        batch, height, width, channels = features.shape
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (2, 2, channels, self.channels))
        # As in flax, the kernel's first row and column go to the last row and column of each square.
        squares = jnp.einsum("bhwi,klio->bhkwlo", features, kernel[::-1, ::-1])
        return squares.reshape(batch, 2 * height, 2 * width, self.channels)


class TransposeConvBlock(nn.Module):
    """Transposed convolution, instance norm and activation: [B, H, W, C] -> [B, 2 H, 2 W, channels]."""

    channels: int
    activation: str

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        return ACTIVATIONS[self.activation](instance_norm(ConvTranspose(self.channels)(features)))


class UNet(nn.Module):
    """Images [B, H, W] -> images [B, H, W].

    Attributes:
      num_pool_layers: how often the images are halved.
      num_channels: channels of the first block; each halving doubles them.
      activation: `leaky_relu` (slope 0.2) or `tanh`.
      normalization: of the convolution blocks, `instance` or `layer`; the transposed ones keep instance norm.
      deterministic: dropout is off.
    """

    num_pool_layers: int
    num_channels: int
    activation: str
    normalization: str
    deterministic: bool

    @nn.compact
    def __call__(self, images: jax.Array, dropout_rate: Any) -> jax.Array:
        def block(features: jax.Array, level: int) -> jax.Array:
            channels = self.num_channels * 2**level
            return ConvBlock(channels, self.activation, self.normalization, self.deterministic)(features, dropout_rate)

        features, skips = images[..., None], []
        for level in range(self.num_pool_layers):
            features = block(features, level)
            skips.append(features)
            features = nn.avg_pool(features, (2, 2), (2, 2))
        features = block(features, self.num_pool_layers)
        for level, skip in reversed(list(enumerate(skips))):
            features = TransposeConvBlock(self.num_channels * 2**level, self.activation)(features)
            # Halving dropped the last row and column of odd sizes.
            missing = [(0, skip.shape[axis] - features.shape[axis]) for axis in (1, 2)]
            features = jnp.pad(features, ((0, 0), *missing, (0, 0)), mode="reflect")
            features = block(jnp.concatenate([features, skip], axis=-1), level)
        return nn.Conv(1, (1, 1))(features)[..., 0]
