"""From a configuration to a finished trial: makes the parts, runs the loop, and keeps what it leaves."""

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from rich.console import Console

from algoperf_jax import configuration as configs
from algoperf_jax import parameters
from algoperf_jax.assembly import Parts, assemble, initial_state, load_workload
from algoperf_jax.devices import distributed
from algoperf_jax.devices.compile_watch import CompileWatch
from algoperf_jax.errors import RunError, SubmissionError
from algoperf_jax.framework.framework import Framework, load_framework
from algoperf_jax.framework.workload_view import WorkloadView
from algoperf_jax.outputs import environment, run_directory, summary
from algoperf_jax.outputs.checkpoint import Checkpoints
from algoperf_jax.outputs.progress import Progress
from algoperf_jax.outputs.recorder import Records, Result
from algoperf_jax.outputs.run_directory import RunDirectory
from algoperf_jax.rule_check.static import static_report
from algoperf_jax.submission import framework_names
from algoperf_jax.submission.imports import submission_imports
from algoperf_jax.submission.interface import Source, Submission
from algoperf_jax.submission.load import load_submission
from algoperf_jax.trial import clock as clocks
from algoperf_jax.trial.clock import Clock
from algoperf_jax.trial.events import Event
from algoperf_jax.trial.loop import Outcome, Trial, run
from algoperf_jax.trial.rules import RULESET_BUDGET_FACTORS, TIMING_RULES
from algoperf_jax.trial.run_state import Evaluation, RunState
from algoperf_jax.workload import Goal, Workload

_OVERWRITES = "go on with the same command without --config.overwrite=True, which would start afresh"
_CHANGE_THE_TASK = ("max_runtime_sec", "eval_period_sec", "step_hint", "max_steps", "share_compilation")


def execute(
    config: Any,
    console: Console,
    *,
    stop_requested: Callable[[], bool] = lambda: False,
    now: Callable[[], int] = time.monotonic_ns,
) -> Result:
    """Runs the trial that a configuration describes, goes on with it, or tells how it ended.

    Args:
      config: a checked configuration.
      console: where progress and the summary are written.
      stop_requested: whether to checkpoint and leave; asked after each step.
      now: monotonic nanoseconds.

    Returns:
      What `result.json` holds.

    Raises:
      UserError: something that the user can mend; nothing that was computed is lost.
    """
    # Files of the submission may import more when they run, so all that follows happens within.
    with submission_imports(config.submission):
        return _execute(config, console, stop_requested, now)


def _execute(config: Any, console: Console, stop_requested: Callable[[], bool], now: Callable[[], int]) -> Result:
    # Set-up runs from here on; only the loop can tell when it ends.
    clock = Clock.start(clocks.SETUP, now=now)
    compile_watch = CompileWatch()
    framework = load_framework(framework_names.name_for(config.submission, config.framework))
    framework.start(config)
    leader = distributed.is_leader()
    console = console if leader else Console(quiet=True)

    workload = load_workload(config)
    submission = load_submission(config.submission, workload, framework.name)
    directory = run_directory.locate(config, submission.name, submission.framework, workload.data.origin)
    with run_directory.only_process(directory) if leader else contextlib.nullcontext():
        result = _claim(directory, config, leader=leader)
        if result is not None and configs.means_study(config):
            summary.print_finished(console, result)
            return result
        if result is not None:
            console.print("This trial is finished already; nothing is run.", markup=False)
        else:
            result = _run_claimed(
                config, framework, workload, submission, directory, console, clock, compile_watch, stop_requested
            )
            if configs.means_study(config) and not config.share_compilation:
                framework.forget_compiled()
    summary.print_summary(console, result)
    return result


def _run_claimed(
    config: Any,
    framework: Framework,
    workload: Workload,
    submission: Submission,
    directory: RunDirectory,
    console: Console,
    clock: Clock,
    compile_watch: CompileWatch,
    stop_requested: Callable[[], bool],
) -> Result:
    """Runs the trial in a directory that is this run's alone."""
    budget_sec = workload.budget.max_runtime_sec * RULESET_BUDGET_FACTORS[config.ruleset]
    progress = Progress(
        console,
        title=f"{workload.name}/{submission.name}",
        goal=workload.goal,
        budget_sec=budget_sec,
        max_steps=config.max_steps,
        period_sec=config.progress_period_sec,
    )
    leader = distributed.is_leader()
    records = Records(directory, progress, leader=leader, tensorboard=config.tensorboard)
    parts = assemble(config, framework, workload, submission, records.scalars)
    rules = TIMING_RULES[config.timing_rules]
    trial = Trial(
        submission=submission,
        workload=parts.view,
        hyperparameters=parts.hyperparameters,
        backend=parts.backend,
        input_queue=parts.make_feed(),
        goal=workload.goal,
        budget_sec=budget_sec,
        eval_period_sec=workload.budget.eval_period_sec,
        max_steps=config.max_steps,
        rules=rules,
        emit=records.emit,
        save=records.save,
        tick=records.tick,
        stop_requested=stop_requested,
        agree=framework.agreement(),
    )
    if rules.wait_for_devices:
        clock = clock.waiting(parts.backend.wait_for)
    progress.start()
    try:
        try:
            # The state is handed over without a name, so that nothing keeps the arrays that the first step replaces.
            outcome = run(trial, _first_state(config, parts, directory, records, progress), clock)
        except SubmissionError as error:
            if directory.has_checkpoints():
                raise  # there is something to go on with, once this is mended
            outcome = _failed_at_start(parts, records, clock, error)
        result = _result(config, parts, directory, outcome, budget_sec, compile_watch)
        if leader:
            summary.draw_learning_curve(
                directory.learning_curve,
                outcome.state.history,
                workload.goal,
                title=f"{progress.title} ({workload.data.origin} data)",
            )
        records.finish(outcome, result)
    finally:
        progress.stop()
        records.close()
    return result


def _failed_at_start(parts: Parts, records: Records, clock: Clock, error: SubmissionError) -> Outcome:
    """The outcome of a trial whose submission could not make its state."""
    records.begin()
    records.emit(Event("start", 0, {}, _start_values(parts)))
    state = RunState(None, None, None, rng=parts.keys.loop)
    return Outcome("failed", str(error), error, state, clock.book(clock.bucket).into(clocks.OTHER))


def _claim(directory: RunDirectory, config: Any, *, leader: bool) -> Result | None:
    """Claims the trial's directory; all processes learn whether the trial is finished."""
    finished = None
    if leader:
        finished = run_directory.claim(directory, configs.as_dict(config), overwrite=config.overwrite)
    if jax.process_count() == 1:
        return finished
    is_finished = bool(multihost_utils.broadcast_one_to_all(np.asarray(finished is not None)))
    if is_finished and not leader:
        return run_directory.claim(directory, configs.as_dict(config), overwrite=False)
    return finished


def _first_state(config: Any, parts: Parts, directory: RunDirectory, records: Records, progress: Progress) -> RunState:
    """A new state, or that of the last checkpoint; opens the log accordingly."""
    _refuse_other_source(parts.submission.source, directory)
    facts = {**_workload_facts(parts), "data_origin": parts.workload.data.origin}
    device = parts.backend.devices()
    meta_data = environment.meta_data(facts, config.seed, config.precision, device)
    params = parameters.abstract(parts.view.param_shapes)
    records.describe(configs.as_dict(config), meta_data, params, parts.submission.source)
    records.keep_rule_report(static_report(config.submission, config.framework).as_dict())
    checkpoints = Checkpoints(directory.checkpoints, parts.backend, keep=config.checkpoints_kept)
    state = records.resume(checkpoints, initial_state(parts))
    records.emit(Event("resume" if state.step else "start", state.step, {}, _start_values(parts)))
    begin = f"going on from step {state.step}" if state.step else "starting"
    progress.say(
        f"{progress.title}: {begin} on {device['count']} x {device['kind']}, "
        f"{parts.workload.data.origin} data ({parts.reader.num_examples} training examples), "
        f"batch size {parts.batch_size}, {parameters.count(params):,} parameters"
    )
    progress.say(f"{progress.title}: logs in {directory.path}")
    return state


def _refuse_other_source(source: Source, directory: RunDirectory) -> None:
    """A trial is one algorithm's: it does not go on with other code."""
    changed = source.differing(directory.source) if directory.has_checkpoints() else []
    if changed:
        raise RunError(
            f"{changed[0]} of the submission {source.path} has changed since the trial in {directory.path} began",
            expected=f"the files that are in {directory.source}",
            remedy="Choose another --config.experiment_name, or start afresh with --config.overwrite=True.",
        )


def _start_values(parts: Parts) -> dict[str, Any]:
    return {
        "workload": parts.workload.name,
        "submission": parts.submission.name,
        "submission_sha256": parts.submission.source.digest(),
        "batch_size": parts.batch_size,
        "data": parts.workload.data.origin,
        "data_facts": parts.workload.data.describe(),
        "versions": environment.versions(),
        "devices": parts.backend.devices(),
    }


def _workload_facts(parts: Parts) -> dict[str, bool | int | float | str]:
    """The view's public plain values, as the public logs list them."""
    facts = {}
    for name in dir(WorkloadView):
        if not name.startswith("_") and isinstance(getattr(WorkloadView, name), property):
            try:
                value = getattr(parts.view, name)
            except NotImplementedError:  # a fact that makes no sense for this workload, such as the mean of graphs
                continue
            if isinstance(value, bool | int | float | str):
                facts[name] = value
    return facts


def _result(
    config: Any,
    parts: Parts,
    directory: RunDirectory,
    outcome: Outcome,
    budget_sec: float,
    compile_watch: CompileWatch,
) -> Result:
    goal, history = parts.workload.goal, outcome.state.history
    seconds = outcome.clock.readings()
    return {
        "workload": parts.workload.name,
        "framework": parts.submission.framework,
        "submission": parts.submission.name,
        "data": parts.workload.data.origin,
        "status": outcome.status,
        "reason": _OVERWRITES if outcome.status == "interrupted" and config.overwrite else outcome.reason,
        "steps": outcome.state.step,
        "time_to_target_sec": None if outcome.status == "failed" else summary.time_to_target(history, goal),
        "metric": goal.metric,
        "targets": {"validation": goal.validation, "test": goal.test},
        "best": _best(history, goal),
        "budget_sec": budget_sec,
        "seconds": seconds,
        "steps_per_sec": outcome.state.step / seconds[clocks.SUBMISSION] if seconds[clocks.SUBMISSION] else None,
        "compile_count": compile_watch.count,
        "compile_sec": compile_watch.seconds,
        "memory_peak_bytes": parts.backend.memory_peak_bytes(),
        "not_comparable": [f"config.{key}" for key in _CHANGE_THE_TASK if config[key] not in (None, False)],
        "learning_curve": str(directory.learning_curve),
        "directory": str(directory.path),
    }


def _best(history: Sequence[Evaluation], goal: Goal) -> dict[str, float]:
    """The best finite value of the target metric on each split that has one."""
    best = {}
    for split in ("validation", "test"):
        values = [evaluation.results.get(f"{split}/{goal.metric}", math.nan) for evaluation in history]
        finite = [value for value in values if math.isfinite(value)]
        if finite:
            best[split] = max(finite) if goal.direction == "maximize" else min(finite)
    return best
