"""The workload as a PyTorch submission sees it."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import torch

from algoperf_jax import parameters
from algoperf_jax.framework.workload_view import MetricsLogger, WorkloadView, is_train_mode
from algoperf_jax.parameters import ShapeTuple
from algoperf_jax.submission.framework_names import PYTORCH
from algoperf_jax.submission.interface import ForwardPassMode
from algoperf_jax.workload import Batch, ModelState, RandomKey, Workload
from torch_compat import random_keys
from torch_compat.processes import Processes
from torch_compat.transfer.parameter_transfer import ParameterTransfer
from torch_compat.transfer.torch_model import TorchModel

_NAMES_OF_WRAPPERS = ("module.", "_orig_mod.")
"""Prefixes that `DistributedDataParallel` and `torch.compile` add to the names of parameters."""


class TorchView(WorkloadView):
    """The view for PyTorch: the parameters are a module, which also holds the model's state; the model state is None.

    Args:
      workload: the workload.
      model: its model in PyTorch.
      transfer: moves the model's values between the frameworks.
      processes: the processes that share the run, and this one's device.
      metrics_logger: where `metrics_logger.append_scalar_metrics` goes, or None.
    """

    _model: TorchModel
    _transfer: ParameterTransfer
    _processes: Processes
    _initialize: Callable[[RandomKey], Any]
    _modules: list[torch.nn.Module]

    def __init__(
        self,
        workload: Workload,
        model: TorchModel,
        transfer: ParameterTransfer,
        processes: Processes,
        *,
        metrics_logger: MetricsLogger | None = None,
    ) -> None:
        super().__init__(
            workload,
            param_shapes={name: ShapeTuple(shape) for name, shape in transfer.parameter_shapes.items()},
            model_params_types={
                name: model.parameter_types.get(name) or parameters.joined_type([part.path for part in leaf.parts])
                for name, leaf in model.parameters.items()
            },
            metrics_logger=metrics_logger,
            _model=model,
            _transfer=transfer,
            _processes=processes,
            _initialize=jax.jit(workload.init),
            _modules=[],
        )

    def init_model_fn(self, rng: RandomKey) -> tuple[torch.nn.Module, ModelState]:
        """Draws parameters as a JAX run with the same key does; a second call draws again, into the same module."""
        params, model_state = self._initialize(np.asarray(rng, np.uint32))
        if not self._modules:
            # Dropout draws different numbers in each process, since each has different examples.
            torch.manual_seed(random_keys.dropout_seed(rng, self._processes.rank))
            module = self._model.make_module().to(self._processes.device)
            self._transfer.to_module(params, model_state, module)
            self._modules.append(self._processes.wrap(module))
        else:
            self._transfer.to_module(params, model_state, self.inner_module)
        return self.module, None

    def model_fn(
        self,
        params: torch.nn.Module,
        augmented_and_preprocessed_input_batch: Batch,
        model_state: ModelState,
        mode: ForwardPassMode,
        rng: Any,
        update_batch_norm: bool,
        dropout_rate: float | None = None,
    ) -> tuple[Any, ModelState]:
        """The forward pass: returns logits before output activation, and None.

        It switches the module between training and evaluation. TRAIN mode normalizes with the statistics of the batch
        and applies dropout, by default at the workload's rate, drawn from PyTorch's own random state; running
        statistics change only with `update_batch_norm`. EVAL mode normalizes with the running statistics.
        """
        del model_state, rng
        params.train(is_train_mode(mode))
        layer: Any
        for layer in params.modules():
            if hasattr(layer, "update_statistics"):
                layer.update_statistics = update_batch_norm
        rate = self._workload.dropout_rate if dropout_rate is None else dropout_rate
        return params(augmented_and_preprocessed_input_batch, dropout_rate=float(rate)), None

    def loss_fn(
        self, label_batch: Any, logits_batch: Any, mask_batch: Any = None, label_smoothing: float = 0.0
    ) -> dict[str, Any]:
        """The loss without regularization, `{'summed', 'n_valid_examples', 'per_example'}`, of this process's rows."""
        return self._model.loss(label_batch, logits_batch, mask_batch, label_smoothing)._asdict()

    def output_activation_fn(self, logits: Any, framework: str = PYTORCH) -> Any:
        """Turns logits into predictions, according to the loss type."""
        self._check_framework("output_activation_fn", framework, PYTORCH)
        return self._activated(logits, softmax=functools.partial(torch.softmax, dim=-1), sigmoid=torch.sigmoid)

    def is_output_params(self, param_name: str) -> bool:
        """Whether a name in `named_parameters` belongs to a parameter of the output layer."""
        for prefix in _NAMES_OF_WRAPPERS:
            param_name = param_name.removeprefix(prefix)
        leaf = self._model.parameters.get(param_name)
        modules = [] if leaf is None else [part.path.partition("/")[0] for part in leaf.parts]
        return any(module in self._workload.output_parameters for module in modules)

    @property
    def module(self) -> torch.nn.Module:
        """The module that `init_model_fn` returned; submissions must return the same one."""
        return self._modules[0]

    @property
    def inner_module(self) -> torch.nn.Module:
        """The same module without the wrapper for several processes."""
        return self._processes.unwrap(self.module)
