"""The workload as a JAX submission sees it."""

from collections.abc import Callable
from typing import Any

import jax

from algoperf_jax import parameters
from algoperf_jax.devices.mesh import Layout
from algoperf_jax.framework.workload_view import MetricsLogger, WorkloadView, is_train_mode
from algoperf_jax.submission.framework_names import JAX
from algoperf_jax.submission.interface import ForwardPassMode
from algoperf_jax.workload import Batch, ModelState, Parameters, RandomKey, Workload


class JaxView(WorkloadView):
    """The view for JAX submissions: uses `jax.Array`s, and can be a static argument of `jax.jit`.

    `model_fn` and `loss_fn` are pure.

    Args:
      workload: the workload to view.
      layout: where `init_model_fn` puts parameters and model state; None leaves them uncommitted.
      metrics_logger: receives the scalars that the submission logs, or None.
    """

    _initialize: Callable[[RandomKey], tuple[Parameters, ModelState]]

    def __init__(
        self,
        workload: Workload,
        *,
        layout: Layout | None = None,
        metrics_logger: MetricsLogger | None = None,
    ) -> None:
        abstract_params, _ = jax.eval_shape(workload.init, jax.ShapeDtypeStruct((2,), "uint32"))
        initialize = (
            jax.jit(workload.init)
            if layout is None
            else jax.jit(workload.init, out_shardings=(layout.parameter_shardings(abstract_params), layout.replicated))
        )
        super().__init__(
            workload,
            param_shapes=parameters.shapes(abstract_params),
            model_params_types=parameters.types(abstract_params),
            metrics_logger=metrics_logger,
            _initialize=initialize,
        )

    def init_model_fn(self, rng: RandomKey) -> tuple[Parameters, ModelState]:
        """Initializes parameters and model state; may be called again to start over."""
        return self._initialize(rng)

    def model_fn(
        self,
        params: Parameters,
        augmented_and_preprocessed_input_batch: Batch,
        model_state: ModelState,
        mode: ForwardPassMode,
        rng: RandomKey,
        update_batch_norm: bool,
        dropout_rate: Any = None,
        use_running_average_bn: bool | None = None,
    ) -> tuple[Any, ModelState]:
        """The forward pass; returns logits before the output activation, and the new model state.

        Dropout is active in TRAIN mode only; `dropout_rate` may be traced. The model state changes only with
        `update_batch_norm`. `use_running_average_bn` (default: `not update_batch_norm`) selects running statistics
        instead of batch statistics.
        """
        return self._workload.apply(
            params,
            model_state,
            augmented_and_preprocessed_input_batch,
            rng,
            train=is_train_mode(mode),
            update_batch_norm=update_batch_norm,
            dropout_rate=dropout_rate,
            use_running_average=use_running_average_bn,
        )

    def loss_fn(
        self, label_batch: Any, logits_batch: Any, mask_batch: Any = None, label_smoothing: Any = 0.0
    ) -> dict[str, Any]:
        """The loss without regularization, `{'summed', 'n_valid_examples', 'per_example'}`."""
        return self._workload.loss(label_batch, logits_batch, mask_batch, label_smoothing)._asdict()

    def output_activation_fn(self, logits: Any, framework: str = JAX) -> Any:
        """Turns logits into predictions, according to the loss type."""
        self._check_framework("output_activation_fn", framework, JAX)
        return self._activated(logits, softmax=jax.nn.softmax, sigmoid=jax.nn.sigmoid)

    def is_output_params(self, param_name: str) -> bool:
        """Whether a top-level name in the parameters belongs to the output layer."""
        return param_name in self._workload.output_parameters
