"""ResNet-18 for 32x32 images, the twin of `workloads/cifar/model.py`."""

import collections
from collections.abc import Iterator

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from algoperf_jax.workload import Batch, Workload
from torch_compat.layers.batch_norm import BatchNorm2d
from torch_compat.layers.convolutions import convolution
from torch_compat.layers.uninitialized import uninitialized
from torch_compat.transfer.leaves import linear_leaves, normalization_leaves, statistics_leaves
from torch_compat.transfer.torch_model import CONVOLUTION, Leaf, TorchModel, channels_first
from workloads.cifar.model import BLOCKS_PER_STAGE, IMAGE_SHAPE, NUM_CLASSES, STAGE_CHANNELS


class ResNet18(nn.Module):
    """The network, on images [B, 3, 32, 32]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = convolution(IMAGE_SHAPE[-1], STAGE_CHANNELS[0], kernel_size=3)
        self.bn1 = BatchNorm2d(STAGE_CHANNELS[0])
        self.layer1 = _stage(STAGE_CHANNELS[0], STAGE_CHANNELS[0], stride=1)
        self.layer2 = _stage(STAGE_CHANNELS[0], STAGE_CHANNELS[1], stride=2)
        self.layer3 = _stage(STAGE_CHANNELS[1], STAGE_CHANNELS[2], stride=2)
        self.layer4 = _stage(STAGE_CHANNELS[2], STAGE_CHANNELS[3], stride=2)
        self.fc = uninitialized(nn.Linear, STAGE_CHANNELS[3], NUM_CLASSES)

    def forward(self, batch: Batch, *, dropout_rate: float) -> Float[Tensor, "batch classes"]:
        """Returns logits; the model has no dropout."""
        del dropout_rate
        features = functional.relu(self.bn1(self.conv1(batch["inputs"])))
        features = self.layer4(self.layer3(self.layer2(self.layer1(features))))
        return self.fc(features.mean(dim=(2, 3)))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut; height and width are divided by `stride`."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = convolution(in_channels, channels, kernel_size=3, stride=stride)
        self.bn1 = BatchNorm2d(channels)
        self.conv2 = convolution(channels, channels, kernel_size=3)
        self.bn2 = BatchNorm2d(channels)
        self.downsample = nn.Sequential()
        if stride > 1 or in_channels != channels:
            projection = convolution(in_channels, channels, kernel_size=1, stride=stride)
            self.downsample = nn.Sequential(collections.OrderedDict(conv=projection, bn=BatchNorm2d(channels)))

    def forward(
        self, features: Float[Tensor, "batch in_channels height width"]
    ) -> Float[Tensor, "batch channels out_height out_width"]:
        branch = functional.relu(self.bn1(self.conv1(features)))
        branch = self.bn2(self.conv2(branch))
        return functional.relu(branch + self.downsample(features))


def _stage(in_channels: int, channels: int, *, stride: int) -> nn.Sequential:
    rest = [BasicBlock(channels, channels, stride=1) for _ in range(BLOCKS_PER_STAGE - 1)]
    return nn.Sequential(BasicBlock(in_channels, channels, stride), *rest)


def build(workload: Workload) -> TorchModel:
    """Builds the twin; the model has no variants."""
    parameters: dict[str, Leaf] = {}
    buffers: dict[str, Leaf] = {}
    for name, norm, jax_convolution, jax_norm in _convolutions():
        parameters[f"{name}.weight"] = Leaf(f"{jax_convolution}/kernel", CONVOLUTION)
        parameters |= normalization_leaves(norm, jax_norm)
        buffers |= statistics_leaves(norm, jax_norm)
    return TorchModel(
        make_module=ResNet18,
        parameters=parameters | linear_leaves("fc", "Dense_0"),
        buffers=buffers,
        arrange=channels_first,
        loss=workload.loss,
    )


def _convolutions() -> Iterator[tuple[str, str, str, str]]:
    """Every convolution with the normalization after it, in the module's order: names in PyTorch, paths in JAX."""
    yield "conv1", "bn1", "Conv_init", "BatchNorm_init"
    for index in range(BLOCKS_PER_STAGE * len(STAGE_CHANNELS)):
        stage, block = divmod(index, BLOCKS_PER_STAGE)
        name, path = f"layer{stage + 1}.{block}", f"ResNetBlock_{index}"
        for place in (0, 1):
            yield (
                f"{name}.conv{place + 1}",
                f"{name}.bn{place + 1}",
                f"{path}/Conv_{place}",
                f"{path}/BatchNorm_{place}",
            )
        if stage > 0 and block == 0:
            yield f"{name}.downsample.conv", f"{name}.downsample.bn", f"{path}/Conv_proj", f"{path}/BatchNorm_proj"
