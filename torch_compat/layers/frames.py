"""Layers on the frames of utterances of different lengths, the twins of `workloads/speech/layers.py`."""

import math
from collections.abc import Callable
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from torch_compat.layers.activations import ACTIVATIONS
from torch_compat.layers.collectives import gather_from_processes, process_count
from torch_compat.layers.uninitialized import uninitialized
from torch_compat.transfer.leaves import linear_leaves
from torch_compat.transfer.torch_model import CONVOLUTION, Leaf
from workloads.layers.positions import LONGEST_WAVE
from workloads.speech.layers import BATCH_NORM_EPSILON, LAYER_NORM_EPSILON

Frames = Float[Tensor, "batch frames features"]
Paddings = Float[Tensor, "batch frames"]


class LayerNorm(nn.Module):
    """Layer normalization whose factor is 1 + `scale`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.empty(width))
        self.bias = nn.Parameter(torch.empty(width))

    def forward(self, frames: Frames) -> Frames:
        return functional.layer_norm(frames, self.scale.shape, 1 + self.scale, self.bias, LAYER_NORM_EPSILON)


class BatchNorm(nn.Module):
    """Batch normalization over the frames without padding of all processes; the factor is 1 + its first parameter.

    In training mode it uses the statistics of the batch, in evaluation mode the running ones. Padding becomes 0.

    Args:
      width: number of features.
      momentum: what is kept of the running statistics at an update.
      scale: name of the first parameter.
      has_dim: whether there is the buffer in which the reference's Conformer keeps the width.

    Attributes:
      update_statistics: whether training mode also updates the running statistics.
    """

    running_mean: Tensor
    running_var: Tensor
    bias: Tensor
    update_statistics: bool = True

    def __init__(self, width: int, momentum: float, *, scale: str, has_dim: bool = False) -> None:
        super().__init__()
        self._momentum = momentum
        self._scale = scale
        self.register_buffer("running_mean", torch.empty(width))
        self.register_buffer("running_var", torch.empty(width))
        if has_dim:
            self.register_buffer("dim", torch.tensor([float(width)]))
        self.register_parameter(scale, nn.Parameter(torch.empty(width)))
        self.register_parameter("bias", nn.Parameter(torch.empty(width)))

    def forward(self, frames: Frames, paddings: Paddings) -> Frames:
        # Under autocast, the type of the frames may be too narrow for sums.
        wide, is_valid = frames.to(self.bias.dtype), (paddings == 0)[..., None]
        if self.training:
            mean, variance = self._statistics(wide, is_valid)
            if self.update_statistics:
                self._move_statistics(mean.detach(), variance.detach())
        else:
            mean, variance = self.running_mean, self.running_var
        factor = (1 + self.get_parameter(self._scale)) * torch.rsqrt(variance + BATCH_NORM_EPSILON)
        return (((wide - mean) * factor + self.bias) * is_valid).to(frames.dtype)

    def _statistics(
        self, frames: Frames, is_valid: Tensor
    ) -> tuple[Float[Tensor, " features"], Float[Tensor, " features"]]:
        """Mean and biased variance of the frames without padding."""
        count = is_valid.sum().to(frames.dtype)
        mean = (frames * is_valid).sum(dim=(0, 1)) / count.clamp(min=1)
        variance = ((frames - mean) * is_valid).square().sum(dim=(0, 1)) / count.clamp(min=1)
        if process_count() == 1:
            return mean, variance
        means, variances, counts = gather_from_processes(torch.stack([mean, variance, count.expand_as(mean)])).unbind(1)
        # Statistics of the union from those of its parts, as in `BatchNorm2d`.
        shares = counts / counts.sum(dim=0).clamp(min=1)
        mean = (shares * means).sum(dim=0)
        return mean, (shares * (variances + (means - mean).square())).sum(dim=0)

    def _move_statistics(self, mean: Tensor, variance: Tensor) -> None:
        for running, of_batch in ((self.running_mean, mean), (self.running_var, variance)):
            running.mul_(self._momentum).add_(of_batch, alpha=1 - self._momentum)


class Conv2dSubsampling(nn.Module):
    """A convolution 3x3 with stride 2 over time and frequency, padded as flax does, and an activation function.

    Args:
      in_channels: channels of its inputs.
      channels: channels of its outputs.
      activation: name of the function.
      has_paddings_kernel: whether there is the buffer with which the reference shortens the paddings of a Conformer.
    """

    def __init__(self, in_channels: int, channels: int, activation: str, *, has_paddings_kernel: bool) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.empty(channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.empty(channels))
        if has_paddings_kernel:
            self.register_buffer("paddings_kernel", torch.ones(1, 1, 1))
        self._activation = ACTIVATIONS[activation]

    def forward(
        self, features: Float[Tensor, "batch in_channels frames bins"], paddings: Paddings
    ) -> tuple[Float[Tensor, "batch channels out_frames out_bins"], Float[Tensor, "batch out_frames"]]:
        # An even length gets one zero at the end, an odd one also one at the start.
        frames, bins = features.shape[2:]
        padded = functional.pad(features, (bins % 2, 1, frames % 2, 1))
        paddings = paddings[:, ::2]
        activated = self._activation(functional.conv2d(padded, self.kernel, self.bias, stride=2))
        return activated * (1 - paddings)[:, None, :, None].to(activated.dtype), paddings


class AddPositionalEmbedding(nn.Module):
    """Adds sines and cosines of the positions of frames."""

    inv_timescales: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self._half = width // 2
        self.register_buffer("inv_timescales", self._exact().float())

    def forward(self, frames: Frames) -> Frames:
        positions = torch.arange(frames.shape[1], device=frames.device, dtype=self.inv_timescales.dtype)
        angles = positions[:, None] * self.inv_timescales[0]
        return frames + torch.cat([angles.sin(), angles.cos()], dim=1).to(frames.dtype)

    def _exact(self) -> Float[Tensor, "1 1 half"]:
        exponents = -torch.arange(self._half, dtype=torch.float64) * (math.log(LONGEST_WAVE) / (self._half - 1))
        return exponents.exp()[None, None]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # A wider type gets digits that the narrower one does not have.
        super()._apply(fn, recurse)
        self.inv_timescales.copy_(self._exact())
        return self


class Subsample(nn.Module):
    """Two convolutions and a dense layer: features of a quarter of the frames.

    Args:
      bins: features of a frame that it gets.
      width: features of a frame that it returns.
      channels: of the convolutions.
      activation: of the convolutions.
      linear: name of the dense layer.
      add_positions: whether to add the positions of the frames.
    """

    def __init__(
        self, bins: int, width: int, channels: int, activation: str, *, linear: str, add_positions: bool
    ) -> None:
        super().__init__()
        self.conv1 = Conv2dSubsampling(1, channels, activation, has_paddings_kernel=add_positions)
        self.conv2 = Conv2dSubsampling(channels, channels, activation, has_paddings_kernel=add_positions)
        self.add_module(linear, uninitialized(nn.Linear, -(-bins // 4) * channels, width))
        self.pos_encode = AddPositionalEmbedding(width) if add_positions else None
        self._linear = linear

    def forward(
        self,
        features: Float[Tensor, "batch all_frames bins"],
        paddings: Float[Tensor, "batch all_frames"],
        dropout_rate: float,
    ) -> tuple[Frames, Paddings]:
        hidden, paddings = self.conv1(features[:, None], paddings)
        hidden, paddings = self.conv2(hidden, paddings)
        frames = self.get_submodule(self._linear)(hidden.permute(0, 2, 3, 1).flatten(2))
        if self.pos_encode is not None:
            frames = self.pos_encode(frames)
        return functional.dropout(frames, dropout_rate, self.training), paddings


def subsample_leaves(linear: str) -> dict[str, Leaf]:
    """The parameters of a `Subsample` called `subsample`."""
    leaves: dict[str, Leaf] = {}
    for index in range(2):
        name, path = f"subsample.conv{index + 1}", f"Subsample_0/Conv2dSubsampling_{index}"
        leaves |= {f"{name}.kernel": Leaf(f"{path}/kernel", CONVOLUTION), f"{name}.bias": Leaf(f"{path}/bias")}
    return leaves | linear_leaves(f"subsample.{linear}", "Subsample_0/Dense_0")


def norm_leaves(name: str, path: str, scale: str = "scale") -> dict[str, Leaf]:
    """The two parameters of a normalization called `name`, the first of which is called `scale`."""
    return {f"{name}.{scale}": Leaf(f"{path}/scale"), f"{name}.bias": Leaf(f"{path}/bias")}
