"""Reads the evaluations of one trial, `eval_measurements.csv`, and repairs what can be repaired."""

import dataclasses
import math
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from scoring.csv_records import Records, read_records
from scoring.errors import ScoringError

TIME, STEP = "score", "global_step"
# Optional columns: name in `LogTable` -> name in the file.
_OPTIONAL = {
    "total_duration_sec": "total_duration",
    "evaluation_time_sec": "accumulated_eval_time",
    "logging_time_sec": "accumulated_logging_time",
    "energy_joules": "accumulated_energy_joules",
}
# The same writer logs this next to `score`; the two are equal in all published logs.
_TIME_ELSEWHERE = "accumulated_submission_time"


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something left out, repaired or noted.

    Attributes:
      kind: "left out", "repaired" or "noted".
      path: file or directory, relative to the folder of logs.
      row: line of the file (the header is line 1), or None.
      reason: why, in a few words.
    """

    kind: str
    path: str
    row: int | None
    reason: str


@dataclasses.dataclass(frozen=True)
class LogTable:
    """The evaluations of one trial, as arrays of equal length.

    Attributes:
      row: number of the evaluation in the file, from 0; rows that were left out leave gaps.
      global_step: steps done.
      submission_time_sec: time on the submission's clock, seconds.
      total_duration_sec: wall time, seconds; this and the next three are NaN where they are not logged.
      evaluation_time_sec: time spent on evaluations, seconds.
      logging_time_sec: time spent on logs and checkpoints, seconds.
      energy_joules: energy used since the start.
      validation: the target metric on the validation split; NaN where blank or infinite.
      test: the target metric on the test split; NaN where blank, infinite or not logged.
    """

    row: np.ndarray
    global_step: np.ndarray
    submission_time_sec: np.ndarray
    total_duration_sec: np.ndarray
    evaluation_time_sec: np.ndarray
    logging_time_sec: np.ndarray
    energy_joules: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def _column_names(header: list[str], metric: str, shown: str) -> tuple[dict[str, str], list[str]]:
    """Maps fields of `LogTable` to columns of the file; also returns notes about the header."""
    notes = [f"column {name!r} occurs twice: the first is read" for name in {n for n in header if header.count(n) > 1}]
    time = TIME
    if TIME not in header and _TIME_ELSEWHERE in header:
        time = _TIME_ELSEWHERE
        notes.append(f"no column {TIME!r}: {time!r} is read")
    for name in (STEP, time, f"validation/{metric}"):
        if name not in header:
            raise ScoringError(f"{shown}, row 1: no column {name!r}; it has {', '.join(sorted(header))}")
    names = {"global_step": STEP, "submission_time_sec": time, **_OPTIONAL}
    names |= {"validation": f"validation/{metric}", "test": f"test/{metric}"}
    return {field: name for field, name in names.items() if name in header}, sorted(notes)


def _numbers(cells: list[str], header: list[str], places: Sequence[int]) -> list[float]:
    """The cells at `places`; NaN for blank ones.

    Raises:
      ValueError: the row is damaged; the message says how.
    """
    if "\0" in "".join(cells):
        raise ValueError("it contains NUL bytes")
    if len(cells) != len(header):
        raise ValueError(f"{len(cells)} cells; expected {len(header)}, as in the header")
    numbers = []
    for at in places:
        try:
            numbers.append(float(cells[at] or "nan"))
        except ValueError:
            raise ValueError(f"{header[at]} is {cells[at]!r}; expected a number") from None
    return numbers


def _read_rows(records: Records, columns: Mapping[str, str], shown: str) -> tuple[list[int], np.ndarray, list[Finding]]:
    """Row numbers and cells [rows, columns], without a damaged last row: there the writer was stopped."""
    findings, kept, values = [], [], []
    places = [records.header.index(name) for name in columns.values()]
    for number, cells in records.rows:
        try:
            values.append(_numbers(cells, records.header, places))
            kept.append(number)
        except ValueError as damage:
            if number != records.rows[-1][0]:
                raise ScoringError(
                    f"{shown}, row {number}: {damage}; restore the file, or move its trial out of the logs"
                ) from damage
            findings.append(Finding("repaired", shown, number, f"incomplete last row dropped: {damage}"))
    if not findings and not records.ends_with_line_end:
        reason = "no line end after the last row: kept, but its last cell may be cut"
        findings.append(Finding("noted", shown, kept[-1], reason))
    return kept, np.array(values).reshape(len(kept), len(columns)), findings


def _check_order(values: np.ndarray, lines: list[int], what: str, shown: str) -> None:
    if values[0] < 0:
        raise ScoringError(f"{shown}, row {lines[0]}: {what} is {values[0]:g}; expected 0 or more")
    backwards = np.flatnonzero(np.diff(values) < 0)
    if backwards.size:
        at = int(backwards[0]) + 1
        raise ScoringError(
            f"{shown}, row {lines[at]}: {what} goes backwards, from {values[at - 1]:g} to {values[at]:g}"
        )


def _without_infinities(
    values: np.ndarray, field: str, column: str, lines: list[int], shown: str
) -> tuple[np.ndarray, list[Finding]]:
    """The values with NaN for infinite ones, and the findings: only finite metrics reach a target."""
    consequence = "counts as not reached" if field == "validation" else "treated as unknown"
    unknown = np.isinf(values) if field not in ("validation", "test") else ~np.isfinite(values)
    findings = [
        Finding(
            "noted",
            shown,
            lines[at],
            f"{column} is {'blank' if np.isnan(values[at]) else f'{values[at]:g}'}: {consequence}",
        )
        for at in np.flatnonzero(unknown)
    ]
    return np.where(np.isinf(values), np.nan, values), findings


def read_table(path: pathlib.Path, metric: str, shown: str) -> tuple[LogTable | None, list[Finding]]:
    """Reads the evaluations of a trial.

    Repeated headers, empty lines, rows without time or step and a damaged last row are dropped. A blank or infinite
    metric is NaN and never counts as reached. The findings list every such repair.

    Args:
      path: the CSV file.
      metric: name of the target metric, without the split.
      shown: the file's name in errors and findings.

    Returns:
      The table, or None if the file has no evaluation, and the findings.

    Raises:
      ScoringError: the file is not CSV, lacks a required column, has a damaged row that is not the last, or has times
        or steps that are negative or decrease.
    """
    records = read_records(path, shown)
    if records is None:
        return None, [Finding("left out", shown, None, "the file is empty")]
    findings = [Finding("repaired", shown, number, reason) for number, reason in records.ignored]
    empty = Finding("left out", shown, None, "no evaluation in the file")
    if not records.rows:
        return None, [*findings, empty]
    columns, notes = _column_names(records.header, metric, shown)
    findings += [Finding("repaired", shown, records.header_row, note) for note in notes]
    rows, numbers, of_rows = _read_rows(records, columns, shown)
    findings += of_rows
    values = dict(zip(columns, numbers.T, strict=True))
    usable = np.isfinite(values["global_step"]) & np.isfinite(values["submission_time_sec"])
    for at in np.flatnonzero(~usable):
        findings.append(Finding("repaired", shown, rows[at], "row without time or step dropped"))
    lines_used = [number for number, good in zip(rows, usable, strict=True) if good]
    if not lines_used:
        return None, [*findings, empty]
    used = {}
    for field in (field.name for field in dataclasses.fields(LogTable) if field.name != "row"):
        used[field] = np.full(len(lines_used), math.nan)
        if field in columns:
            used[field], infinities = _without_infinities(
                values[field][usable], field, columns[field], lines_used, shown
            )
            findings += infinities
    _check_order(used["submission_time_sec"], lines_used, "submission time", shown)
    _check_order(used["global_step"], lines_used, STEP, shown)
    if len(lines_used) == 1:
        findings.append(Finding("noted", shown, None, "only one evaluation"))
    findings.sort(key=lambda finding: (finding.row is None, finding.row or 0))
    return LogTable(row=np.flatnonzero(usable), **used), findings
