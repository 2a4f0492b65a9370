"""The bridge: a JAX workload without a PyTorch twin as a `torch.nn.Module` whose passes run the JAX model.

Parameters and running statistics are tensors of the module, in the JAX layout and under the JAX names joined by dots
(`Dense_0.kernel`). Running statistics are called `running_mean` and `running_var`, the names that submissions expect.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import torch
from torch import nn

from algoperf_jax import parameters
from algoperf_jax.workload import Batch, Loss, Workload
from torch_compat.transfer.jax_function import JaxFunction, Outputs
from torch_compat.transfer.torch_model import Leaf, TorchModel

_NAMES_OF_STATISTICS = {"mean": "running_mean", "var": "running_var"}


def build(workload: Workload) -> TorchModel:
    """Builds the PyTorch model and loss of any JAX workload."""
    abstract_params, abstract_state = jax.eval_shape(workload.init, jax.ShapeDtypeStruct((2,), "uint32"))
    shapes = {path: tuple(leaf.shape) for path, leaf in parameters.paths(abstract_params).items()}
    state_shapes = {path: tuple(leaf.shape) for path, leaf in parameters.paths(abstract_state or {}).items()}
    parameter_names = {path.replace("/", "."): path for path in shapes}
    buffer_names = {_buffer_name(path): path for path in state_shapes}
    structures = jax.tree.structure(abstract_params), jax.tree.structure(abstract_state)
    return TorchModel(
        make_module=lambda: BridgeModule(
            workload,
            {name: shapes[path] for name, path in parameter_names.items()},
            {name: state_shapes[path] for name, path in buffer_names.items()},
            structures,
        ),
        parameters={name: Leaf(path) for name, path in parameter_names.items()},
        buffers={name: Leaf(path) for name, path in buffer_names.items()},
        arrange=lambda inputs: inputs,
        loss=_bridged_loss(workload),
        spans_processes=not buffer_names,
    )


def _buffer_name(path: str) -> str:
    """`batch_stats/BatchNorm_0/mean` -> `BatchNorm_0.running_mean`."""
    *parents, name = path.removeprefix("batch_stats/").split("/")
    return ".".join([*parents, _NAMES_OF_STATISTICS.get(name, name)])


class BridgeModule(nn.Module):
    """The JAX model as a PyTorch module; batches have the JAX layout.

    Args:
      workload: the workload of the model.
      parameter_shapes: dotted name -> shape, in the order of JAX's flattening.
      buffer_shapes: the same for the model state.
      structures: tree structures of the JAX parameters and model state.

    Attributes:
      update_statistics: whether training mode also updates the running statistics.
    """

    update_statistics: bool = True

    def __init__(
        self,
        workload: Workload,
        parameter_shapes: Mapping[str, tuple[int, ...]],
        buffer_shapes: Mapping[str, tuple[int, ...]],
        structures: tuple[Any, Any],
    ) -> None:
        super().__init__()
        self._passes: dict[tuple[bool, bool], JaxFunction] = {
            (train, update): JaxFunction(_forward_pass(workload, structures, train=train, update=update))
            for train, update in ((True, True), (True, False), (False, False))
        }
        self._tensor_names = tuple(parameter_shapes)
        self._buffer_names = tuple(buffer_shapes)
        for name, shape in parameter_shapes.items():
            place, leaf = self._place(name)
            place.register_parameter(leaf, nn.Parameter(torch.empty(shape)))
        for name, shape in buffer_shapes.items():
            place, leaf = self._place(name)
            place.register_buffer(leaf, torch.empty(shape))

    def forward(self, batch: Batch, *, dropout_rate: float) -> Any:
        """Returns the logits of the JAX model; dropout only in training mode."""
        update = self.training and self.update_statistics
        tensors = [self.get_parameter(name) for name in self._tensor_names]
        buffers = [self.get_buffer(name) for name in self._buffer_names]
        # Each pass draws a new key, as PyTorch's own dropout draws new numbers.
        key = torch.randint(2**31, (2,)).tolist() if self.training else [0, 0]
        constants = (buffers, _in_32_bits(batch), key, float(dropout_rate))
        logits, (rest, new_buffers) = self._passes[self.training, update](tensors, constants)
        if update:
            with torch.no_grad():
                for buffer, value in zip(buffers, new_buffers, strict=True):
                    buffer.copy_(value)
        return (logits, *rest) if rest else logits

    def _place(self, name: str) -> tuple[nn.Module, str]:
        """The submodule that holds a tensor, created if needed, and the tensor's name in it."""
        *parents, leaf = name.split(".")
        place: nn.Module = self
        for parent in parents:
            if parent not in dict(place.named_children()):
                place.add_module(parent, nn.Module())
            place = place.get_submodule(parent)
        return place, leaf


def _forward_pass(workload: Workload, structures: tuple[Any, Any], *, train: bool, update: bool) -> Any:
    params_structure, state_structure = structures

    def forward(leaves: list[jax.Array], constants: Any) -> Outputs:
        buffers, batch, key, dropout_rate = constants
        logits, state = workload.apply(
            jax.tree.unflatten(params_structure, leaves),
            jax.tree.unflatten(state_structure, buffers),
            batch,
            jnp.asarray(key, jnp.uint32),
            train=train,
            update_batch_norm=update,
            dropout_rate=dropout_rate,
            # Training uses the statistics of the batch even if the running ones are not updated.
            use_running_average=not train,
        )
        # No gradients flow through other outputs, such as paddings.
        logits, *rest = logits if isinstance(logits, tuple) else (logits,)
        return Outputs(logits, (tuple(rest), jax.tree.leaves(state) if update else buffers))

    return forward


def _bridged_loss(workload: Workload) -> Any:
    def compute(leaves: list[jax.Array], constants: Any) -> Outputs:
        targets, rest, weights, label_smoothing = constants
        logits = (leaves[0], *rest) if rest else leaves[0]
        loss = workload.loss(targets, logits, weights, label_smoothing)
        return Outputs((loss.summed, loss.per_example), loss.n_valid_examples)

    function = JaxFunction(compute)

    def loss(targets: Any, logits: Any, weights: Any = None, label_smoothing: float = 0.0) -> Loss:
        logits, *rest = logits if isinstance(logits, tuple) else (logits,)
        constants = (_in_32_bits(targets), tuple(rest), weights, float(label_smoothing))
        (summed, per_example), n_valid_examples = function([logits], constants)
        return Loss(summed, n_valid_examples, per_example)

    return loss


def _in_32_bits(tree: Any) -> Any:
    """Narrows int64 class indices, which cannot cross; none needs more than 32 bits."""

    def narrowed(leaf: Any) -> Any:
        is_index = isinstance(leaf, torch.Tensor) and leaf.dtype == torch.int64
        return leaf.to(torch.int32) if is_index else leaf

    return jax.tree.map(narrowed, tree)
