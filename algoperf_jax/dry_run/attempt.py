"""Runs a few steps of a submission on one workload, in this process, with the loop of real trials."""

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from algoperf_jax.assembly import assemble, hyperparameter_point, initial_state, load_workload
from algoperf_jax.dry_run.observation import Observer, Step
from algoperf_jax.errors import ConfigError, UserError
from algoperf_jax.framework.framework import Framework, load_framework
from algoperf_jax.outputs.scalar_log import ScalarLog
from algoperf_jax.submission.interface import Submission
from algoperf_jax.submission.load import load_submission
from algoperf_jax.submission.locate import Located
from algoperf_jax.trial.backend import NonFiniteError
from algoperf_jax.trial.clock import Bucket, Clock
from algoperf_jax.trial.events import Event
from algoperf_jax.trial.loop import run
from algoperf_jax.trial.rules import TIMING_RULES
from algoperf_jax.workload import Workload


@dataclasses.dataclass(frozen=True)
class Attempt:
    """Outcome of a dry run on one workload. Fields not reached before a failure are None or empty.

    Attributes:
      workload: registry name.
      failure: the error in one line, or None if there was none.
      framework: the submission's framework.
      batch_size: training examples per step, over all devices.
      devices: `platform`, `kind` and `count` of the devices used.
      initialization_sec: time for initializing the parameters and `init_optimizer_state`, including compilation.
      initialization_compile_sec: time for compilation during initialization.
      steps: the steps in order.
      evaluation_sec: time for `prepare_for_eval`, if defined, and evaluation, including compilation.
      results: the evaluation's metrics, `validation/<metric>`.
      loss_is_finite: whether parameters and validation loss are finite.
      memory_peak_bytes: peak memory of each place.
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


def attempt(config: Any, located: Located, *, steps: int, say: Callable[[str], None] = lambda doing: None) -> Attempt:
    """Trains for a few steps and evaluates once.

    Args:
      config: a checked configuration; its directories and limits are ignored.
      located: the submission.
      steps: number of training steps, at least 2 because the first one compiles.
      say: called with the name of each stage when it begins.

    Returns:
      The outcome, including failures of the submission.

    Raises:
      UserError: the submission cannot be loaded, or does not match the configuration, regardless of the workload.
    """
    say("importing the submission")
    framework = load_framework(located.framework)
    framework.start(config)
    if jax.process_count() > 1:
        raise ConfigError("several processes were started", expected="one process; this command starts its own")
    workload = load_workload(config)
    submission = load_submission(located, workload)
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
    scalars = ScalarLog()
    parts = assemble(config, framework, workload, observer.submission(submission), scalars, splits=("validation",))

    say("initializing the parameters")
    start, compiled = time.perf_counter(), watch.seconds
    first_state = [initial_state(parts)]
    parts.backend.wait_for(None)
    initialization_sec, initialization_compile_sec = time.perf_counter() - start, watch.seconds - compiled

    evaluations: list[tuple[float, Mapping[str, float]]] = []

    def emit(event: Event) -> None:
        if event.kind == "evaluation":
            evaluations.append((observer.elapsed(), event.values))
            list(scalars.take())  # waits for the scalars, as logging does

    def tick(step: int, clock: Clock) -> None:
        parts.backend.wait_for(None)
        observer.end_step()
        if step == steps:
            say("evaluation")

    trial = parts.trial(
        rules=TIMING_RULES["standard"],
        goal=dataclasses.replace(parts.workload.goal, test=None),
        max_steps=steps,
        emit=emit,
        tick=tick,
    )
    observer.begin_step()
    # No variable here holds the state, so that nothing keeps the arrays alive that the first step replaces.
    outcome = run(trial, first_state.pop(), Clock.start(Bucket.SETUP).waiting(parts.backend.wait_for))
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


def _loss_is_finite(results: Mapping[str, float], error: BaseException | None) -> bool | None:
    if isinstance(error, NonFiniteError):
        return False
    losses = [value for name, value in results.items() if name in ("validation/loss", "validation/ctc_loss")]
    return all(map(math.isfinite, losses)) if losses else None
