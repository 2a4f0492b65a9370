"""Convolutions with the padding that flax calls `SAME`."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from torch_compat.layers.uninitialized import uninitialized


class HalvingConvolution(nn.Conv2d):
    """A 3x3 convolution of stride 2, for even height and width.

    Like flax, it pads with one row and one column of zeros at the end; PyTorch's convolutions pad both sides equally.
    """

    def forward(
        self, features: Float[Tensor, "batch in_channels height width"]
    ) -> Float[Tensor, "batch channels height//2 width//2"]:
        return super().forward(functional.pad(features, (0, 1, 0, 1)))


def convolution(in_channels: int, channels: int, *, kernel_size: int, stride: int = 1) -> nn.Conv2d:
    """A convolution of 1x1, or of 3x3 with stride 1 or 2, without bias and uninitialized."""
    halving = kernel_size == 3 and stride == 2
    return uninitialized(
        HalvingConvolution if halving else nn.Conv2d,
        in_channels,
        channels,
        kernel_size,
        stride,
        padding=0 if halving else kernel_size // 2,
        bias=False,
    )
