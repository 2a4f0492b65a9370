"""The workload as a submission that uses `jax.pmap` sees it."""

from typing import Any

import jax
import jax.numpy as jnp

from algoperf_jax.devices.mesh import Layout
from algoperf_jax.framework.jax_view import JaxView
from algoperf_jax.framework.workload_view import MetricsLogger
from algoperf_jax.workload import Batch, ModelState, Parameters, RandomKey, Workload


class PmapView(JaxView):
    """The view for JAX, with a leading axis of devices in what `init_model_fn` returns.

    `model_fn` and `loss_fn` work on one device's part, since they are called within `jax.pmap`.

    Args:
      workload: the workload; dropout has its default rate.
      layout: the devices.
      metrics_logger: where `metrics_logger.append_scalar_metrics` goes, or None.
    """

    _stack: Any
    _average: Any

    def __init__(
        self,
        workload: Workload,
        layout: Layout,
        *,
        metrics_logger: MetricsLogger | None = None,
    ) -> None:
        super().__init__(workload, layout=layout, metrics_logger=metrics_logger)
        count = layout.mesh.devices.size

        def stack(tree: Any) -> Any:
            return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (count, *leaf.shape)), tree)

        def average(tree: Any) -> Any:
            return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf.mean(axis=0), leaf.shape), tree)

        own = {"_stack": jax.jit(stack, out_shardings=layout.batch), "_average": jax.jit(average)}
        self.__dict__.update(own)

    def init_model_fn(
        self, rng: RandomKey, dropout_rate: Any = None, aux_dropout_rate: Any = None
    ) -> tuple[Parameters, ModelState]:
        """Initial parameters and model state [devices, ...]; the dropout rates, set for the whole run, are ignored."""
        del dropout_rate, aux_dropout_rate
        return self._stack(self._initialize(rng))

    def model_fn(
        self,
        params: Parameters,
        augmented_and_preprocessed_input_batch: Batch,
        model_state: ModelState,
        mode: Any,
        rng: RandomKey,
        update_batch_norm: bool,
        dropout_rate: Any = None,
        use_running_average_bn: bool | None = None,
    ) -> tuple[Any, ModelState]:
        """The forward pass of one device; batch statistics are computed over the device's part of the batch."""
        return super().model_fn(
            params,
            augmented_and_preprocessed_input_batch,
            model_state,
            mode,
            rng,
            update_batch_norm,
            self._workload.dropout_rate if dropout_rate is None else dropout_rate,
            use_running_average_bn,
        )

    def sync_batch_stats(self, model_state: ModelState) -> ModelState:
        """The model state with each device's batch statistics replaced by their mean."""
        return self._average(model_state)
