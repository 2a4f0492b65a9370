"""The console output of studies: a line before each trial and a table at the end."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from algoperf_jax.outputs.result import TrialResult
from algoperf_jax.outputs.summary import say, target_text, time_text
from algoperf_jax.tuning.study_result import StudyResult, TrialRecord


def print_trial_heading(console: Console, config: Any, *, number: int, of: int) -> None:
    """Prints the line before a trial of a study; `config` is that trial's configuration."""
    point = config.hyperparameters.to_dict()
    tried = [f"{name}={_short(value)}" for name, value in point.items()] or ["default hyperparameters"]
    say(
        console,
        f"study {config.study}, trial {config.trial} ({number} of {of}): {', '.join(tried)}, seed {config.seed}",
    )


def print_study(console: Console, study: StudyResult, *, overwrite: bool) -> None:
    """Prints the table at the end of studies, and the benchmark's time.

    Args:
      console: where to print.
      study: the results.
      overwrite: whether `config.overwrite` was set.
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
            say(console, f"study {record.study}, trial {record.trial} failed: {record.reason}")
    fastest = study.fastest()
    for number, seconds in fastest.items():
        say(console, f"study {number}: fastest time to the validation target: {time_text(seconds)}")
    if fastest:
        say(console, f"median of these times over the studies: {time_text(study.benchmark_time_sec())}")
    incomparable = sorted({name for result in results for name in result.not_comparable})
    if incomparable:
        say(console, f"not comparable: this run set {', '.join(incomparable)}")
    if study.interrupted:
        ended = sum(record.status != "interrupted" for record in study.trials)
        how = "the same command without --config.overwrite=True" if overwrite else "the same command"
        say(console, f"interrupted: {ended} of {study.num_planned} trials have ended; {how} resumes")


def _study_title(results: Sequence[TrialResult]) -> str:
    if not results:
        return "no trial has begun"
    first = results[0]
    target = f"validation {first.metric}, target {target_text(first.targets['validation'])}"
    return f"{first.workload} ({first.data} data) with {first.submission}: {target}"


def _study_row(record: TrialRecord, varied: Sequence[str]) -> list[str]:
    result = record.result
    best = None if result is None else result.best.get("validation")
    return [
        f"{record.study}",
        f"{record.trial}",
        record.status.replace("_", " "),
        time_text(record.time_to_target_sec),
        "" if best is None else f"{best:.4f}",
        "" if result is None else f"{result.steps}",
        "\n".join(f"{name} {_short(record.hyperparameters[name])}" for name in varied),
    ]


def _varied(points: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of the hyperparameters that differ between points; all names if none differ."""
    names = list(points[0]) if points else []
    return [name for name in names if any(point[name] != points[0][name] for point in points)] or names


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else f"{value}"
