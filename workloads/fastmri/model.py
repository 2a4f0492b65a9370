"""A U-Net that reconstructs images (Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597; Zbontar et al. 2018,
https://arxiv.org/abs/1811.08839), of any height and width that leave two pixels at the lowest level.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from workloads.dropout import Dropout, Rate

DROPOUT_RATE = 0.0
NEGATIVE_SLOPE = 0.2
INSTANCE_NORM_EPSILON = 1e-5
LAYER_NORM_EPSILON = 1e-6

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "leaky_relu": lambda features: nn.leaky_relu(features, NEGATIVE_SLOPE),
    "tanh": jnp.tanh,
}
NORMALIZATIONS = ("instance", "layer")


def instance_norm(
    features: Float[Array, "batch height width channels"],
) -> Float[Array, "batch height width channels"]:
    """Normalizes each channel of each image to mean 0 and variance 1 (Ulyanov et al. 2016), without parameters."""
    mean = features.mean(axis=(1, 2), keepdims=True)
    variance = jnp.maximum((features**2).mean(axis=(1, 2), keepdims=True) - mean**2, 0)
    return (features - mean) * jax.lax.rsqrt(variance + INSTANCE_NORM_EPSILON)


class ConvBlock(nn.Module):
    """Two times 3x3 convolution, normalization, activation and dropout of whole channels.

    The layer norm of an image is over all its pixels and channels, with a scale and a bias for each channel.
    """

    channels: int
    activation: str
    normalization: str
    deterministic: bool

    @nn.compact
    def __call__(
        self, features: Float[Array, "batch height width in_channels"], dropout_rate: Rate
    ) -> Float[Array, "batch height width channels"]:
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
    """A transposed 2x2 convolution with stride 2.

    No two input pixels affect the same output pixel, so it is one matrix product for each of the four positions in a
    square. The class's name determines that of its parameters.
    """

    channels: int

    @nn.compact
    def __call__(
        self, features: Float[Array, "batch height width in_channels"]
    ) -> Float[Array, "batch 2*height 2*width channels"]:
        batch, height, width, channels = features.shape
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (2, 2, channels, self.channels))
        # As in flax, the kernel's first row and column go to the last row and column of each square.
        squares = jnp.einsum("bhwi,klio->bhkwlo", features, kernel[::-1, ::-1])
        return squares.reshape(batch, 2 * height, 2 * width, self.channels)


class TransposeConvBlock(nn.Module):
    """Transposed convolution, instance norm and activation."""

    channels: int
    activation: str

    @nn.compact
    def __call__(
        self, features: Float[Array, "batch height width in_channels"]
    ) -> Float[Array, "batch 2*height 2*width channels"]:
        return ACTIVATIONS[self.activation](instance_norm(ConvTranspose(self.channels)(features)))


class UNet(nn.Module):
    """The network; it returns reconstructed images.

    Attributes:
      num_pool_layers: number of times the images are halved.
      num_channels: channels of the first block; each halving doubles them.
      activation: `leaky_relu` (slope 0.2) or `tanh`.
      normalization: normalization of the convolution blocks, `instance` or `layer`; transposed convolutions always use
        instance norm.
      deterministic: whether dropout is off.
    """

    num_pool_layers: int
    num_channels: int
    activation: str
    normalization: str
    deterministic: bool

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch height width"], dropout_rate: Rate
    ) -> Float[Array, "batch height width"]:
        def block(features: Array, level: int) -> Array:
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
            # For odd sizes, halving dropped the last row and column.
            missing = [(0, skip.shape[axis] - features.shape[axis]) for axis in (1, 2)]
            features = jnp.pad(features, ((0, 0), *missing, (0, 0)), mode="reflect")
            features = block(jnp.concatenate([features, skip], axis=-1), level)
        return nn.Conv(1, (1, 1))(features)[..., 0]
