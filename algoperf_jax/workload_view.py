"""The workload as a JAX submission sees it: the benchmark's documented surface over a `Workload`, read-only."""

import math
from collections.abc import Callable
from typing import Any, Protocol

import jax

from algoperf_jax import parameters
from algoperf_jax.submission import ForwardPassMode
from algoperf_jax.workload import Batch, LossType, ModelState, Parameters, RandomKey, Workload


class MetricsLogger(Protocol):
    """Where a submission may log scalars of its own."""

    def append_scalar_metrics(self, metrics: dict[str, Any], global_step: int) -> None:
        """Logs name -> number; 0-d arrays are read later, so logging does not wait for the devices."""
        ...


class JaxWorkload:
    """A thin, read-only view of a `Workload` for one run.

    Hashed and compared by identity, which is stable for the whole run, so it can be a static argument of `jax.jit`;
    `model_fn` and `loss_fn` are pure. A submission cannot change target, budget or model through it.
    """

    _workload: Workload
    _initialize: Callable[[RandomKey], tuple[Parameters, ModelState]]
    _param_shapes: Any
    _model_params_types: Any
    _metrics_logger: MetricsLogger | None

    def __init__(
        self,
        workload: Workload,
        *,
        parameter_sharding: Any = None,
        metrics_logger: MetricsLogger | None = None,
    ) -> None:
        """Args:
        workload: what is viewed.
        parameter_sharding: where `init_model_fn` puts parameters and model state; None leaves them uncommitted.
        metrics_logger: where `metrics_logger.append_scalar_metrics` goes, or None.
        """
        abstract_params, _ = jax.eval_shape(workload.init, jax.ShapeDtypeStruct((2,), "uint32"))
        initialize = (
            jax.jit(workload.init)
            if parameter_sharding is None
            else jax.jit(workload.init, out_shardings=parameter_sharding)
        )
        fields = {
            "_workload": workload,
            "_initialize": initialize,
            "_param_shapes": parameters.shapes(abstract_params),
            "_model_params_types": parameters.types(abstract_params),
            "_metrics_logger": metrics_logger,
        }
        self.__dict__.update(fields)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"workload.{name} cannot be set: a submission must not change the workload")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"workload.{name} cannot be deleted: a submission must not change the workload")

    # --- functions -------------------------------------------------------------------------------------------------

    def init_model_fn(self, rng: RandomKey) -> tuple[Parameters, ModelState]:
        """Draws parameters and model state; may be called again to start afresh."""
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
        """The forward pass: logits before output activation, and the new model state.

        Dropout is active in TRAIN mode only; `dropout_rate` may be traced. The model state changes only with
        `update_batch_norm`. Running statistics are used iff `use_running_average_bn`, by default iff not
        `update_batch_norm`.
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

    def output_activation_fn(self, logits: Any, framework: str = "jax") -> Any:
        """Turns logits into predictions as the loss type says."""
        if framework != "jax":
            raise ValueError(f"output_activation_fn: framework {framework!r}; this workload works on 'jax' arrays")
        if self.loss_type in (LossType.SOFTMAX_CROSS_ENTROPY, LossType.CTC_LOSS):
            return jax.nn.softmax(logits, axis=-1)
        if self.loss_type is LossType.SIGMOID_CROSS_ENTROPY:
            return jax.nn.sigmoid(logits)
        return logits

    def is_output_params(self, param_name: str) -> bool:
        """Whether the top-level name in the parameters is that of the output layer."""
        return param_name in self._workload.output_parameters

    def has_reached_validation_target(self, eval_result: dict[str, float]) -> bool:
        """Whether `validation/<metric>` is strictly better than the target."""
        return self._workload.goal.reached(eval_result, "validation")

    def has_reached_test_target(self, eval_result: dict[str, float]) -> bool:
        """Whether `test/<metric>` is strictly better than the target."""
        return self._workload.goal.reached(eval_result, "test")

    def sync_batch_stats(self, model_state: ModelState) -> ModelState:
        """Returns the model state as it is: batch statistics are global already. Kept for older submissions."""
        return model_state

    # --- facts -----------------------------------------------------------------------------------------------------

    @property
    def param_shapes(self) -> Any:
        """Tree of the parameters' structure with `ShapeTuple` leaves."""
        return self._param_shapes

    @property
    def model_params_types(self) -> Any:
        """Tree of `ParameterType` with lower-cased keys."""
        return self._model_params_types

    @property
    def metrics_logger(self) -> MetricsLogger | None:
        """Takes scalars that the submission wants logged; None where nothing is logged."""
        return self._metrics_logger

    @property
    def loss_type(self) -> LossType:
        """The family of the loss."""
        return self._workload.loss_type

    @property
    def target_metric_name(self) -> str:
        """The metric that decides, without the split."""
        return self._workload.goal.metric

    @property
    def validation_target_value(self) -> float:
        """The target for `validation/<metric>`."""
        return self._workload.goal.validation

    @property
    def test_target_value(self) -> float | None:
        """The target for `test/<metric>`."""
        return self._workload.goal.test

    @property
    def max_allowed_runtime_sec(self) -> float:
        """The budget of submission time, seconds."""
        return self._workload.budget.max_runtime_sec

    @property
    def eval_period_time_sec(self) -> float:
        """Wall time between evaluations, seconds."""
        return self._workload.budget.eval_period_sec

    @property
    def step_hint(self) -> int:
        """Steps for which schedules are laid out."""
        return self._workload.budget.step_hint

    @property
    def num_train_examples(self) -> int:
        """Number of training examples."""
        return self._workload.split_sizes["train"]

    @property
    def num_eval_train_examples(self) -> int:
        """Number of training examples that are evaluated."""
        return self._workload.split_sizes["eval_train"]

    @property
    def num_validation_examples(self) -> int:
        """Number of validation examples."""
        return self._workload.split_sizes["validation"]

    @property
    def num_test_examples(self) -> int | None:
        """Number of test examples, None where there is no test split."""
        return self._workload.split_sizes.get("test")

    @property
    def eval_batch_size(self) -> int:
        """Number of examples per evaluation batch."""
        return self._workload.eval_batch_size

    @property
    def train_mean(self) -> Any:
        """Mean of the inputs before normalization.

        Raises:
          NotImplementedError: the notion makes no sense for this workload.
        """
        return _defined(self._workload.train_mean, "train_mean", self._workload.name)

    @property
    def train_stddev(self) -> Any:
        """Standard deviation of the inputs before normalization.

        Raises:
          NotImplementedError: the notion makes no sense for this workload.
        """
        return _defined(self._workload.train_stddev, "train_stddev", self._workload.name)

    def __repr__(self) -> str:
        return f"JaxWorkload({self._workload.name})"


def is_train_mode(mode: Any) -> bool:
    """Whether `mode` is TRAIN, by member name, so that an equal enum of another module is understood."""
    return mode.name == ForwardPassMode.TRAIN.name


def _defined(value: Any, name: str, workload_name: str) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        raise NotImplementedError(f"{workload_name} defines no {name}")
    return value
