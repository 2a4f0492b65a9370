"""The state from which a trial continues. Checkpoints contain exactly the fields of `RunState`."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from algoperf_jax.workload import ModelState, Parameters


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """One evaluation of a trial.

    Attributes:
      step: number of steps taken before the evaluation.
      results: `<split>/<metric>` values, and the clock's readings with the names of the public logs (`score`,
        `total_duration`, `accumulated_submission_time`, `accumulated_eval_time`, `accumulated_logging_time`; seconds).
    """

    step: int
    results: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class RunState:
    """The state of a trial between two steps.

    Attributes:
      params: parameters, as returned by the submission's last call.
      model_state: the model's state other than parameters, or None.
      optimizer_state: the submission's own state, of any type.
      rng: key from which the keys of every step are derived, uint32[2].
      step: number of calls of `update_params` so far.
      data_position: state of the training data iterator (JSON-able).
      nanoseconds: the clock's buckets at the last booking.
      history: the evaluations so far.
      validation_reached: whether an evaluation has met the validation target.
      test_reached: likewise for the test target.
      training_complete: whether the submission or the limit on steps has ended the training.
      last_evaluation_end: trial seconds at the end of the last evaluation, None before the first.
    """

    params: Parameters
    model_state: ModelState
    optimizer_state: Any
    rng: np.ndarray
    step: int = 0
    data_position: Any = None
    nanoseconds: Mapping[str, int] = dataclasses.field(default_factory=dict)
    history: tuple[Evaluation, ...] = ()
    validation_reached: bool = False
    test_reached: bool = False
    training_complete: bool = False
    last_evaluation_end: float | None = None

    @property
    def goals_reached(self) -> bool:
        """Whether both targets have been met, not necessarily at the same evaluation."""
        return self.validation_reached and self.test_reached
