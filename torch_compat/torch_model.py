"""A workload's model as PyTorch submissions get it: a module, and how its tensors correspond to the JAX arrays."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import array_api_compat
import torch

from algoperf_jax.workload import LossFunction


@dataclasses.dataclass(frozen=True)
class Leaf:
    """Where a tensor of a module stands in the JAX trees.

    Attributes:
      path: `/`-joined names, in `params` for a parameter (`Dense_0/kernel`), in `model_state` for a buffer
        (`batch_stats/BatchNorm_init/mean`).
      axes: the argument of `transpose` that takes the JAX array to PyTorch's layout; None keeps it.
      reversed_axes: axes of the JAX array whose order is reversed besides.
    """

    path: str
    axes: tuple[int, ...] | None = None
    reversed_axes: tuple[int, ...] = ()


LINEAR = (1, 0)
"""[in, out] -> [out, in]."""
CONVOLUTION = (3, 2, 0, 1)
"""[height, width, in, out] -> [out, in, height, width]."""
TRANSPOSED_CONVOLUTION = (2, 3, 0, 1)
"""[height, width, in, out] -> [in, out, height, width]; height and width are reversed besides."""


def channels_first(images: Any) -> Any:
    """Arranges images [B, H, W, C] as [B, C, H, W], NumPy arrays or tensors, as a view."""
    return array_api_compat.array_namespace(images).permute_dims(images, (0, 3, 1, 2))


@dataclasses.dataclass(frozen=True)
class TorchModel:
    """A workload's model in PyTorch.

    Attributes:
      make_module: makes the module, in training mode, on the CPU: `module(batch, dropout_rate=...) -> logits`. Its
        parameters are left uninitialized: they have a value only once the JAX ones are copied over. Submodules with an
        attribute `update_statistics` have running statistics that move in training mode only if it is true.
      parameters: PyTorch name -> `Leaf`, every parameter once, in the order of `named_parameters`.
      buffers: PyTorch name -> `Leaf` of the running statistics. A buffer without a counterpart in JAX
        (`num_batches_tracked`) is not listed.
      arrange: `inputs` of a batch in the JAX layout -> in PyTorch's, as views where that is possible (copying is left
        to whoever makes tensors of them). Takes NumPy arrays, and tensors where batches are finished on the device.
      loss: takes tensors.
      spans_processes: whether batch statistics are those of all processes' rows, as they are in JAX.
    """

    make_module: Callable[[], torch.nn.Module]
    parameters: Mapping[str, Leaf]
    buffers: Mapping[str, Leaf]
    arrange: Callable[[Any], Any]
    loss: LossFunction
    spans_processes: bool = True
