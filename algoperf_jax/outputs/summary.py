"""The summary table of a trial, and the plot of its learning curve."""

import math
import pathlib
import shlex
from collections.abc import Sequence

from ml_collections import ConfigDict
from rich.console import Console
from rich.table import Table
from rich.text import Text

from algoperf_jax.outputs.result import TrialResult
from algoperf_jax.outputs.run_directory import disk_error
from algoperf_jax.trial.run_state import Evaluation
from algoperf_jax.workload import Goal

_STATUS_WORDS = {
    "target_reached": "target reached",
    "budget_spent": "budget spent before the targets were reached",
    "training_complete": "training complete",
    "interrupted": "interrupted; the same command resumes",
    "failed": "failed",
}


def print_summary(console: Console, result: TrialResult) -> None:
    """Prints the table at the end of a run."""
    title = f"{result.workload} ({result.data} data) with {result.submission}"
    table = Table(title=Text(title, style="table.title"), show_header=False)
    table.add_column("")
    table.add_column("", overflow="fold")
    for name, value in _rows(result):
        table.add_row(name, Text(value))  # as plain text: brackets in a message are not markup
    console.print(table)
    # Outside the table, where lines are not wrapped.
    for name in ("learning_curve", "directory"):
        say(console, f"{name.replace('_', ' ')}: {getattr(result, name)}")


def print_next_steps(
    console: Console, config: ConfigDict, arguments: Sequence[str], *, interrupted: bool, processes: int
) -> None:
    """Prints what to do after a run, with the commands for it.

    Args:
      console: where to print.
      config: the run's configuration.
      arguments: the run's command line.
      interrupted: whether there is something to resume.
      processes: number of processes that share the run.
    """
    if interrupted and processes > 1:
        say(console, "to resume: start all processes again, without --config.overwrite=True")
        return
    if interrupted:
        without = ["--config.overwrite=False"] if config.overwrite else []  # the last of equal keys counts
        say(console, f"to resume: python -m algoperf_jax.main {shlex.join([*arguments, *without])}")
        return
    logs = pathlib.Path(config.experiment_dir).expanduser() / config.experiment_name
    builtin = "" if config.data_dir else " --builtin"
    ruleset = "" if config.ruleset == "external" else f" --ruleset={config.ruleset}"
    say(console, f"to score: python -m scoring --logs={shlex.quote(str(logs))}{builtin}{ruleset}")


def _rows(result: TrialResult) -> list[tuple[str, str]]:
    metric = result.metric
    rows = [("outcome", _STATUS_WORDS[result.status])]
    if result.reason:
        rows.append(("reason", result.reason))
    seconds = result.time_to_target_sec
    has_target = result.targets["validation"] is not None
    rows.append(
        ("time to validation target", time_text(seconds) if has_target else "this model has no published target")
    )
    rows.append(("steps", f"{result.steps}"))
    for split in ("validation", "test"):
        best, target = result.best.get(split), result.targets.get(split)
        if best is not None:
            rows.append((f"best on {split}", f"{metric} {best:.4f} (target {target_text(target)})"))
    seconds = result.seconds
    spent = f"{seconds['submission']:.1f} s of {result.budget_sec:.0f} s"
    rows.append(("submission time", spent))
    others = ("setup", "evaluation", "logging", "other")
    rows.append(("other time", ", ".join(f"{name} {seconds[name]:.1f} s" for name in others)))
    if result.steps_per_sec:
        rows.append(("steps per second", f"{result.steps_per_sec:.3g}"))
    rows.append(("compilation", f"{result.compile_count} programs, {result.compile_sec:.1f} s"))
    peaks = result.memory_peak_bytes
    rows.append(("memory peak", ", ".join(f"{name} {count / 2**30:.2f} GiB" for name, count in peaks.items())))
    if result.not_comparable:
        rows.append(("not comparable", f"this run set {', '.join(result.not_comparable)}"))
    return rows


def print_finished(console: Console, result: TrialResult) -> None:
    """Prints the line about a study's trial that is already finished."""
    seconds, status = result.time_to_target_sec, _STATUS_WORDS[result.status]
    say(console, f"already finished: {status}, time to validation target {time_text(seconds)}, {result.steps} steps")


def target_text(value: float | None) -> str:
    """Formats a target; None means that the model has none."""
    return "none" if value is None else f"{value:g}"


def time_text(seconds: float | None) -> str:
    """Formats a time to target; None and infinity mean that it was not reached."""
    return "not reached" if seconds is None or math.isinf(seconds) else f"{seconds:.1f} s"


def say(console: Console, text: str) -> None:
    """Prints a line without markup or wrapping."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def draw_learning_curve(path: pathlib.Path, history: Sequence[Evaluation], goal: Goal, *, title: str) -> None:
    """Plots the target metric over submission time, one line per split, and the validation target.

    Raises:
      RunError: the disk cannot be written.
    """
    # Imported here because it takes half a second, which would delay the start of a run.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    seconds = [evaluation.results["score"] for evaluation in history]
    for split in ("train", "validation", "test"):
        key = f"{split}/{goal.metric}"
        if history and key in history[0].results:
            values = [evaluation.results[key] for evaluation in history]
            axes.plot(seconds, values, marker="o", markersize=3, label=split)
    if goal.validation is not None:
        axes.axhline(goal.validation, linestyle="--", linewidth=1, color="grey", label="validation target")
    axes.set_xlabel("submission time, seconds")
    axes.set_ylabel(goal.metric.replace("_", " "))
    axes.set_title(title, fontsize=10)
    axes.legend()
    axes.grid(alpha=0.3)
    try:
        figure.savefig(path, dpi=120)
    except OSError as error:
        raise disk_error(path, error) from error
