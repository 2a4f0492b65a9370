"""The digit classifier: one hidden layer of 128 sigmoid units."""

import collections

import numpy as np
from jaxtyping import Float
from torch import Tensor, nn

from algoperf_jax.workload import Batch, Workload
from torch_compat.layers.uninitialized import uninitialized
from torch_compat.transfer.leaves import linear_leaves
from torch_compat.transfer.torch_model import TorchModel, channels_first
from workloads.mnist.model import IMAGE_SHAPE, NUM_CLASSES


class DigitClassifier(nn.Module):
    """The network, on images [B, 1, 28, 28]."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            collections.OrderedDict(
                layer1=uninitialized(nn.Linear, int(np.prod(IMAGE_SHAPE)), 128),
                activation=nn.Sigmoid(),
                layer2=uninitialized(nn.Linear, 128, NUM_CLASSES),
            )
        )

    def forward(self, batch: Batch, *, dropout_rate: float) -> Float[Tensor, "batch classes"]:
        """Returns logits; the model has no dropout."""
        del dropout_rate
        return self.net(batch["inputs"].flatten(start_dim=1))


def build(workload: Workload) -> TorchModel:
    """Builds the twin; the model has no variants."""
    return TorchModel(
        make_module=DigitClassifier,
        parameters=linear_leaves("net.layer1", "Dense_0") | linear_leaves("net.layer2", "Dense_1"),
        buffers={},
        arrange=channels_first,
        loss=workload.loss,
    )
