"""A trial on a scripted clock: a stub workload, backend and submission whose calls take scripted times."""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from algoperf_jax.submission.calls import Calls
from algoperf_jax.submission.interface import Source, Submission, TrainingCompleteError
from algoperf_jax.trial.backend import StepKeys
from algoperf_jax.trial.clock import Bucket, Clock
from algoperf_jax.trial.events import Event
from algoperf_jax.trial.loop import Outcome, Trial, run
from algoperf_jax.trial.rules import TIMING_RULES
from algoperf_jax.trial.run_state import RunState
from algoperf_jax.workload import Goal

START_SECONDS = 1000.0


class FakeTime:
    """A clock that advances only on request, in seconds."""

    def __init__(self, start: float = START_SECONDS) -> None:
        self.seconds = start

    def now(self) -> int:
        return round(self.seconds * 1e9)

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@dataclasses.dataclass
class Script:
    """The duration of each call in seconds, and the events of the trial."""

    data_selection_sec: float = 1.0
    step_sec: Sequence[float] = (9.0,)
    eval_sec: float = 7.0
    prepare_for_eval_sec: float | None = None
    queued_device_sec: float = 0.0
    training_complete_error_at_step: int | None = None
    eval_raises_at_call: Sequence[int] = ()
    validation_met: Callable[[int], bool] = lambda call: False
    test_met: Callable[[int], bool] = lambda call: False
    on_step: Callable[[int], None] = lambda step: None
    metric: Callable[[int], float] | None = None
    metric_name: str = "validation/loss"


class StubBackend:
    """Parameters are a counter; an evaluation returns the number of its call if a target is met, else 0."""

    def __init__(self, time: FakeTime, script: Script, calls: list[tuple[str, int]]) -> None:
        self.time, self.script, self.calls = time, script, calls
        self.evaluations = 0
        self.queued = 0.0

    def step_keys(self, rng: Any, step: int) -> StepKeys:
        return StepKeys(*(np.asarray([step, index], np.uint32) for index in range(4)))

    def check_update(self, function: str, params: Any) -> None:
        pass

    def explain(self, error: BaseException) -> str:
        return ""

    def pace(self, params: Any, step: int) -> None:
        self.queued += self.script.queued_device_sec

    def wait_for(self, outputs: Any) -> None:
        self.time.sleep(self.queued)
        self.queued = 0.0

    def evaluate(self, params: Any, model_state: Any, rng: Any) -> dict[str, float]:
        self.evaluations += 1
        self.calls.append(("eval", int(rng[0]) + 1))
        self.time.sleep(self.script.eval_sec)
        if self.evaluations in self.script.eval_raises_at_call:
            raise RuntimeError("scripted")
        return {
            "validation/met": float(self.script.validation_met(self.evaluations)),
            "test/met": float(self.script.test_met(self.evaluations)),
            "validation/m": self.evaluations,
            "test/m": self.evaluations,
            **({} if self.script.metric is None else {self.script.metric_name: self.script.metric(self.evaluations)}),
        }


class StubQueue:
    def __init__(self) -> None:
        self.drawn = 0

    def __iter__(self) -> "StubQueue":
        return self

    def __next__(self) -> int:
        self.drawn += 1
        return self.drawn

    def position(self) -> int:
        return self.drawn

    def seek(self, position: int) -> None:
        self.drawn = position


@dataclasses.dataclass
class Recorded:
    outcome: Outcome
    calls: list[tuple[str, int]]
    seen_by_update: list[tuple[int, float, int]]
    events: list[Event]
    saved: list[RunState]
    time: FakeTime


def make_submission(time: FakeTime, script: Script, calls: list, seen: list, **overrides: Any) -> Submission:
    def data_selection(workload, input_queue, optimizer_state, params, model_state, hyper, global_step, rng):
        time.sleep(script.data_selection_sec)
        return next(input_queue)

    def update_params(*, global_step, eval_results, train_state, optimizer_state, **arguments):
        seen.append((global_step, train_state["accumulated_submission_time"], len(eval_results)))
        script.on_step(global_step)
        time.sleep(script.step_sec[global_step % len(script.step_sec)])
        if global_step == script.training_complete_error_at_step:
            raise TrainingCompleteError
        return optimizer_state, arguments["current_param_container"] + 1, None

    def prepare_for_eval(*, global_step, current_param_container, optimizer_state, **arguments):
        calls.append(("prepare_for_eval", global_step))
        time.sleep(script.prepare_for_eval_sec or 0.0)
        return optimizer_state, current_param_container, None

    fields: dict[str, Any] = {
        "name": "scripted",
        "framework": "jax",
        "get_batch_size": lambda name: 1,
        "init_optimizer_state": lambda *arguments: None,
        "update_params": update_params,
        "data_selection": data_selection,
        "prepare_for_eval": None if script.prepare_for_eval_sec is None else prepare_for_eval,
        "get_eval_batch_size": None,
        "hyperparameters": None,
        "source": Source(pathlib.Path("scripted.py"), {}),
    }
    return Submission(**{**fields, **overrides})


def run_scripted(
    script: Script,
    *,
    rules: str = "standard",
    budget_sec: float = 200.0,
    eval_period_sec: float = 35.0,
    max_steps: int | None = None,
    state: RunState | None = None,
    stop_requested: Callable[[], bool] = lambda: False,
    **overrides: Any,
) -> Recorded:
    time, calls, seen, events, saved = FakeTime(), [], [], [], []
    backend = StubBackend(time, script, calls)
    state = state or RunState(params=0, model_state=None, optimizer_state=None, rng=np.zeros(2, np.uint32))
    trial = Trial(
        calls=Calls(
            make_submission(time, script, calls, seen, **overrides),
            view=SimpleNamespace(model_params_types=None, loss_type=None),
            hyperparameters=None,
        ),
        backend=backend,  # pyright: ignore[reportArgumentType] -- the stub has what the loop calls
        input_queue=StubQueue(),
        goal=Goal("met", "maximize", 0.5, 0.5),
        budget_sec=budget_sec,
        eval_period_sec=eval_period_sec,
        max_steps=max_steps,
        rules=TIMING_RULES[rules],
        emit=events.append,
        save=saved.append,
        stop_requested=stop_requested,
    )
    wait_for = backend.wait_for if TIMING_RULES[rules].wait_for_devices else lambda outputs: None
    clock = Clock.start(Bucket.SETUP, now=time.now, wait_for=wait_for)
    time.sleep(5.0 + 11.0 + 2.0)
    handed_over = [state]
    del state
    return Recorded(run(trial, handed_over.pop(), clock), calls, seen, events, saved, time)
