"""A workload's model for PyTorch submissions: a module, and how its tensors correspond to the JAX arrays."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import array_api_compat
import torch

from algoperf_jax.workload import LossFunction, ParameterType


@dataclasses.dataclass(frozen=True)
class Leaf:
    """Where a tensor of a module is in the JAX trees.

    Attributes:
      path: `/`-joined names, in `params` for a parameter (`Dense_0/kernel`), in `model_state` for a buffer
        (`batch_stats/BatchNorm_init/mean`).
      axes: argument of `transpose` that takes the JAX array to PyTorch's layout; None keeps it.
      reversed_axes: axes of the JAX array along which the order is also reversed.
      shape: shape that the transposed array is reshaped to (the heads of an attention layer become one axis); None
        keeps it.
      rows: rows of the JAX array, along its first axis, that the tensor holds while others hold the rest; None for all.
      is_addend: whether the JAX array is the sum of this tensor and of the one that holds it, since PyTorch's recurrent
        layers have two biases where JAX has one. Values from JAX make the tensor 0.
    """

    path: str
    axes: tuple[int, ...] | None = None
    shape: tuple[int, ...] | None = None
    reversed_axes: tuple[int, ...] = ()
    rows: slice | None = None
    is_addend: bool = False

    @property
    def parts(self) -> tuple["Leaf", ...]:
        """The arrays of the tensor: only this one, or rows of it."""
        return (self,)

    @property
    def first_row(self) -> int:
        """The first row of the array that the tensor holds."""
        return 0 if self.rows is None else self.rows.start or 0

    @property
    def keeps_layout(self) -> bool:
        """Whether both frameworks have the same elements in the same order."""
        return self.axes is None and not self.reversed_axes and not self.is_addend

    def held_shape(self, jax_shape: Sequence[int]) -> tuple[int, ...]:
        """The JAX shape of the part of an array of `jax_shape` that the tensor holds."""
        if self.rows is None:
            return tuple(jax_shape)
        return (len(range(*self.rows.indices(jax_shape[0]))), *jax_shape[1:])

    def torch_shape(self, jax_shape: Sequence[int]) -> tuple[int, ...]:
        """The shape in PyTorch of an array of `jax_shape`."""
        return self.shape or self._transposed(self.held_shape(jax_shape))

    def to_torch(self, array: Any) -> Any:
        """Arranges a NumPy or JAX array, of which the tensor may hold some rows, in PyTorch's layout."""
        if self.is_addend:
            array = array_api_compat.array_namespace(array).zeros_like(array)
        held = array if self.rows is None else array[self.rows]
        ordered = self._reversed(held).transpose(self.axes or range(array.ndim))
        return ordered.reshape(self.torch_shape(array.shape))

    def to_jax(self, array: Any, jax_shape: Sequence[int]) -> Any:
        """The inverse: the part of an array of `jax_shape` that the tensor holds; `array` may be flat."""
        axes = self.axes or tuple(range(len(jax_shape)))
        inverse = sorted(range(len(axes)), key=axes.__getitem__)
        held = array.reshape(self._transposed(self.held_shape(jax_shape)))
        return self._reversed(held.transpose(inverse))

    def _transposed(self, jax_shape: Sequence[int]) -> tuple[int, ...]:
        return tuple(jax_shape) if self.axes is None else tuple(jax_shape[axis] for axis in self.axes)

    def _reversed(self, array: Any) -> Any:
        if not self.reversed_axes:
            return array
        return array[tuple(slice(None, None, -1 if axis in self.reversed_axes else 1) for axis in range(array.ndim))]


@dataclasses.dataclass(frozen=True)
class Joined:
    """A tensor that is the concatenation of several JAX arrays along its first axis.

    Attributes:
      parts: the arrays, in order.
    """

    parts: tuple[Leaf, ...]


LINEAR = (1, 0)
"""[in, out] -> [out, in]."""
CONVOLUTION = (3, 2, 0, 1)
"""[height, width, in, out] -> [out, in, height, width]."""
TRANSPOSED_CONVOLUTION = (2, 3, 0, 1)
"""[height, width, in, out] -> [in, out, height, width]; height and width are also reversed."""


def channels_first(images: Any) -> Any:
    """Arranges images [B, H, W, C] as [B, C, H, W], NumPy arrays or tensors, as a view."""
    return array_api_compat.array_namespace(images).permute_dims(images, (0, 3, 1, 2))


@dataclasses.dataclass(frozen=True)
class TorchModel:
    """A workload's model in PyTorch.

    Attributes:
      make_module: makes the module, in training mode, on the CPU: `module(batch, dropout_rate=...) -> logits`. Its
        parameters are uninitialized until the JAX ones are copied over. Submodules with an attribute
        `update_statistics` have running statistics that change in training mode only if it is true.
      parameters: PyTorch name -> `Leaf` or `Joined`, in the order of `named_parameters`; together they hold every
        row of every JAX parameter once, addends aside.
      buffers: PyTorch name -> `Leaf` of the running statistics. A buffer without a counterpart in JAX
        (`num_batches_tracked`) is not listed.
      arrange: maps `inputs` of a batch from the JAX layout to PyTorch's, as views where possible (copying is left to
        the code that makes tensors of them). Takes NumPy arrays, or tensors if batches are finished on the device.
      loss: takes tensors. It is `Workload.loss` if that is written with the array API. A loss that cannot be, such as
        one with a scan (CTC), has its own function here, and a test that both are equal.
      parameter_types: PyTorch name -> role, where it is not the one that the names of the JAX arrays tell.
      spans_processes: whether batch statistics are computed over all processes' rows, as they are in JAX.
    """

    make_module: Callable[[], torch.nn.Module]
    parameters: Mapping[str, Leaf | Joined]
    buffers: Mapping[str, Leaf]
    arrange: Callable[[Any], Any]
    loss: LossFunction
    parameter_types: Mapping[str, ParameterType] = dataclasses.field(default_factory=dict)
    spans_processes: bool = True
