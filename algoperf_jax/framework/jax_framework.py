"""Runs JAX submissions."""

import os
from typing import Any

import jax

from algoperf_jax.devices import distributed
from algoperf_jax.devices.compile_watch import CompileWatch
from algoperf_jax.devices.jax_host_reads import count_host_reads
from algoperf_jax.devices.mesh import Layout, make_layout
from algoperf_jax.devices.precision import chosen_precision, set_for_jax
from algoperf_jax.errors import ConfigError
from algoperf_jax.framework.framework import Connection, Framework
from algoperf_jax.framework.jax_backend import JaxBackend
from algoperf_jax.framework.jax_view import JaxView
from algoperf_jax.framework.workload_view import MetricsLogger
from algoperf_jax.submission.framework_names import JAX
from algoperf_jax.workload import Workload


def _start(config: Any) -> None:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and "TORCHELASTIC_RUN_ID" in os.environ:
        raise ConfigError(
            f"torchrun started {os.environ['WORLD_SIZE']} processes for {config.submission}, a JAX submission",
            expected="torchrun for PyTorch submissions only",
            remedy="Start the command without torchrun; it uses all devices. For several hosts, set "
            "--config.distributed.KEY.",
        )
    set_for_jax(chosen_precision(config))
    distributed.initialize(config.distributed)


def _make_layout(config: Any, workload: Workload) -> Layout:
    if config.mesh.shard_parameters and not workload.sharded_parameters:
        raise ConfigError(
            f"config.mesh.shard_parameters is set, but {workload.name} has no parameters to split",
            remedy="Leave it unset; all parameters are then replicated.",
        )
    return make_layout(config.mesh.data, workload.sharded_parameters if config.mesh.shard_parameters else ())


def _connect(config: Any, workload: Workload, layout: Layout, metrics_logger: MetricsLogger | None) -> Connection:
    del config
    view = JaxView(workload, layout=layout, metrics_logger=metrics_logger)
    return Connection(view, lambda evaluator: JaxBackend(view, layout, evaluator))


FRAMEWORK = Framework(
    name=JAX,
    start=_start,
    make_layout=_make_layout,
    connect=_connect,
    agreement=distributed.agreement,
    forget_compiled=jax.clear_caches,
    watch_compilations=CompileWatch,
    count_host_reads=count_host_reads,
)
