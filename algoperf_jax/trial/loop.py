"""The timed loop: trains one workload with one submission until the targets are met or the budget is spent.

The loop uses no disk, flags or framework: everything it needs is a field of `Trial`, so that tests can run it on a fake
clock and a fake workload.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Literal, Protocol

from algoperf_jax.errors import SubmissionError, UserError
from algoperf_jax.submission.calls import Calls
from algoperf_jax.submission.interface import TrainingCompleteError, Update, checked_update
from algoperf_jax.trial.agreement import Agree, Reading, no_need_to_agree
from algoperf_jax.trial.backend import Backend, NonFiniteError
from algoperf_jax.trial.clock import Bucket, Clock
from algoperf_jax.trial.events import Event, EventSink
from algoperf_jax.trial.rules import TimingRules
from algoperf_jax.trial.run_state import Evaluation, RunState
from algoperf_jax.workload import Goal

Status = Literal["target_reached", "budget_spent", "training_complete", "interrupted", "failed"]


class InputQueue(Iterator[Any], Protocol):
    """The training batches on the devices, and the iterator's position."""

    def position(self) -> Any:
        """The position after the last batch handed out, JSON-able."""
        ...

    def seek(self, position: Any) -> None:
        """Continues from a position returned by `position()`."""
        ...


@dataclasses.dataclass(frozen=True)
class Trial:
    """Everything that a trial needs.

    Attributes:
      calls: calls the functions of the training algorithm.
      backend: operations on the devices.
      input_queue: the training batches.
      goal: the targets.
      rules: the timing rules.
      budget_sec: limit on the submission time.
      eval_period_sec: wall time between evaluations.
      max_steps: number of steps after which training is complete, or None.
      emit: receives events.
      save: writes a checkpoint from which the trial can resume.
      tick: called after each step, during submission time; must return at once.
      stop_requested: whether to save a checkpoint and stop.
      agree: see `Agree`.
    """

    calls: Calls
    backend: Backend
    input_queue: InputQueue
    goal: Goal
    rules: TimingRules
    budget_sec: float = math.inf
    eval_period_sec: float = math.inf
    max_steps: int | None = None
    emit: EventSink = lambda event: None
    save: Callable[[RunState], None] = lambda state: None
    tick: Callable[[int, Clock], None] = lambda step, clock: None
    stop_requested: Callable[[], bool] = lambda: False
    agree: Agree = no_need_to_agree


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The outcome of a trial.

    Attributes:
      status: an `interrupted` trial can be resumed; every other status is final.
      reason: one line for the user, empty if the status says everything.
      error: the exception that caused a failure, or None.
      state: the last state; after a failure its arrays must not be used, because the submission may have donated them.
      clock: the clock at the end.
    """

    status: Status
    reason: str
    error: BaseException | None
    state: RunState
    clock: Clock


class _TrialFailedError(Exception):
    """Ends the loop as failed; carries the last state and clock."""

    def __init__(self, reason: str, state: RunState, clock: Clock) -> None:
        super().__init__(reason)
        self.state, self.clock = state, clock


def run(trial: Trial, state: RunState, clock: Clock) -> Outcome:
    """Runs the loop from `state`, new or restored.

    `clock` must be running in the bucket `setup`, and is returned running in `other`. The caller should keep no
    reference to `state`: its arrays are passed to the submission, which may donate them.
    """
    clock = clock.continued(state.nanoseconds)
    if state.data_position is not None:
        trial.input_queue.seek(state.data_position)
    clock = clock.switch(Bucket.SUBMISSION, _outputs(state))
    status: Status | None = None
    try:
        while status is None and not state.goals_reached and not state.training_complete:
            # The submission sees the clock as of the end of the previous step.
            state = _step(trial, state, clock)
            clock = clock.book(Bucket.SUBMISSION)
            trial.tick(state.step, clock)
            reading = _agreed(trial, state, clock, force=state.training_complete)
            if reading is None:
                continue
            if trial.rules.check_budget_every_step and reading.submission_seconds >= trial.budget_sec:
                status = "budget_spent"
            elif _evaluation_due(trial, state, reading):
                state = _prepare_for_eval(trial, state, clock)
                clock = clock.switch(Bucket.EVALUATION, _outputs(state))
                if _agreed_now(trial, state, clock).submission_seconds >= trial.budget_sec:
                    status = "budget_spent"
                else:
                    state, clock = _evaluate(trial, state, clock)
            if reading.stop_requested and status is None:
                status = "interrupted"
    except _TrialFailedError as failure:
        clock = failure.clock.book(failure.clock.bucket).into(Bucket.OTHER)
        return Outcome("failed", str(failure), failure.__cause__, failure.state, clock)
    if state.goals_reached:
        status = "target_reached"
    elif status is None or (status == "interrupted" and state.training_complete):
        status = "training_complete"
    clock = clock.switch(Bucket.OTHER, _outputs(state))
    state = _checkpointable(trial, state, clock)
    trial.save(state)
    return Outcome(status, "", None, state, clock)


def _outputs(state: RunState) -> Any:
    return state.params, state.model_state, state.optimizer_state


def _agreed(trial: Trial, state: RunState, clock: Clock, *, force: bool) -> Reading | None:
    reading = Reading(clock.seconds(Bucket.SUBMISSION), clock.trial_seconds(), trial.stop_requested())
    return trial.agree(state.step, reading, force=force)


def _agreed_now(trial: Trial, state: RunState, clock: Clock) -> Reading:
    reading = _agreed(trial, state, clock, force=True)
    assert reading is not None, "a forced agreement always gives a reading"
    return reading


def _checkpointable(trial: Trial, state: RunState, clock: Clock) -> RunState:
    """Adds the readings that a checkpoint needs to the state."""
    return dataclasses.replace(state, nanoseconds=clock.nanoseconds, data_position=trial.input_queue.position())


def _evaluation_due(trial: Trial, state: RunState, reading: Reading) -> bool:
    if state.training_complete:
        return True
    if state.last_evaluation_end is None and trial.rules.evaluate_after_first_step:
        return True
    return reading.trial_seconds - (state.last_evaluation_end or 0.0) >= trial.eval_period_sec


# --- calls of the submission -----------------------------------------------------------------------------------------


def _step(trial: Trial, state: RunState, clock: Clock) -> RunState:
    keys = trial.backend.step_keys(state.rng, state.step)
    function = "data_selection"
    try:
        batch = trial.calls.data_selection(state, trial.input_queue, state.step, keys.data_selection)
        function = "update_params"
        returned = trial.calls.update_params(
            state,
            batch,
            state.step,
            keys.update,
            eval_results=_eval_results(state),
            train_state=train_state(state, clock),
        )
        update = _checked(trial, function, returned)
        complete = False
    except TrainingCompleteError:
        # The step counts, but its changes do not.
        update, complete = Update(state.optimizer_state, state.params, state.model_state), True
    except (Exception, SystemExit) as error:
        raise _failure(trial, function, error, state, clock) from error
    step = state.step + 1
    state = dataclasses.replace(
        state,
        params=update.params,
        model_state=update.model_state,
        optimizer_state=update.optimizer_state,
        step=step,
        training_complete=complete or step == trial.max_steps,
    )
    try:
        trial.backend.pace(state.params, step)
    except NonFiniteError as error:
        if trial.rules.fail_on_nonfinite:
            raise _TrialFailedError(f"{error}. The trial failed.", state, clock) from error
    except (Exception, SystemExit) as error:
        raise _failure(trial, function, error, state, clock) from error
    return state


def _prepare_for_eval(trial: Trial, state: RunState, clock: Clock) -> RunState:
    if trial.calls.submission.prepare_for_eval is None:
        return state
    key = trial.backend.step_keys(state.rng, state.step - 1).prepare_for_eval
    try:
        returned = trial.calls.prepare_for_eval(state, state.step, key, eval_results=_eval_results(state))
        update = _checked(trial, "prepare_for_eval", returned)
    except (Exception, SystemExit) as error:
        raise _failure(trial, "prepare_for_eval", error, state, clock) from error
    return dataclasses.replace(
        state,
        params=update.params,
        model_state=update.model_state,
        optimizer_state=update.optimizer_state,
    )


def _checked(trial: Trial, function: str, returned: Any) -> Update:
    update = checked_update(trial.calls.submission, function, returned)
    trial.backend.check_update(f"{trial.calls.submission.name}: {function}", update.params)
    return update


def _eval_results(state: RunState) -> list[tuple[int, dict[str, float]]]:
    return [(evaluation.step, dict(evaluation.results)) for evaluation in state.history]


def train_state(state: RunState, clock: Clock) -> Mapping[str, Any]:
    """The benchmark's `train_state`; times are as of the end of the previous step, in seconds."""
    return MappingProxyType(
        {
            "validation_goal_reached": state.validation_reached,
            "test_goal_reached": state.test_reached,
            "is_time_remaining": True,
            "last_eval_time": state.last_evaluation_end or 0.0,
            "training_complete": state.training_complete,
            "accumulated_submission_time": clock.seconds(Bucket.SUBMISSION),
            "accumulated_eval_time": clock.seconds(Bucket.EVALUATION),
            "accumulated_logging_time": clock.seconds(Bucket.LOGGING),
            "last_step_end_time": clock.trial_seconds(),
        }
    )


def _failure(trial: Trial, function: str, error: BaseException, state: RunState, clock: Clock) -> _TrialFailedError:
    if isinstance(error, SubmissionError):
        return _TrialFailedError(str(error), state, clock)
    if isinstance(error, UserError):
        raise error  # a full disk or damaged data is not the submission's failure; the trial can be resumed
    where = trial.calls.submission.source.line_of(error)
    what = f"{trial.calls.submission.name}: {function} raised {type(error).__name__} at step {state.step}{where}"
    reason = ": ".join([what, *_first_line(error)])
    hint = trial.backend.explain(error)
    return _TrialFailedError(f"{reason}. {hint}" if hint else reason, state, clock)


def _first_line(error: BaseException) -> list[str]:
    return str(error).strip().splitlines()[:1]


# --- evaluation ------------------------------------------------------------------------------------------------------


def _evaluate(trial: Trial, state: RunState, clock: Clock) -> tuple[RunState, Clock]:
    """Evaluates, logs and saves a checkpoint; the clock runs in `evaluation` before and in `submission` after."""
    key = trial.backend.step_keys(state.rng, state.step - 1).evaluation
    try:
        metrics = trial.backend.evaluate(state.params, state.model_state, key)
    except SubmissionError as error:
        raise _TrialFailedError(str(error), state, clock) from error
    except UserError:
        raise
    except Exception as error:
        if isinstance(error, RuntimeError) and trial.rules.retry_failed_evaluation:
            return state, clock.book(Bucket.OTHER).into(Bucket.SUBMISSION)
        what = f"evaluation after step {state.step} failed: {type(error).__name__}"
        raise _TrialFailedError(": ".join([what, *_first_line(error)]), state, clock) from error
    clock = clock.book(Bucket.EVALUATION).into(Bucket.LOGGING)
    results = {**metrics, **_time_columns(clock)}
    state = dataclasses.replace(
        state,
        history=(*state.history, Evaluation(state.step, MappingProxyType(results))),
        validation_reached=state.validation_reached or trial.goal.reached(metrics, "validation"),
        test_reached=state.test_reached or trial.goal.reached(metrics, "test"),
        last_evaluation_end=clock.trial_seconds(),
    )
    trial.emit(Event("evaluation", state.step, clock.readings(), results))
    if trial.rules.fail_on_nonfinite:
        for name, value in metrics.items():
            if name.endswith(("/loss", "/ctc_loss")) and not math.isfinite(value):
                raise _TrialFailedError(
                    f"{name} is {value} after step {state.step}: the training diverged, and the trial failed. "
                    "Try a smaller learning rate.",
                    state,
                    clock,
                )
    trial.save(_checkpointable(trial, state, clock))
    return state, clock.book(Bucket.LOGGING).into(Bucket.SUBMISSION)


def _time_columns(clock: Clock) -> dict[str, float]:
    """The clock's readings with the names of the public logs, in seconds."""
    return {
        "score": clock.seconds(Bucket.SUBMISSION),
        "total_duration": clock.trial_seconds(),
        "accumulated_submission_time": clock.seconds(Bucket.SUBMISSION),
        "accumulated_eval_time": clock.seconds(Bucket.EVALUATION),
        "accumulated_logging_time": clock.seconds(Bucket.LOGGING),
    }
