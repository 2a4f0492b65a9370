"""Reports of dry runs: a table, lines about what failed and what is slow, and JSON."""

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table

from algoperf_jax.dry_run.attempt import Attempt
from algoperf_jax.quantities import BYTES, SECONDS, shown

FORMAT = "algoperf_jax.dry_run 1"
_ABSENT = "-"
_HEADINGS = ("first step (compiling)", "second step", "recompiled", "host reads", "memory peak", "loss", "evaluation")
_CAPTION = (
    "First step: including initialization; the compile time in brackets. Recompiled: programs compiled in later steps. "
    "Host reads: how often the submission reads an array on the host in step 2, which waits for the devices. "
    "Evaluation: validation split only, including compilation and prepare_for_eval."
)


@dataclasses.dataclass(frozen=True)
class Report:
    """A dry run.

    Attributes:
      submission: the submission as named in the command.
      steps: steps per workload.
      date: time of the run, ISO 8601 with time zone.
      versions: library -> version.
      attempts: the outcomes, one per workload.
    """

    submission: str
    steps: int
    date: str
    versions: Mapping[str, str]
    attempts: Sequence[Attempt]


def table(report: Report) -> Table:
    """One row per workload."""
    frameworks = sorted({found.framework for found in report.attempts if found.framework})
    title = f"{report.submission} ({', '.join(frameworks) or 'not run'}), {report.steps} steps on built-in data"
    made = Table(title=title, caption=_CAPTION, caption_justify="left")
    made.add_column("workload", no_wrap=True)
    made.add_column("")
    headings = (
        "first step (compiling)",
        "second step",
        "recompiled",
        "host reads",
        "memory peak",
        "loss",
        "evaluation",
    )
    for heading in headings:
        made.add_column(heading, justify="right")
    for found in report.attempts:
        made.add_row(
            found.workload,
            "failed" if found.failure else "ok",
            _first_step(found),
            shown(found.steps[1].seconds, SECONDS) if len(found.steps) > 1 else _ABSENT,
            str(sum(sum(programs.values()) for programs in _recompiled(found).values())) if found.steps else _ABSENT,
            _host_reads(found),
            _memory(found.memory_peak_bytes) or _ABSENT,
            {True: "finite", False: "not finite", None: _ABSENT}[found.loss_is_finite],
            _ABSENT if found.evaluation_sec is None else shown(found.evaluation_sec, SECONDS),
        )
    return made


def lines(report: Report) -> Iterator[str]:
    """One line for each failure and each cause of slowness."""
    for found in report.attempts:
        if found.failure:
            yield f"{found.workload} failed: {found.failure}"
    for found in report.attempts:
        again = [f"{_named(programs)} in step {number}" for number, programs in _recompiled(found).items()]
        if again:
            yield f"{found.workload} compiles after its first step: {'; '.join(again)}"
        reads = found.steps[1].host_reads if len(found.steps) > 1 else None
        if reads:
            yield f"{found.workload} reads arrays on the host in step 2: {_named(reads)}"


def to_json(report: Report) -> str:
    """Writes the report as JSON text; numbers that are not finite are written as text."""
    return json.dumps({"format": FORMAT, **_plain(dataclasses.asdict(report))}, indent=2, allow_nan=False) + "\n"


def _first_step(found: Attempt) -> str:
    if found.initialization_sec is None or found.initialization_compile_sec is None or not found.steps:
        return _ABSENT
    first = found.steps[0]
    seconds = shown(found.initialization_sec + first.seconds, SECONDS)
    return f"{seconds} ({shown(found.initialization_compile_sec + first.compile_sec, SECONDS)})"


def _host_reads(found: Attempt) -> str:
    if len(found.steps) < 2:
        return _ABSENT
    reads = found.steps[1].host_reads
    return "not counted" if reads is None else str(sum(reads.values()))


def _memory(peaks: Mapping[str, int]) -> str:
    if set(peaks) == {"host"}:
        return shown(peaks["host"], BYTES)
    return "\n".join(f"{place} {shown(size, BYTES)}" for place, size in peaks.items())


def _recompiled(found: Attempt) -> dict[int, Mapping[str, int]]:
    """Number of a step, counted from 1, without the first -> programs compiled in it."""
    return {number: step.programs for number, step in enumerate(found.steps, 1) if number > 1 and step.programs}


def _named(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({count} times)" if count > 1 else name for name, count in counts.items())


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
