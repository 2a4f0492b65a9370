"""ResNet-50, the twin of `workloads/imagenet_resnet/model.py`."""

import collections
import functools
import itertools
from collections.abc import Iterator

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from algoperf_jax.workload import Batch, Workload
from torch_compat.layers.activations import ACTIVATIONS
from torch_compat.layers.batch_norm import BatchNorm2d
from torch_compat.layers.convolutions import convolution
from torch_compat.layers.uninitialized import uninitialized
from torch_compat.transfer.leaves import linear_leaves, normalization_leaves, statistics_leaves
from torch_compat.transfer.torch_model import CONVOLUTION, Joined, Leaf, TorchModel, channels_first
from workloads.imagenet_resnet.model import CHANNELS, EXPANSION, Size


class ResNet(nn.Module):
    """The network, on images [B, 3, H, W].

    Args:
      size: size of the model.
      activation: `relu`, `gelu` (tanh approximation) or `silu`.
    """

    def __init__(self, size: Size, activation: str) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[activation]
        self.conv1 = uninitialized(nn.Conv2d, CHANNELS, size.width, 7, 2, padding=3, bias=False)
        self.bn1 = BatchNorm2d(size.width)
        self.num_stages = len(size.stage_sizes)
        in_channels = size.width
        for stage, num_blocks in enumerate(size.stage_sizes):
            channels = size.width * 2**stage
            strides = [1 if stage == 0 else 2] + [1] * (num_blocks - 1)
            widths = [in_channels] + [EXPANSION * channels] * (num_blocks - 1)
            blocks = [
                Bottleneck(before, channels, stride, activation) for before, stride in zip(widths, strides, strict=True)
            ]
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
            in_channels = EXPANSION * channels
        self.fc = uninitialized(nn.Linear, in_channels, size.num_classes)

    def forward(self, batch: Batch, *, dropout_rate: float) -> Float[Tensor, "batch classes"]:
        """Returns logits; the model has no dropout."""
        del dropout_rate
        features = self.activation(self.bn1(self.conv1(batch["inputs"])))
        features = functional.max_pool2d(features, kernel_size=3, stride=2, padding=1)
        for stage in range(self.num_stages):
            features = self.get_submodule(f"layer{stage + 1}")(features)
        return self.fc(features.mean(dim=(2, 3)))


class Bottleneck(nn.Module):
    """Convolutions 1x1, 3x3 and 1x1 with a shortcut; height and width are divided by `stride`."""

    def __init__(self, in_channels: int, channels: int, stride: int, activation: str) -> None:
        super().__init__()
        width = EXPANSION * channels
        self.activation = ACTIVATIONS[activation]
        self.conv1 = convolution(in_channels, channels, kernel_size=1)
        self.bn1 = BatchNorm2d(channels)
        self.conv2 = convolution(channels, channels, kernel_size=3, stride=stride)
        self.bn2 = BatchNorm2d(channels)
        self.conv3 = convolution(channels, width, kernel_size=1)
        self.bn3 = BatchNorm2d(width)
        self.downsample = nn.Sequential()
        if stride > 1 or in_channels != width:
            projection = convolution(in_channels, width, kernel_size=1, stride=stride)
            self.downsample = nn.Sequential(collections.OrderedDict(conv=projection, bn=BatchNorm2d(width)))

    def forward(
        self, features: Float[Tensor, "batch in_channels height width"]
    ) -> Float[Tensor, "batch out_channels out_height out_width"]:
        branch = self.activation(self.bn1(self.conv1(features)))
        branch = self.activation(self.bn2(self.conv2(branch)))
        return self.activation(self.bn3(self.conv3(branch)) + self.downsample(features))


def build(workload: Workload) -> TorchModel:
    """Builds the twin of the workload or of a variant, which gets the initial values of the JAX model."""
    size: Size = workload.model_arguments["size"]
    parameters: dict[str, Leaf | Joined] = {}
    buffers: dict[str, Leaf] = {}
    for name, norm, jax_convolution, jax_norm in _convolutions(size):
        parameters[f"{name}.weight"] = Leaf(f"{jax_convolution}/kernel", CONVOLUTION)
        parameters |= normalization_leaves(norm, jax_norm)
        buffers |= statistics_leaves(norm, jax_norm)
    return TorchModel(
        make_module=functools.partial(ResNet, size, workload.model_arguments["activation"]),
        parameters=parameters | linear_leaves("fc", "Dense_0"),
        buffers=buffers,
        arrange=channels_first,
        loss=workload.loss,
    )


def _convolutions(size: Size) -> Iterator[tuple[str, str, str, str]]:
    """Every convolution with the normalization after it, in the module's order: names in PyTorch, paths in JAX."""
    yield "conv1", "bn1", "Conv_init", "BatchNorm_init"
    index = itertools.count()
    for stage, num_blocks in enumerate(size.stage_sizes):
        for block in range(num_blocks):
            name, path = f"layer{stage + 1}.{block}", f"BottleneckResNetBlock_{next(index)}"
            for place in range(3):
                yield (
                    f"{name}.conv{place + 1}",
                    f"{name}.bn{place + 1}",
                    f"{path}/Conv_{place}",
                    f"{path}/BatchNorm_{place}",
                )
            if block == 0:
                yield f"{name}.downsample.conv", f"{name}.downsample.bn", f"{path}/Conv_proj", f"{path}/BatchNorm_proj"
