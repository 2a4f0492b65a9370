"""Defines the arguments of each of a submission's functions.

The trial loop and the rule checker call them through `Calls`; the checks of signatures use the same names.
"""

import dataclasses
import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from algoperf_jax.submission.interface import Submission

REQUIRED = ("init_optimizer_state", "update_params", "data_selection")
OPTIONAL = ("get_batch_size", "prepare_for_eval", "get_eval_batch_size")
FACTORY = "make_optimizer"
"""The factory of an optax optimizer, which a submission may define instead."""


class InitArguments(NamedTuple):
    """The positional arguments of `init_optimizer_state`."""

    workload: Any
    params: Any
    model_state: Any
    hyperparameters: Any
    rng: Any


class SelectionArguments(NamedTuple):
    """The positional arguments of `data_selection`."""

    workload: Any
    input_queue: Iterator[Any]
    optimizer_state: Any
    params: Any
    model_state: Any
    hyperparameters: Any
    global_step: int
    rng: Any


class PrepareArguments(NamedTuple):
    """The keyword arguments of `prepare_for_eval`.

    `update_params` gets the same, `batch`, and `train_state` if it has a parameter of this name.
    """

    workload: Any
    current_param_container: Any
    current_params_types: Any
    model_state: Any
    hyperparameters: Any
    loss_type: Any
    optimizer_state: Any
    eval_results: Sequence[tuple[int, Mapping[str, float]]]
    global_step: int
    rng: Any


UPDATE_ARGUMENTS = (*PrepareArguments._fields, "batch")
TRAIN_STATE = "train_state"

ARGUMENTS: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "get_batch_size": (1, ()),
    "get_eval_batch_size": (1, ()),
    "init_optimizer_state": (len(InitArguments._fields), ()),
    "data_selection": (len(SelectionArguments._fields), ()),
    "update_params": (0, UPDATE_ARGUMENTS),
    "prepare_for_eval": (0, PrepareArguments._fields),
    FACTORY: (2, ()),
}
"""The number of positional arguments and the names of the keyword arguments of each function."""


class State(Protocol):
    """The state that a submission works on, such as `RunState` and `Content`."""

    @property
    def params(self) -> Any: ...
    @property
    def model_state(self) -> Any: ...
    @property
    def optimizer_state(self) -> Any: ...


@dataclasses.dataclass(frozen=True)
class Calls:
    """Calls the functions of one submission in one trial; passes on what they return and raise.

    Attributes:
      submission: the submission whose functions are called.
      view: the workload as the submission sees it.
      hyperparameters: the point under test, or None.
    """

    submission: Submission
    view: Any
    hyperparameters: Any

    def init_optimizer_state(self, params: Any, model_state: Any, rng: Any) -> Any:
        """Makes the submission's state for newly initialized parameters."""
        return self.submission.init_optimizer_state(
            *InitArguments(self.view, params, model_state, self.hyperparameters, rng)
        )

    def data_selection(self, state: State, input_queue: Iterator[Any], step: int, rng: Any) -> Any:
        """Makes the batch for `update_params`."""
        return self.submission.data_selection(
            *SelectionArguments(
                workload=self.view,
                input_queue=input_queue,
                optimizer_state=state.optimizer_state,
                params=state.params,
                model_state=state.model_state,
                hyperparameters=self.hyperparameters,
                global_step=step,
                rng=rng,
            )
        )

    def update_params(
        self,
        state: State,
        batch: Any,
        step: int,
        rng: Any,
        *,
        eval_results: Sequence[tuple[int, Mapping[str, float]]],
        train_state: Mapping[str, Any],
    ) -> Any:
        """Takes one training step; `train_state` is passed only to submissions that accept it."""
        extra = {TRAIN_STATE: train_state} if self.submission.takes_train_state else {}
        arguments = self._arguments(state, step, rng, eval_results)._asdict()
        return self.submission.update_params(**arguments, batch=batch, **extra)

    def prepare_for_eval(
        self, state: State, step: int, rng: Any, *, eval_results: Sequence[tuple[int, Mapping[str, float]]]
    ) -> Any:
        """Prepares the parameters for an evaluation. The submission must define this function."""
        assert self.submission.prepare_for_eval is not None, self.submission.name
        arguments = self._arguments(state, step, rng, eval_results)._asdict()
        return self.submission.prepare_for_eval(**arguments)

    def _arguments(
        self, state: State, step: int, rng: Any, eval_results: Sequence[tuple[int, Mapping[str, float]]]
    ) -> PrepareArguments:
        return PrepareArguments(
            workload=self.view,
            current_param_container=state.params,
            current_params_types=self.view.model_params_types,
            model_state=state.model_state,
            hyperparameters=self.hyperparameters,
            loss_type=self.view.loss_type,
            optimizer_state=state.optimizer_state,
            eval_results=eval_results,
            global_step=step,
            rng=rng,
        )


def why_not_callable(function: str, signature: inspect.Signature) -> tuple[str, str] | None:
    """Why a function with this signature cannot be called, and which arguments it should accept; None if it can be."""
    positional, keywords = ARGUMENTS[function]
    extra = (TRAIN_STATE,) if function == "update_params" and TRAIN_STATE in signature.parameters else ()
    try:
        signature.bind(*[None] * positional, **dict.fromkeys((*keywords, *extra)))
    except TypeError as error:
        how = f"the keyword arguments {', '.join(keywords)}" if keywords else f"{positional} positional arguments"
        return str(error), how
    return None
