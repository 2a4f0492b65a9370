"""How submissions that use `jax.pmap` are run."""

import dataclasses
from typing import Any

import jax

from algoperf_jax.devices.mesh import Layout
from algoperf_jax.errors import ConfigError
from algoperf_jax.framework import jax_framework
from algoperf_jax.framework.framework import Connection
from algoperf_jax.framework.workload_view import MetricsLogger
from algoperf_jax.workload import Workload
from third_party.pmap.pmap_backend import PmapBackend
from third_party.pmap.pmap_view import PmapView


def _make_layout(config: Any, workload: Workload) -> Layout:
    if config.mesh.shard_parameters:
        raise ConfigError(
            "config.mesh.shard_parameters is set, but jax.pmap, which the submission uses, keeps all on each device",
            remedy="Leave it unset.",
        )
    layout = jax_framework.FRAMEWORK.make_layout(config, workload)
    if jax.process_count() > 1:
        raise ConfigError(
            "the submission uses jax.pmap, but several processes share the run",
            expected="one process",
            remedy="Leave --config.distributed unset.",
        )
    if layout.mesh.devices.size != jax.local_device_count():
        raise ConfigError(
            "config.mesh.data",
            value=config.mesh.data,
            expected=f"all {jax.local_device_count()} devices: the submission uses jax.pmap, which uses them all",
            remedy="Leave it unset.",
        )
    return layout


def _connect(config: Any, workload: Workload, layout: Layout, metrics_logger: MetricsLogger | None) -> Connection:
    # Such submissions do not pass the model its dropout rate: the benchmark's runner took it from the hyperparameters.
    rate = config.hyperparameters.get("dropout_rate")
    workload = workload if rate is None else dataclasses.replace(workload, dropout_rate=rate)
    view = PmapView(workload, layout, metrics_logger=metrics_logger)
    return Connection(view, lambda evaluator: PmapBackend(view, layout, evaluator))


FRAMEWORK = dataclasses.replace(jax_framework.FRAMEWORK, make_layout=_make_layout, connect=_connect)
