"""ResNet-18 for 32x32 images (He et al. 2016, https://arxiv.org/abs/1512.03385), with a 3x3 stem and no max pooling.

The second normalization of each block starts with scale 0, so that every block is initially its shortcut (Goyal et al.
2017, https://arxiv.org/abs/1706.02677). The running variance is the biased one, as in flax.
"""

import functools

import flax.linen as nn
import jax
from jaxtyping import Array, Float

from workloads.flax_model import flax_model

NUM_CLASSES = 10
IMAGE_SHAPE = (32, 32, 3)
BLOCKS_PER_STAGE = 2
STAGE_CHANNELS = (64, 128, 256, 512)


class ResNetBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut; height and width are divided by `stride`."""

    channels: int
    stride: int
    use_running_average: bool

    @nn.compact
    def __call__(
        self, features: Float[Array, "batch height width in_channels"]
    ) -> Float[Array, "batch out_height out_width channels"]:
        conv = functools.partial(nn.Conv, use_bias=False)
        norm = functools.partial(nn.BatchNorm, self.use_running_average, momentum=0.9, epsilon=1e-5)
        strides = (self.stride, self.stride)
        branch = nn.relu(norm()(conv(self.channels, (3, 3), strides)(features)))
        branch = norm(scale_init=nn.initializers.zeros)(conv(self.channels, (3, 3))(branch))
        if features.shape != branch.shape:
            features = conv(self.channels, (1, 1), strides, name="Conv_proj")(features)
            features = norm(name="BatchNorm_proj")(features)
        return nn.relu(features + branch)


class ResNet18(nn.Module):
    """The network; it returns logits."""

    use_running_average: bool

    @nn.compact
    def __call__(self, images: Float[Array, "batch 32 32 3"]) -> Float[Array, "batch classes"]:
        features = nn.Conv(STAGE_CHANNELS[0], (3, 3), use_bias=False, name="Conv_init")(images)
        features = nn.BatchNorm(self.use_running_average, momentum=0.9, epsilon=1e-5, name="BatchNorm_init")(features)
        features = nn.relu(features)
        for stage, channels in enumerate(STAGE_CHANNELS):
            for block in range(BLOCKS_PER_STAGE):
                stride = 2 if stage > 0 and block == 0 else 1
                features = ResNetBlock(channels, stride, self.use_running_average)(features)
        pooled = features.mean(axis=(1, 2))
        return nn.Dense(NUM_CLASSES, kernel_init=nn.initializers.normal(0.01))(pooled)


init, apply = flax_model(ResNet18, example_inputs=jax.ShapeDtypeStruct((1, *IMAGE_SHAPE), "float32"), batch_stats=True)
