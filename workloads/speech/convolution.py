"""Convolutions 3x3 with stride 2, forward and backward, as products of matrices.

On the CPU, XLA multiplies with the zeros that a stride puts between the elements of a gradient: three quarters of the
work of the backward pass.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

KERNEL = 3
STRIDE = 2


def strided_conv(
    images: Float[Array, "batch height width in_channels"], kernel: Float[Array, "3 3 in_channels channels"]
) -> Float[Array, "batch out_height out_width channels"]:
    """The convolution with padding `SAME` of XLA: an even axis is padded at its end only, an odd one on both sides."""
    height, width = (-(-length // STRIDE) for length in images.shape[1:3])
    margins = [(length % 2, 1) for length in images.shape[1:3]]
    padded = jnp.pad(images, ((0, 0), *margins, (0, 0)))
    patches = [
        padded[:, row : row + STRIDE * height - 1 : STRIDE, column : column + STRIDE * width - 1 : STRIDE]
        for row in range(KERNEL)
        for column in range(KERNEL)
    ]
    return jnp.concatenate(patches, axis=-1) @ kernel.reshape(-1, kernel.shape[-1])
