"""ResNet-50 (He et al. 2016, https://arxiv.org/abs/1512.03385), with the stride in the 3x3 convolution of a block.

The last normalization of each block starts with scale 0, except in a variant, so that every block is initially its
shortcut (Goyal et al. 2017, https://arxiv.org/abs/1706.02677). The running variance is the biased one, as in flax.
Padding `SAME` of a convolution with stride 2 adds zeros only at the end of the image.
"""

import dataclasses
import functools

import flax.linen as nn
from jaxtyping import Array, Float

from workloads.activations import ACTIVATIONS

CHANNELS = 3
EXPANSION = 4
"""Ratio of a block's output channels to those of its inner convolutions."""


@dataclasses.dataclass(frozen=True)
class Size:
    """The size of the images and the model.

    Attributes:
      image_size: height and width of the images.
      num_classes: number of classes.
      stage_sizes: number of blocks in each stage; a stage has half the height and width of the previous one.
      width: channels of the inner convolutions in the first stage, doubled in each later stage.
    """

    image_size: int
    num_classes: int
    stage_sizes: tuple[int, ...]
    width: int


FULL = Size(image_size=224, num_classes=1_000, stage_sizes=(3, 4, 6, 3), width=64)
SMALL = Size(image_size=64, num_classes=10, stage_sizes=(1, 1, 1, 1), width=16)


class BottleneckResNetBlock(nn.Module):
    """Convolutions 1x1, 3x3 and 1x1 with a shortcut; height and width are divided by `stride`."""

    channels: int
    stride: int
    activation: str
    bn_init_scale: float
    use_running_average: bool

    @nn.compact
    def __call__(
        self, features: Float[Array, "batch height width in_channels"]
    ) -> Float[Array, "batch out_height out_width out_channels"]:
        activate = ACTIVATIONS[self.activation]
        conv = functools.partial(nn.Conv, use_bias=False)
        norm = functools.partial(nn.BatchNorm, self.use_running_average, momentum=0.9, epsilon=1e-5)
        strides, width = (self.stride, self.stride), EXPANSION * self.channels
        branch = activate(norm()(conv(self.channels, (1, 1))(features)))
        branch = activate(norm()(conv(self.channels, (3, 3), strides)(branch)))
        last = nn.initializers.constant(self.bn_init_scale)
        branch = norm(scale_init=last)(conv(width, (1, 1))(branch))
        if features.shape != branch.shape:
            features = conv(width, (1, 1), strides, name="Conv_proj")(features)
            features = norm(name="BatchNorm_proj")(features)
        return activate(features + branch)


class ResNet(nn.Module):
    """The network; it returns logits.

    Attributes:
      size: size of the model.
      activation: name of the activation function.
      bn_init_scale: initial scale of the last normalization in each block.
      use_running_average: whether to normalize with the running statistics instead of those of the batch.
    """

    size: Size
    activation: str
    bn_init_scale: float
    use_running_average: bool

    @nn.compact
    def __call__(self, images: Float[Array, "batch height width 3"]) -> Float[Array, "batch classes"]:
        stem = nn.Conv(self.size.width, (7, 7), (2, 2), padding=3, use_bias=False, name="Conv_init")
        norm = nn.BatchNorm(self.use_running_average, momentum=0.9, epsilon=1e-5, name="BatchNorm_init")
        features = ACTIVATIONS[self.activation](norm(stem(images)))
        features = nn.max_pool(features, (3, 3), (2, 2), padding=((1, 1), (1, 1)))  # pyright: ignore[reportArgumentType]
        for stage, num_blocks in enumerate(self.size.stage_sizes):
            for block in range(num_blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                features = BottleneckResNetBlock(
                    self.size.width * 2**stage, stride, self.activation, self.bn_init_scale, self.use_running_average
                )(features)
        pooled = features.mean(axis=(1, 2))
        return nn.Dense(self.size.num_classes, kernel_init=nn.initializers.normal(0.01))(pooled)
