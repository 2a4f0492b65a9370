"""A workload's model as PyTorch submissions get it: a module, and how its tensors correspond to the JAX arrays."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
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
      shape: what the transposed array is reshaped to (the heads of an attention layer become one axis); None keeps it.
    """

    path: str
    axes: tuple[int, ...] | None = None
    shape: tuple[int, ...] | None = None
    reversed_axes: tuple[int, ...] = ()

    @property
    def parts(self) -> tuple["Leaf", ...]:
        """The tensor is this one array."""
        return (self,)

    def torch_shape(self, jax_shape: Sequence[int]) -> tuple[int, ...]:
        """The shape in PyTorch of an array of `jax_shape`."""
        return self.shape or self._transposed(jax_shape)

    def to_torch(self, array: Any) -> Any:
        """Arranges an array of NumPy or JAX as PyTorch has it."""
        ordered = self._reversed(array).transpose(self.axes or range(array.ndim))
        return ordered.reshape(self.torch_shape(array.shape))

    def to_jax(self, array: Any, jax_shape: Sequence[int]) -> Any:
        """The other way around; the array may be flat."""
        axes = self.axes or tuple(range(len(jax_shape)))
        inverse = sorted(range(len(axes)), key=axes.__getitem__)
        return self._reversed(array.reshape(self._transposed(jax_shape)).transpose(inverse))

    def _transposed(self, jax_shape: Sequence[int]) -> tuple[int, ...]:
        return tuple(jax_shape) if self.axes is None else tuple(jax_shape[axis] for axis in self.axes)

    def _reversed(self, array: Any) -> Any:
        if not self.reversed_axes:
            return array
        return array[tuple(slice(None, None, -1 if axis in self.reversed_axes else 1) for axis in range(array.ndim))]


@dataclasses.dataclass(frozen=True)
class Joined:
    """A tensor that holds several JAX arrays one behind the other along its first axis.

    Attributes:
      parts: the arrays, each as it stands in the tensor.
    """

    parts: tuple[Leaf, ...]


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
      parameters: PyTorch name -> `Leaf` or `Joined`, every parameter once, in the order of `named_parameters`.
      buffers: PyTorch name -> `Leaf` of the running statistics. A buffer without a counterpart in JAX
        (`num_batches_tracked`) is not listed.
      arrange: `inputs` of a batch in the JAX layout -> in PyTorch's, as views where that is possible (copying is left
        to whoever makes tensors of them). Takes NumPy arrays, and tensors where batches are finished on the device.
      loss: takes tensors. It is `Workload.loss` wherever that is written with the array API; a loss that cannot be, as
        one with a scan (CTC), has a function of its own here, and a test that holds the two equal.
      spans_processes: whether batch statistics are those of all processes' rows, as they are in JAX.
    """

    make_module: Callable[[], torch.nn.Module]
    parameters: Mapping[str, Leaf | Joined]
    buffers: Mapping[str, Leaf]
    arrange: Callable[[Any], Any]
    loss: LossFunction
    spans_processes: bool = True
