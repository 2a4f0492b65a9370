"""The workload as a submission sees it: a read-only view of a `Workload` with the benchmark's documented interface.

The part that does not depend on the framework is here; each framework adds the functions that take its arrays.
"""

import math
from collections.abc import Callable
from typing import Any, Protocol

from algoperf_jax.submission.interface import ForwardPassMode
from algoperf_jax.workload import LossType, ModelState, Workload


class MetricsLogger(Protocol):
    """Logs scalars of a submission."""

    def append_scalar_metrics(self, metrics: dict[str, Any], global_step: int) -> None:
        """Logs name -> number; 0-d arrays are read later, so logging does not wait for the devices."""
        ...


class WorkloadView:
    """A thin, read-only view of a `Workload` for one run.

    Hashed and compared by identity, which is stable for the whole run. A submission cannot change target, budget or
    model through it.

    Args:
      workload: the workload to view.
      param_shapes: tree of `ShapeTuple`.
      model_params_types: tree of `ParameterType`.
      metrics_logger: receives the scalars that the submission logs, or None.
      **own: attributes of a framework's view, which cannot be set later.
    """

    _workload: Workload
    _param_shapes: Any
    _model_params_types: Any
    _metrics_logger: MetricsLogger | None

    def __init__(
        self,
        workload: Workload,
        *,
        param_shapes: Any,
        model_params_types: Any,
        metrics_logger: MetricsLogger | None,
        **own: Any,
    ) -> None:
        fields = {
            "_workload": workload,
            "_param_shapes": param_shapes,
            "_model_params_types": model_params_types,
            "_metrics_logger": metrics_logger,
        }
        self.__dict__.update(fields, **own)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"workload.{name} cannot be set: a submission must not change the workload")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"workload.{name} cannot be deleted: a submission must not change the workload")

    # --- functions -------------------------------------------------------------------------------------------------

    def has_reached_validation_target(self, eval_result: dict[str, float]) -> bool:
        """Whether `validation/<metric>` is strictly better than the target."""
        return self._workload.goal.reached(eval_result, "validation")

    def has_reached_test_target(self, eval_result: dict[str, float]) -> bool:
        """Whether `test/<metric>` is strictly better than the target."""
        return self._workload.goal.reached(eval_result, "test")

    def sync_batch_stats(self, model_state: ModelState) -> ModelState:
        """Returns the model state unchanged: batch statistics are already global. Kept for older submissions."""
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
        """Receives the scalars that the submission logs; None if nothing is logged."""
        return self._metrics_logger

    @property
    def loss_type(self) -> LossType:
        """The family of the loss."""
        return self._workload.loss_type

    @property
    def target_metric_name(self) -> str:
        """The target metric, without the split."""
        return self._workload.goal.metric

    @property
    def validation_target_value(self) -> float | None:
        """The target for `validation/<metric>`, None if the model has none."""
        return self._workload.goal.validation

    @property
    def test_target_value(self) -> float | None:
        """The target for `test/<metric>`, None if there is none."""
        return self._workload.goal.test

    @property
    def max_allowed_runtime_sec(self) -> float:
        """The budget of submission time, in seconds."""
        return self._workload.budget.max_runtime_sec

    @property
    def eval_period_time_sec(self) -> float:
        """Wall time between evaluations, in seconds."""
        return self._workload.budget.eval_period_sec

    @property
    def step_hint(self) -> int:
        """Number of steps that schedules are planned for."""
        return self._workload.budget.step_hint

    @property
    def num_train_examples(self) -> int:
        """Number of training examples."""
        return self._workload.split_sizes["train"]

    @property
    def num_eval_train_examples(self) -> int:
        """Number of training examples used in evaluations."""
        return self._workload.split_sizes["eval_train"]

    @property
    def num_validation_examples(self) -> int:
        """Number of validation examples."""
        return self._workload.split_sizes["validation"]

    @property
    def num_test_examples(self) -> int | None:
        """Number of test examples, None if there is no test split."""
        return self._workload.split_sizes.get("test")

    @property
    def eval_batch_size(self) -> int:
        """Number of examples per evaluation batch."""
        return self._workload.eval_batch_size

    @property
    def train_mean(self) -> Any:
        """Mean of the inputs before normalization.

        Raises:
          NotImplementedError: this workload has no such mean.
        """
        return _defined(self._workload.train_mean, "train_mean", self._workload.name)

    @property
    def train_stddev(self) -> Any:
        """Standard deviation of the inputs before normalization.

        Raises:
          NotImplementedError: this workload has no such standard deviation.
        """
        return _defined(self._workload.train_stddev, "train_stddev", self._workload.name)

    # --- for the frameworks' views -----------------------------------------------------------------------------------

    def _activated(self, logits: Any, *, softmax: Callable[[Any], Any], sigmoid: Callable[[Any], Any]) -> Any:
        """Predictions; `softmax` is over the last axis. Arrays beside the logits, such as paddings, are kept."""
        if isinstance(logits, tuple):
            of_model, *rest = logits
            return (self._activated(of_model, softmax=softmax, sigmoid=sigmoid), *rest)
        if self.loss_type in (LossType.SOFTMAX_CROSS_ENTROPY, LossType.CTC_LOSS):
            return softmax(logits)
        return sigmoid(logits) if self.loss_type is LossType.SIGMOID_CROSS_ENTROPY else logits

    @staticmethod
    def _check_framework(function: str, framework: str, own: str) -> None:
        if framework != own:
            raise ValueError(f"{function}: framework {framework!r}; this workload uses {own!r} arrays")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._workload.name})"


def is_train_mode(mode: Any) -> bool:
    """Whether `mode` is TRAIN, by member name, so that an equal enum from another module works too."""
    return mode.name == ForwardPassMode.TRAIN.name


def _defined(value: Any, name: str, workload_name: str) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        raise NotImplementedError(f"{workload_name} defines no {name}")
    return value


def plain_facts(view: WorkloadView) -> dict[str, bool | int | float | str]:
    """The public plain values of a view, as listed in the public logs."""
    facts = {}
    for name in dir(WorkloadView):
        if not name.startswith("_") and isinstance(getattr(WorkloadView, name), property):
            try:
                value = getattr(view, name)
            except NotImplementedError:  # does not apply to this workload, such as the mean of graphs
                continue
            if isinstance(value, bool | int | float | str):
                facts[name] = value
    return facts
