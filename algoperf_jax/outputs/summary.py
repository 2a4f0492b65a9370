"""What trials and studies leave for people: summary tables and a picture of the learning curve."""

import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from algoperf_jax.outputs.run_directory import disk_error
from algoperf_jax.trial.run_state import Evaluation
from algoperf_jax.tuning.study_result import StudyResult, TrialRecord
from algoperf_jax.workload import Goal

_STATUS_WORDS = {
    "target_reached": "target reached",
    "budget_spent": "budget spent before the targets were reached",
    "training_complete": "training complete",
    "interrupted": "interrupted; the same command goes on",
    "failed": "failed",
}


def time_to_target(history: Sequence[Evaluation], goal: Goal) -> float | None:
    """Submission time of the first evaluation that met the validation target, seconds; None if none did."""
    for evaluation in history:
        if goal.reached(evaluation.results, "validation"):
            return evaluation.results["score"]
    return None


def print_summary(console: Console, result: Mapping[str, Any]) -> None:
    """The table at the end of a run; `result` is what `result.json` holds."""
    title = f"{result['workload']} ({result['data']} data) with {result['submission']}"
    table = Table(title=Text(title, style="table.title"), show_header=False)
    table.add_column("")
    table.add_column("", overflow="fold")
    for name, value in _rows(result):
        table.add_row(name, Text(value))  # as it is: brackets in a message are not markup
    console.print(table)
    # Outside the table, where nothing breaks them into pieces.
    for name in ("learning_curve", "directory"):
        _say(console, f"{name.replace('_', ' ')}: {result[name]}")


def _rows(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    metric = result["metric"]
    rows = [("outcome", _STATUS_WORDS[result["status"]])]
    if result["reason"]:
        rows.append(("reason", result["reason"]))
    seconds = result["time_to_target_sec"]
    rows.append(("time to validation target", _time(seconds)))
    rows.append(("steps", f"{result['steps']}"))
    for split in ("validation", "test"):
        best, target = result["best"].get(split), result["targets"].get(split)
        if best is not None:
            rows.append((f"best on {split}", f"{metric} {best:.4f} (target {target:g})"))
    seconds = result["seconds"]
    spent = f"{seconds['submission']:.1f} s of {result['budget_sec']:.0f} s"
    rows.append(("submission time", spent))
    others = ("setup", "evaluation", "logging", "other")
    rows.append(("beside it", ", ".join(f"{name} {seconds[name]:.1f} s" for name in others)))
    if result["steps_per_sec"]:
        rows.append(("steps per second", f"{result['steps_per_sec']:.3g}"))
    rows.append(("compilation", f"{result['compile_count']} programs, {result['compile_sec']:.1f} s"))
    peaks = result["memory_peak_bytes"]
    rows.append(("memory peak", ", ".join(f"{name} {count / 2**30:.2f} GiB" for name, count in peaks.items())))
    if result["not_comparable"]:
        rows.append(("not comparable", f"this run set {', '.join(result['not_comparable'])}"))
    return rows


def print_trial_heading(console: Console, config: Any, *, number: int, of: int) -> None:
    """The line before a trial of a study run; `config` is the trial's own."""
    point = config.hyperparameters.to_dict()
    tried = [f"{name}={_short(value)}" for name, value in point.items()] or ["default hyperparameters"]
    _say(
        console,
        f"study {config.study}, trial {config.trial} ({number} of {of}): {', '.join(tried)}, seed {config.seed}",
    )


def print_finished(console: Console, result: Mapping[str, Any]) -> None:
    """The line about a trial of a study that is finished already; `result` is what `result.json` holds."""
    seconds, status = result["time_to_target_sec"], _STATUS_WORDS[result["status"]]
    _say(console, f"finished already: {status}, time to validation target {_time(seconds)}, {result['steps']} steps")


def print_study(console: Console, study: StudyResult, *, overwrite: bool) -> None:
    """The table at the end of a study run, and the benchmark's time.

    Args:
      console: where to.
      study: what was found.
      overwrite: whether the run was to overwrite what it found on the disk.
    """
    results = [record.result for record in study.trials if record.result is not None]
    table = Table(title=Text(_study_title(results), style="table.title"))
    for name in ("study", "trial", "outcome", "time to target", "best", "steps", "hyperparameters"):
        table.add_column(name, overflow="fold", max_width=None if name == "hyperparameters" else 9)
    varied = _varied([record.hyperparameters for record in study.trials])
    for record in study.trials:
        table.add_row(*map(Text, _study_row(record, varied)))
    console.print(table)
    for record in study.trials:
        if record.status == "failed":
            _say(console, f"study {record.study}, trial {record.trial} failed: {record.reason}")
    fastest = study.fastest()
    for number, seconds in fastest.items():
        _say(console, f"study {number}: fastest time to the validation target: {_time(seconds)}")
    if fastest:
        _say(console, f"median over the studies of these times: {_time(study.benchmark_time_sec())}")
    incomparable = sorted({name for result in results for name in result["not_comparable"]})
    if incomparable:
        _say(console, f"not comparable: this run set {', '.join(incomparable)}")
    if study.interrupted:
        ended = sum(record.status != "interrupted" for record in study.trials)
        how = "the same command without --config.overwrite=True" if overwrite else "the same command"
        _say(console, f"interrupted: {ended} of {study.num_planned} trials have ended; {how} goes on")


def _study_title(results: Sequence[Mapping[str, Any]]) -> str:
    if not results:
        return "no trial began"
    first = results[0]
    target = f"validation {first['metric']}, target {first['targets']['validation']:g}"
    return f"{first['workload']} ({first['data']} data) with {first['submission']}: {target}"


def _study_row(record: TrialRecord, varied: Sequence[str]) -> list[str]:
    result = record.result or {}
    best = result.get("best", {}).get("validation")
    return [
        f"{record.study}",
        f"{record.trial}",
        record.status.replace("_", " "),
        _time(record.time_to_target_sec),
        "" if best is None else f"{best:.4f}",
        f"{result.get('steps', '')}",
        "\n".join(f"{name} {_short(record.hyperparameters[name])}" for name in varied),
    ]


def _varied(points: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of those hyperparameters that are not the same in all points; all names if there are none."""
    names = list(points[0]) if points else []
    return [name for name in names if any(point[name] != points[0][name] for point in points)] or names


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else f"{value}"


def _time(seconds: float | None) -> str:
    return "not reached" if seconds is None or math.isinf(seconds) else f"{seconds:.1f} s"


def _say(console: Console, text: str) -> None:
    """A line as it is, which nothing breaks into pieces."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def draw_learning_curve(path: pathlib.Path, history: Sequence[Evaluation], goal: Goal, *, title: str) -> None:
    """Draws the target metric over submission time, one line per split, and the validation target.

    Raises:
      RunError: the disk refuses.
    """
    # Imported here: it takes half a second that the start of a run need not pay.
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
