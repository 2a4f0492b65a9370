"""Tries one workload with one submission for a few steps, in this process, by the loop of real trials."""

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from algoperf_jax.assembly import Parts, assemble, hyperparameter_point, initial_state, load_workload
from algoperf_jax.devices.evaluation import Evaluator
from algoperf_jax.dry_run.observation import Observer, Step
from algoperf_jax.errors import ConfigError, UserError
from algoperf_jax.framework.framework import Connection, Framework, load_framework
from algoperf_jax.framework.workload_view import MetricsLogger
from algoperf_jax.outputs.event_log import ScalarLog
from algoperf_jax.submission import framework_names
from algoperf_jax.submission.interface import Submission
from algoperf_jax.submission.load import load_submission
from algoperf_jax.trial import clock as clocks
from algoperf_jax.trial.backend import NonFiniteError
from algoperf_jax.trial.clock import Clock
from algoperf_jax.trial.events import Event
from algoperf_jax.trial.loop import Trial, run
from algoperf_jax.trial.rules import TIMING_RULES
from algoperf_jax.workload import Workload


@dataclasses.dataclass(frozen=True)
class Attempt:
    """How it went. What an attempt that failed did not come to is None, empty or missing.

    Attributes:
      workload: registry name.
      failure: one line, or None when all went well.
      framework: of the submission.
      batch_size: training examples per step, over all devices.
      devices: `platform`, `kind` and `count` of the devices that it trained on.
      initialization_sec: drawing the parameters and `init_optimizer_state`, compilation included.
      initialization_compile_sec: that part of it.
      steps: in order.
      evaluation_sec: `prepare_for_eval`, where there is one, and the evaluation, compilation included.
      results: the evaluation's metrics, `validation/<metric>`.
      loss_is_finite: whether parameters and validation loss were.
      memory_peak_bytes: by place.
    """

    workload: str
    failure: str | None
    framework: str | None = None
    batch_size: int | None = None
    devices: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    initialization_sec: float | None = None
    initialization_compile_sec: float | None = None
    steps: Sequence[Step] = ()
    evaluation_sec: float | None = None
    results: Mapping[str, float] = dataclasses.field(default_factory=dict)
    loss_is_finite: bool | None = None
    memory_peak_bytes: Mapping[str, int] = dataclasses.field(default_factory=dict)


def attempt(config: Any, *, steps: int, say: Callable[[str], None] = lambda doing: None) -> Attempt:
    """Trains so many steps, evaluates once, and tells how it went.

    Args:
      config: a checked configuration; what it says about directories and limits is not looked at.
      steps: at least 2, for the first one compiles.
      say: told what begins.

    Raises:
      UserError: the submission cannot be loaded or the configuration does not fit it, whatever the workload.
    """
    say("importing the submission")
    framework = load_framework(framework_names.name_for(config.submission, config.framework))
    framework.start(config)
    if jax.process_count() > 1:
        raise ConfigError("several processes were started", expected="one: this command starts its own")
    workload = load_workload(config)
    submission = load_submission(config.submission, workload, framework.name)
    hyperparameter_point(submission, config.hyperparameters.to_dict(), config.ruleset)
    try:
        return _attempt(config, framework, workload, submission, steps, say)
    except UserError as error:
        return Attempt(workload.name, str(error), framework.name)


def _attempt(
    config: Any,
    framework: Framework,
    workload: Workload,
    submission: Submission,
    steps: int,
    say: Callable[[str], None],
) -> Attempt:
    say("opening the data")
    watch = framework.watch_compilations()
    observer = Observer(watch, framework.count_host_reads, say)
    scalars = ScalarLog(lambda event: None)
    parts = assemble(config, _judging_validation(framework), workload, observer.submission(submission), scalars)

    say("drawing the parameters")
    start, compiled = time.perf_counter(), watch.seconds
    first_state = [initial_state(parts)]
    parts.backend.wait_for(None)
    initialization_sec, initialization_compile_sec = time.perf_counter() - start, watch.seconds - compiled

    evaluations: list[tuple[float, Mapping[str, float]]] = []

    def emit(event: Event) -> None:
        if event.kind == "evaluation":
            evaluations.append((observer.elapsed(), event.values))
            scalars.flush()

    def tick(step: int, clock: Clock) -> None:
        parts.backend.wait_for(None)
        observer.end_step()
        if step == steps:
            say("the evaluation")

    trial = _trial(parts, steps, emit, tick)
    observer.begin_step()
    # The state is handed over without a name here, so that nothing keeps the arrays that the first step replaces.
    outcome = run(trial, first_state.pop(), Clock.start(clocks.SETUP).waiting(parts.backend.wait_for))
    evaluation_sec, results = evaluations[-1] if evaluations else (None, {})
    return Attempt(
        workload=parts.workload.name,
        failure=outcome.reason if outcome.status == "failed" else None,
        framework=framework.name,
        batch_size=parts.batch_size,
        devices=parts.backend.devices(),
        initialization_sec=initialization_sec,
        initialization_compile_sec=initialization_compile_sec,
        steps=tuple(observer.steps),
        evaluation_sec=evaluation_sec,
        results={name: value for name, value in results.items() if name.startswith("validation/")},
        loss_is_finite=_loss_is_finite(results, outcome.error),
        memory_peak_bytes=parts.backend.memory_peak_bytes(),
    )


def _trial(parts: Parts, steps: int, emit: Callable[[Event], None], tick: Callable[[int, Clock], None]) -> Trial:
    """The trial of so many steps, without limits on time and without checkpoints."""
    return Trial(
        submission=parts.submission,
        workload=parts.view,
        hyperparameters=parts.hyperparameters,
        backend=parts.backend,
        input_queue=parts.make_feed(),
        goal=dataclasses.replace(parts.workload.goal, test=None),
        budget_sec=math.inf,
        eval_period_sec=math.inf,
        max_steps=steps,
        rules=TIMING_RULES["standard"],
        emit=emit,
        save=lambda state: None,
        tick=tick,
    )


def _judging_validation(framework: Framework) -> Framework:
    """The same framework, whose evaluations leave out the training examples and the test split."""

    def connect(config: Any, workload: Workload, layout: Any, metrics_logger: MetricsLogger | None) -> Connection:
        connection = framework.connect(config, workload, layout, metrics_logger)
        evaluator = Evaluator(
            workload,
            layout,
            batch_size=workload.eval_batch_size,
            seed=config.seed,
            stage_bytes=config.evaluation.stage_bytes,
            splits=("validation",),
        )
        return dataclasses.replace(connection, make_backend=lambda _: connection.make_backend(evaluator))

    return dataclasses.replace(framework, connect=connect)


def _loss_is_finite(results: Mapping[str, float], error: BaseException | None) -> bool | None:
    if isinstance(error, NonFiniteError):
        return False
    return math.isfinite(results["validation/loss"]) if "validation/loss" in results else None
