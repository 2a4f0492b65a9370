"""Batch normalization as flax computes it, over the batch of all processes.

It differs from PyTorch's in two ways. The running variance is the biased one. And if several processes share a batch,
the statistics are those of the whole batch, as in JAX on several devices; `torch.nn.SyncBatchNorm` does that too, but
only on GPUs.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from torch_compat.layers.collectives import gather_from_processes, process_count

_Normalized = tuple[
    Float[Tensor, "batch channels height width"], Float[Tensor, " channels"], Float[Tensor, " channels"]
]
"""Normalized features, and their mean and biased variance."""


class BatchNorm2d(torch.nn.BatchNorm2d):
    """Normalizes each channel (Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167).

    In training mode it uses the statistics of the batch, in evaluation mode the running ones. All processes must have
    equally large parts of a batch.

    Attributes:
      update_statistics: whether training mode also updates the running statistics, by `momentum` (0: not at all).
    """

    # The base class allows these to be None.
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    update_statistics: bool = True

    def forward(
        self, features: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        if not self.training:
            return super().forward(features)
        if process_count() > 1:
            output, mean, variance = self._normalize_over_processes(features)
        else:
            output, mean, variance = self._normalize(features)
        if self.update_statistics:
            self._move_statistics(mean.detach(), variance.detach())
        return output

    def _normalize(self, features: Tensor) -> _Normalized:
        """Normalizes by the statistics of these features."""
        mean, variance = torch.zeros_like(self.running_mean), torch.zeros_like(self.running_var)
        # PyTorch's fused kernel: with momentum 1, the running statistics that it writes are those of the batch.
        output = functional.batch_norm(
            features, mean, variance, self.weight, self.bias, training=True, momentum=1.0, eps=self.eps
        )
        count = features.numel() // features.shape[1]
        return output, mean, variance * ((count - 1) / count)

    def _normalize_over_processes(self, features: Tensor) -> _Normalized:
        """Normalizes by the statistics of all processes' features."""
        wide = features.to(self.weight.dtype)  # Under autocast their type may be too narrow for sums.
        variance, mean = torch.var_mean(wide, dim=(0, 2, 3), correction=0)
        means, variances = gather_from_processes(torch.stack([mean, variance])).unbind(dim=1)
        # The variance of the union, from those of its parts, without the cancellation of E[x²] - E[x]² (Chan et al.
        # 1979, "Updating formulae and a pairwise algorithm for computing sample variances").
        mean = means.mean(dim=0)
        variance = variances.mean(dim=0) + (means - mean).square().mean(dim=0)
        scale = torch.rsqrt(variance + self.eps) * self.weight
        per_channel = (-1, 1, 1)
        centered = wide - mean.view(per_channel)
        output = torch.addcmul(self.bias.view(per_channel), centered, scale.view(per_channel))
        return output.to(features.dtype), mean, variance

    def _move_statistics(self, mean: Tensor, variance: Tensor) -> None:
        self.num_batches_tracked.add_(1)
        # As in the base class, None means the average over all batches.
        momentum = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.mul_(1 - momentum).add_(mean, alpha=momentum)
        self.running_var.mul_(1 - momentum).add_(variance, alpha=momentum)
