"""Runs the trials of studies one after another."""

import contextlib
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
from jax.experimental.compilation_cache import compilation_cache
from rich.console import Console

from algoperf_jax import run
from algoperf_jax.errors import SubmissionError
from algoperf_jax.outputs.result import TrialResult
from algoperf_jax.tuning import point_check, search_space, study_plan, study_report
from algoperf_jax.tuning.study_result import StudyResult, TrialRecord


def execute(
    config: Any,
    console: Console,
    *,
    stop_requested: Callable[[], bool] = lambda: False,
    run_trial: Callable[..., TrialResult] = run.execute,
    check: Callable[[Sequence[Any]], None] = point_check.check_points,
) -> StudyResult:
    """Runs the trials that are not finished yet, and shows the results of all.

    Args:
      config: a checked configuration for which `means_study` is true.
      console: where progress and summaries are written.
      stop_requested: whether to save a checkpoint and stop; called after each step and each trial.
      run_trial: runs one trial, as `run.execute` does.
      check: checks the configurations of the trials before the first one begins.

    Returns:
      The results of the trials that ended, and the interrupted one.

    Raises:
      UserError: an error that the user can fix and that affects every trial, or a point that the submission cannot use;
        the same command resumes.
    """
    space = None if config.search_space is None else search_space.read(config.search_space)
    plan = study_plan.plan(config, space)
    check(plan)
    rank, alone = _place(config)
    leader_console = console if rank == 0 else Console(quiet=True)
    records: list[TrialRecord] = []
    interrupted = False
    for own in plan:
        # Several processes may get the stop request at different times: they stop after a step on which they agree.
        interrupted = interrupted or (alone and stop_requested())
        if interrupted:
            break
        study_report.print_trial_heading(leader_console, own, number=len(records) + 1, of=len(plan))
        records.append(_record(own, lambda own=own: run_trial(own, console, stop_requested=stop_requested)))
        interrupted = records[-1].status == "interrupted"
    result = StudyResult(tuple(records), len(plan), interrupted)
    study_report.print_study(leader_console, result, overwrite=config.overwrite)
    return result


def _record(config: Any, run_trial: Callable[[], TrialResult]) -> TrialRecord:
    hyperparameters = config.hyperparameters.to_dict()
    try:
        result = run_trial()
    except SubmissionError as error:
        # Only the text: the error itself keeps the trial's arrays alive.
        return TrialRecord(config.study, config.trial, hyperparameters, "failed", str(error), None)
    return TrialRecord(config.study, config.trial, hyperparameters, result.status, result.reason, result)


def _place(config: Any) -> tuple[int, bool]:
    """The number of this process, and whether it is the only one; JAX knows this only after all have joined."""
    if "LOCAL_RANK" in os.environ:  # started by torchrun
        return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]) == 1
    return config.distributed.process_id or 0, (config.distributed.num_processes or 1) == 1


@contextlib.contextmanager
def compilation(config: Any, console: Console) -> Iterator[None]:
    """Lets trials share compiled programs, if `config.share_compilation` is set."""
    if not config.share_compilation:
        yield
        return
    folder = pathlib.Path(config.experiment_dir).expanduser().absolute() / ".compilation_cache"
    settings = {
        "jax_compilation_cache_dir": str(folder),
        "jax_persistent_cache_min_entry_size_bytes": -1,
        "jax_persistent_cache_min_compile_time_secs": 0.0,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    if _place(config)[0] == 0:
        console.print(
            f"Trials share compiled programs through {folder}: their times are not comparable with others.",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    try:
        _use_cache(settings)
        yield
    finally:
        _use_cache(before)


def _use_cache(settings: dict[str, Any]) -> None:
    for name, value in settings.items():
        jax.config.update(name, value)
    # JAX decides at its first compilation whether and where it caches programs; this makes it decide again.
    compilation_cache.reset_cache()
