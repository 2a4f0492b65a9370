"""How PyTorch submissions are run."""

import os
import sys
from typing import Any

import jax
import numpy as np
import torch
from jax.sharding import Mesh

from algoperf_jax.devices.compile_watch import CompileWatch
from algoperf_jax.devices.mesh import BATCH_AXIS, Layout
from algoperf_jax.devices.precision import chosen_precision, set_for_jax
from algoperf_jax.errors import ConfigError
from algoperf_jax.framework.framework import Connection, Framework
from algoperf_jax.framework.workload_view import MetricsLogger
from algoperf_jax.submission.framework_names import PYTORCH
from algoperf_jax.workload import Workload
from torch_compat import processes, twins
from torch_compat.host_reads import count_host_reads
from torch_compat.metrics_logger import TensorLogger
from torch_compat.precision import set_for_torch
from torch_compat.torch_backend import TorchBackend
from torch_compat.torch_view import TorchView
from torch_compat.transfer import bridge
from torch_compat.transfer.parameter_transfer import ParameterTransfer
from torch_compat.transfer.torch_model import TorchModel


def _start(config: Any) -> None:
    if any(value is not None for value in config.distributed.values()):
        raise ConfigError(
            "config.distributed is set for a PyTorch submission",
            expected="torchrun --nproc_per_node=N -m algoperf_jax.main ...",
        )
    if config.mesh.data not in (None, 1):
        raise ConfigError(
            "config.mesh.data",
            value=config.mesh.data,
            expected="no value: a PyTorch submission has one device per process",
            remedy=f"Start {config.mesh.data} processes: torchrun --nproc_per_node={config.mesh.data} -m "
            "algoperf_jax.main ...",
        )
    if config.mesh.shard_parameters:
        raise ConfigError(
            "config.mesh.shard_parameters is set for a PyTorch submission, which keeps all parameters on each device",
            remedy="Leave it unset.",
        )
    # Both frameworks share the GPU; JAX would reserve three quarters of its memory at once.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    precision = chosen_precision(config)
    set_for_jax(precision)
    set_for_torch(precision)
    processes.join()


def _make_layout(config: Any, workload: Workload) -> Layout:
    """The first device of each process."""
    del config, workload
    devices: dict[int, Any] = {}
    for device in jax.devices():
        devices.setdefault(device.process_index, device)
    return Layout(Mesh(np.asarray([devices[index] for index in sorted(devices)]), (BATCH_AXIS,)))


def _connect(config: Any, workload: Workload, layout: Layout, metrics_logger: MetricsLogger | None) -> Connection:
    here = processes.this_process()
    model = _model(workload, config.torch_model)
    if here.count > 1 and not model.spans_processes:
        raise ConfigError(
            f"the bridge to the JAX model of {workload.name} cannot share batch statistics between processes",
            expected="one process, or a workload with a PyTorch twin",
            remedy="Start the command without torchrun.",
        )
    abstract = jax.eval_shape(workload.init, jax.ShapeDtypeStruct((2,), "uint32"))
    transfer = ParameterTransfer(model.parameters, model.buffers, abstract)
    logger = None if metrics_logger is None else TensorLogger(metrics_logger)
    view = TorchView(workload, model, transfer, here, metrics_logger=logger)
    return Connection(view, lambda evaluator: TorchBackend(view, model, transfer, here, layout, evaluator))


def _model(workload: Workload, chosen: str) -> TorchModel:
    """The model that `config.torch_model` asks for."""
    twin = None if chosen == "bridge" else twins.load(workload)
    if twin is None and chosen == "twin":
        raise ConfigError(
            f"{workload.name} has no PyTorch twin, and config.torch_model is 'twin'",
            expected="a workload with a module in torch_compat/models, or the bridge to the JAX model",
            remedy="Set --config.torch_model=bridge.",
        )
    return twin or bridge.build(workload)


def _forget_compiled() -> None:
    jax.clear_caches()
    if "torch._dynamo" in sys.modules:  # only if something was compiled: importing it takes seconds
        torch.compiler.reset()


def _watch_compilations() -> CompileWatch:
    from torch_compat.compile_watch import TorchCompileWatch  # loads PyTorch's compiler, which takes a second

    return TorchCompileWatch()


FRAMEWORK = Framework(
    name=PYTORCH,
    start=_start,
    make_layout=_make_layout,
    connect=_connect,
    agreement=processes.agreement,
    forget_compiled=_forget_compiled,
    watch_compilations=_watch_compilations,
    count_host_reads=count_host_reads,
)
