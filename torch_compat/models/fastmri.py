"""The U-Net that reconstructs images, the twin of `workloads/fastmri/model.py`."""

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from algoperf_jax.workload import Batch, Workload
from torch_compat.layers.uninitialized import uninitialized
from torch_compat.transfer.leaves import normalization_leaves
from torch_compat.transfer.torch_model import CONVOLUTION, TRANSPOSED_CONVOLUTION, Leaf, TorchModel
from workloads.fastmri.model import INSTANCE_NORM_EPSILON, LAYER_NORM_EPSILON, NEGATIVE_SLOPE

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "leaky_relu": functools.partial(nn.LeakyReLU, NEGATIVE_SLOPE),
    "tanh": nn.Tanh,
}


class ChannelDropout(nn.Module):
    """Zeroes whole channels in training mode."""

    def forward(
        self, features: Float[Tensor, "batch channels height width"], dropout_rate: float
    ) -> Float[Tensor, "batch channels height width"]:
        return functional.dropout2d(features, dropout_rate, self.training)


class ConvBlock(nn.Module):
    """Two times 3x3 convolution, normalization, activation and dropout."""

    def __init__(self, in_channels: int, channels: int, activation: str, normalization: str) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in (in_channels, channels):
            layers.append(uninitialized(nn.Conv2d, width, channels, 3, padding=1, bias=False))
            # A single group is a layer norm with a scale and a bias for each channel.
            layers.append(
                uninitialized(nn.GroupNorm, 1, channels, eps=LAYER_NORM_EPSILON)
                if normalization == "layer"
                else nn.InstanceNorm2d(channels, eps=INSTANCE_NORM_EPSILON)
            )
            layers += [ACTIVATIONS[activation](), ChannelDropout()]
        self.conv_layers = nn.Sequential(*layers)

    def forward(
        self, features: Float[Tensor, "batch in_channels height width"], dropout_rate: float
    ) -> Float[Tensor, "batch channels height width"]:
        for layer in self.conv_layers:
            features = layer(features, dropout_rate) if isinstance(layer, ChannelDropout) else layer(features)
        return features


class TransposeConvBlock(nn.Module):
    """Transposed convolution, instance norm and activation."""

    def __init__(self, in_channels: int, channels: int, activation: str) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            uninitialized(nn.ConvTranspose2d, in_channels, channels, 2, stride=2, bias=False),
            nn.InstanceNorm2d(channels, eps=INSTANCE_NORM_EPSILON),
            ACTIVATIONS[activation](),
        )

    def forward(
        self, features: Float[Tensor, "batch in_channels height width"]
    ) -> Float[Tensor, "batch channels 2*height 2*width"]:
        return self.layers(features)


class UNet(nn.Module):
    """The network, on images [B, H, W].

    Args:
      num_pool_layers: number of times the images are halved.
      num_channels: channels of the first block; each halving doubles them.
      activation: `leaky_relu` or `tanh`.
      normalization: normalization of the convolution blocks, `instance` or `layer`.
    """

    def __init__(self, num_pool_layers: int, num_channels: int, activation: str, normalization: str) -> None:
        super().__init__()
        widths = [num_channels * 2**level for level in range(num_pool_layers + 1)]
        block = functools.partial(ConvBlock, activation=activation, normalization=normalization)
        pairs = itertools.pairwise([1, *widths[:-1]])
        self.down_sample_layers = nn.ModuleList(block(width, wider) for width, wider in pairs)
        self.conv = block(widths[-2], widths[-1])
        self.up_conv = nn.ModuleList(block(2 * width, width) for width in widths[-2:0:-1])
        output = uninitialized(nn.Conv2d, num_channels, 1, 1)
        self.up_conv.append(nn.Sequential(block(2 * num_channels, num_channels), output))
        self.up_transpose_conv = nn.ModuleList(
            TransposeConvBlock(2 * width, width, activation) for width in widths[-2::-1]
        )

    def forward(self, batch: Batch, *, dropout_rate: float) -> Float[Tensor, "batch height width"]:
        """Returns the reconstructed images; dropout only in training mode."""
        features, skips = batch["inputs"][:, None], []
        for block in self.down_sample_layers:
            features = block(features, dropout_rate)
            skips.append(features)
            features = functional.avg_pool2d(features, 2)
        features = self.conv(features, dropout_rate)
        *blocks, last = self.up_conv
        last_block, output = cast(nn.Sequential, last)
        for block, up, skip in zip([*blocks, last_block], self.up_transpose_conv, reversed(skips), strict=True):
            features = up(features)
            # For odd sizes, halving dropped the last row and column.
            below, right = (skip.shape[axis] - features.shape[axis] for axis in (2, 3))
            if below or right:
                features = functional.pad(features, (0, right, 0, below), mode="reflect")
            features = block(torch.cat([features, skip], dim=1), dropout_rate)
        return output(features)[:, 0]


def build(workload: Workload) -> TorchModel:
    """Builds the twin of the workload's variant."""
    arguments = workload.model_arguments
    num_pool_layers = arguments["num_pool_layers"]
    last = f"up_conv.{num_pool_layers - 1}"
    parameters: dict[str, Leaf] = {}
    for block, path in _blocks(num_pool_layers):
        for place, index in ((0, 0), (4, 1)):
            parameters[f"{block}.conv_layers.{place}.weight"] = Leaf(f"{path}/Conv_{index}/kernel", CONVOLUTION)
            if arguments["normalization"] == "layer":
                parameters |= normalization_leaves(f"{block}.conv_layers.{place + 1}", f"{path}/LayerNorm_{index}")
    parameters[f"{last}.1.weight"] = Leaf("Conv_0/kernel", CONVOLUTION)
    parameters[f"{last}.1.bias"] = Leaf("Conv_0/bias")
    for index in range(num_pool_layers):
        parameters[f"up_transpose_conv.{index}.layers.0.weight"] = Leaf(
            f"TransposeConvBlock_{index}/ConvTranspose_0/kernel", TRANSPOSED_CONVOLUTION, reversed_axes=(0, 1)
        )
    return TorchModel(
        make_module=functools.partial(UNet, **arguments),
        parameters=parameters,
        buffers={},
        arrange=lambda images: images,
        loss=workload.loss,
    )


def _blocks(num_pool_layers: int) -> Iterator[tuple[str, str]]:
    """Every convolution block, in the module's order: name in PyTorch, path in JAX."""
    names = [f"down_sample_layers.{level}" for level in range(num_pool_layers)]
    names += ["conv", *(f"up_conv.{index}" for index in range(num_pool_layers - 1)), f"up_conv.{num_pool_layers - 1}.0"]
    return ((name, f"ConvBlock_{index}") for index, name in enumerate(names))
