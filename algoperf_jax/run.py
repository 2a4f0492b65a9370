"""Runs the trial of a configuration: makes the parts, runs the loop, and writes its logs, checkpoints and result."""

import contextlib
import dataclasses
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from rich.console import Console

from algoperf_jax import configuration, parameters
from algoperf_jax.assembly import Parts, assemble, initial_state, load_workload
from algoperf_jax.checkpoints import random_states
from algoperf_jax.devices import distributed
from algoperf_jax.devices.compile_watch import CompileWatch
from algoperf_jax.devices.precision import chosen_precision
from algoperf_jax.errors import SubmissionError
from algoperf_jax.framework.framework import Framework, load_framework
from algoperf_jax.framework.workload_view import plain_facts
from algoperf_jax.outputs import environment, finished, run_directory, source_copy, summary
from algoperf_jax.outputs.checkpoint import Checkpoints
from algoperf_jax.outputs.description import describe
from algoperf_jax.outputs.event_log import EventLog
from algoperf_jax.outputs.notes import Notes
from algoperf_jax.outputs.progress import Progress
from algoperf_jax.outputs.recorder import Recorder
from algoperf_jax.outputs.result import TrialResult, best_values, time_to_target
from algoperf_jax.outputs.run_directory import RunDirectory, disk_error, write_text
from algoperf_jax.outputs.scalar_log import ScalarLog
from algoperf_jax.outputs.tensorboard import TensorBoardLog
from algoperf_jax.rule_check.static import static_report
from algoperf_jax.submission.imports import submission_imports
from algoperf_jax.submission.interface import Submission
from algoperf_jax.submission.load import load_submission
from algoperf_jax.submission.locate import Located, locate
from algoperf_jax.trial.clock import Bucket, Clock
from algoperf_jax.trial.events import Event, EventSink
from algoperf_jax.trial.loop import Outcome, run
from algoperf_jax.trial.rules import RULESET_BUDGET_FACTORS, TIMING_RULES
from algoperf_jax.trial.run_state import Evaluation, RunState
from algoperf_jax.workload import Workload

_OVERWRITES = "resume with the same command without --config.overwrite=True, which would start over"
_CHANGE_THE_TASK = ("max_runtime_sec", "eval_period_sec", "step_hint", "max_steps", "share_compilation")


@dataclasses.dataclass(frozen=True)
class _Setup:
    """A run whose directory has been claimed.

    Attributes:
      config: the checked configuration.
      located: the submission's files.
      framework: the submission's framework.
      workload: with the configuration's overrides.
      submission: the training algorithm.
      directory: the trial's directory.
      console: where progress is written; silent except in the leader.
      is_leader: whether this process writes the logs. All processes take part in checkpoints.
      budget_sec: limit on the submission time.
      preemption_count: number of earlier processes that worked on this trial.
      notes: remarks for the user about what was found in the directory.
    """

    config: Any
    located: Located
    framework: Framework
    workload: Workload
    submission: Submission
    directory: RunDirectory
    console: Console
    is_leader: bool
    budget_sec: float
    preemption_count: int
    notes: Notes


def execute(
    config: Any,
    console: Console,
    *,
    stop_requested: Callable[[], bool] = lambda: False,
    now: Callable[[], int] = time.monotonic_ns,
) -> TrialResult:
    """Runs or resumes the trial; returns the stored result if it is finished.

    Args:
      config: a checked configuration.
      console: where progress and the summary are written.
      stop_requested: whether to save a checkpoint and stop; called after each step.
      now: the time in monotonic nanoseconds.

    Raises:
      UserError: the user can fix the cause; no computed results are lost.
    """
    located = locate(config.submission, config.framework)
    # The submission may import more of its files while it runs, so everything happens within this context.
    with submission_imports(located), random_states.seeded(config.seed):
        # Setup time starts here; only the loop knows when it ends.
        clock = Clock.start(Bucket.SETUP, now=now)
        compile_watch = CompileWatch()
        framework = load_framework(located.framework)
        framework.start(config)
        is_leader = distributed.is_leader()
        console = console if is_leader else Console(quiet=True)
        workload = load_workload(config)
        submission = load_submission(located, workload)
        directory = run_directory.locate(config, submission.name, submission.framework, workload.data.origin)
        with run_directory.only_process(directory) if is_leader else contextlib.nullcontext():
            notes = Notes(console)
            if _claim(directory, config, notes, is_leader=is_leader):
                return _finished(config, directory, console)
            setup = _Setup(
                config=config,
                located=located,
                framework=framework,
                workload=workload,
                submission=submission,
                directory=directory,
                console=console,
                is_leader=is_leader,
                budget_sec=workload.budget.max_runtime_sec * RULESET_BUDGET_FACTORS[config.ruleset],
                preemption_count=directory.preemption_count(),
                notes=notes,
            )
            result = _run_trial(setup, clock, compile_watch, stop_requested)
        if configuration.means_study(config) and not config.share_compilation:
            framework.forget_compiled()
    summary.print_summary(console, result)
    return result


def _claim(directory: RunDirectory, config: Any, notes: Notes, *, is_leader: bool) -> bool:
    """Claims the trial's directory; returns in all processes whether the trial is finished."""
    is_finished = False
    if is_leader:
        run_directory.claim(directory, configuration.as_dict(config), overwrite=config.overwrite, report=notes)
        is_finished = finished.is_finished(directory, notes)
    if jax.process_count() == 1:
        return is_finished
    return bool(multihost_utils.broadcast_one_to_all(np.asarray(is_finished)))


def _finished(config: Any, directory: RunDirectory, console: Console) -> TrialResult:
    """The stored result of a finished trial."""
    result = TrialResult.read(directory.result)
    if configuration.means_study(config):
        summary.print_finished(console, result)
    else:
        console.print("This trial is already finished; nothing to run.", markup=False)
        summary.print_summary(console, result)
    return result


def _run_trial(
    setup: _Setup, clock: Clock, compile_watch: CompileWatch, stop_requested: Callable[[], bool]
) -> TrialResult:
    """Runs the trial in a directory that this run has claimed."""
    config, directory, workload = setup.config, setup.directory, setup.workload
    progress = Progress(
        setup.console,
        title=f"{workload.name}/{setup.submission.name}",
        goal=workload.goal,
        budget_sec=setup.budget_sec,
        max_steps=config.max_steps,
        period_sec=config.progress_period_sec,
    )
    with contextlib.ExitStack() as stack:
        scalars = ScalarLog()
        parts = assemble(config, setup.framework, workload, setup.submission, scalars)
        rules = TIMING_RULES[config.timing_rules]
        if rules.wait_for_devices:
            clock = clock.waiting(parts.backend.wait_for)
        progress.start()
        stack.callback(progress.stop)
        source_copy.check_unchanged(setup.submission.source, directory, setup.notes)
        _describe(setup, parts)
        checkpoints = stack.enter_context(
            contextlib.closing(Checkpoints(directory.checkpoints, parts.backend, keep=config.checkpoints_kept))
        )
        # A list, so that no variable here keeps the arrays alive that the first step replaces.
        states, count, failure = _first_state(parts, checkpoints, setup.notes)
        recorder = _open_recorder(setup, stack, progress, scalars, count, states[0].history)
        step = states[0].step
        recorder.emit(Event("resume" if step else "start", step, {}, _start_values(parts, setup.notes)))
        _announce(progress, parts, step, directory)

        def save(state: RunState) -> None:
            recorder.flush()
            checkpoints.save(state, {"events": recorder.count})

        if failure is None:
            trial = parts.trial(
                rules=rules,
                budget_sec=setup.budget_sec,
                eval_period_sec=workload.budget.eval_period_sec,
                max_steps=config.max_steps,
                emit=recorder.emit,
                save=save,
                tick=recorder.tick,
                stop_requested=stop_requested,
                agree=setup.framework.agreement(),
            )
            outcome = run(trial, states.pop(), clock)
        else:
            ended = clock.book(clock.bucket).into(Bucket.OTHER)
            outcome = Outcome("failed", str(failure), failure, states.pop(), ended)
        result = _result(setup, parts, outcome, compile_watch)
        _finish(setup, recorder, outcome, result)
    return result


def _describe(setup: _Setup, parts: Parts) -> None:
    """Writes the files that describe the run."""
    if not setup.is_leader:
        return
    config = setup.config
    facts = {**plain_facts(parts.view), "data_origin": parts.workload.data.origin}
    precision = chosen_precision(config)
    machine = environment.meta_data(facts, config.seed, config.edition, precision, parts.backend.devices())
    if setup.directory.has_checkpoints():
        earlier = setup.directory.last_meta_data()
        if differences := environment.rounding_differences(earlier, machine):
            setup.notes(
                f"resumed under other conditions ({'; '.join(differences)}): sums on CPUs may be rounded differently, "
                "so the results may not be bit for bit those of an uninterrupted run"
            )
    describe(
        setup.directory,
        config=configuration.as_dict(config),
        meta_data=machine,
        params=parameters.abstract(parts.view.param_shapes),
        source=setup.submission.source,
        rule_report=static_report(setup.located).as_dict(),
        preemption_count=setup.preemption_count,
    )


def _first_state(
    parts: Parts, checkpoints: Checkpoints, report: Callable[[str], None]
) -> tuple[list[RunState], int, SubmissionError | None]:
    """The initial state, the number of events before it, and the error if the submission failed to initialize."""
    try:
        new = initial_state(parts)
    except SubmissionError as error:
        if checkpoints.exists():
            raise  # the trial resumes from them once this is fixed
        return [RunState(None, None, None, rng=parts.keys.loop)], 0, error
    if not checkpoints.exists():
        return [new], 0, None
    restored = checkpoints.restore(new, report)
    return [restored.state], restored.extra["events"], None


def _open_recorder(
    setup: _Setup,
    stack: contextlib.ExitStack,
    progress: Progress,
    scalars: ScalarLog,
    count: int,
    history: Sequence[Evaluation],
) -> Recorder:
    """The recorder with this process's sinks, which continues after the first `count` events and replays them."""
    sinks: list[EventSink] = []
    if setup.is_leader:
        folder, number = setup.directory.path, setup.preemption_count
        log = EventLog(folder, keep=count, history=history, report=setup.notes)
        for event in log.kept:
            progress(event)
        sinks.append(log)
        if setup.config.tensorboard:
            board = TensorBoardLog(folder, preemption_count=number)
            sinks.append(stack.enter_context(contextlib.closing(board)))
            if not board.has_earlier_files():
                for event in log.kept:
                    board(event)
    return Recorder(sinks, progress, scalars, count=count, preemption_count=setup.preemption_count)


def _start_values(parts: Parts, notes: Notes) -> dict[str, Any]:
    return {
        **({"notes": notes.lines} if notes.lines else {}),
        "workload": parts.workload.name,
        "submission": parts.submission.name,
        "submission_sha256": parts.submission.source.digest(),
        "batch_size": parts.batch_size,
        "data": parts.workload.data.origin,
        "data_facts": parts.workload.data.describe(),
        "versions": environment.versions(),
        "devices": parts.backend.devices(),
    }


def _announce(progress: Progress, parts: Parts, step: int, directory: RunDirectory) -> None:
    device = parts.backend.devices()
    begin = f"resuming from step {step}" if step else "starting"
    count = parameters.count(parameters.abstract(parts.view.param_shapes))
    progress.say(
        f"{progress.title}: {begin} on {device['count']} x {device['kind']}, "
        f"{parts.workload.data.origin} data ({parts.reader.num_examples} training examples), "
        f"batch size {parts.batch_size}, {count:,} parameters"
    )
    progress.say(f"{progress.title}: logs in {directory.path}")


def _result(setup: _Setup, parts: Parts, outcome: Outcome, compile_watch: CompileWatch) -> TrialResult:
    config, directory = setup.config, setup.directory
    goal, history = parts.workload.goal, outcome.state.history
    seconds = outcome.clock.readings()
    spent = seconds[Bucket.SUBMISSION]
    return TrialResult(
        workload=parts.workload.name,
        framework=parts.submission.framework,
        submission=parts.submission.name,
        data=parts.workload.data.origin,
        status=outcome.status,
        reason=_OVERWRITES if outcome.status == "interrupted" and config.overwrite else outcome.reason,
        steps=outcome.state.step,
        time_to_target_sec=None if outcome.status == "failed" else time_to_target(history, goal),
        metric=goal.metric,
        targets={"validation": goal.validation, "test": goal.test},
        best=best_values(history, goal),
        budget_sec=setup.budget_sec,
        seconds=seconds,
        steps_per_sec=outcome.state.step / spent if spent else None,
        compile_count=compile_watch.count,
        compile_sec=compile_watch.seconds,
        memory_peak_bytes=parts.backend.memory_peak_bytes(),
        not_comparable=tuple(f"config.{key}" for key in _CHANGE_THE_TASK if config[key] not in (None, False)),
        learning_curve=str(directory.learning_curve),
        directory=str(directory.path),
    )


def _finish(setup: _Setup, recorder: Recorder, outcome: Outcome, result: TrialResult) -> None:
    """Writes the learning curve and, unless the trial was interrupted, the last event and the result."""
    if not setup.is_leader:
        return
    directory, workload = setup.directory, setup.workload
    summary.draw_learning_curve(
        directory.learning_curve,
        outcome.state.history,
        workload.goal,
        title=f"{workload.name}/{result.submission} ({result.data} data)",
    )
    try:
        if outcome.error is not None:
            write_text(directory.path / "failure.txt", "".join(traceback.format_exception(outcome.error)))
        if outcome.status != "interrupted":
            values = {"status": outcome.status, "reason": outcome.reason, "result": result.to_json()}
            recorder.emit(Event("end", outcome.state.step, outcome.clock.readings(), values))
            result.write(directory.result)
    except OSError as error:
        raise disk_error(directory.path, error) from error
