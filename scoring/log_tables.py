"""One table of evaluations: reading `eval_measurements.csv`, repairing what can be repaired."""

import csv
import dataclasses
import math
import pathlib

import numpy as np

from scoring.errors import ScoringError

TIME, STEP = "score", "global_step"
# Columns that need not be there: name in `LogTable` -> name in the file.
_OPTIONAL = {
    "total_duration_sec": "total_duration",
    "evaluation_time_sec": "accumulated_eval_time",
    "logging_time_sec": "accumulated_logging_time",
    "energy_joules": "accumulated_energy_joules",
}
# What the same writer logs beside `score`; equal in all published logs.
_TIME_ELSEWHERE = "accumulated_submission_time"


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something left out, repaired or noted.

    Attributes:
      kind: "left out", "repaired" or "noted".
      path: file or directory, relative to the folder of logs.
      row: line of the file, the header being 1, or None.
      reason: why, in a few words.
    """

    kind: str
    path: str
    row: int | None
    reason: str


@dataclasses.dataclass(frozen=True)
class LogTable:
    """The evaluations of one trial, arrays of equal length.

    Attributes:
      row: number of the evaluation in the file, from 0; rows that were left out leave gaps.
      global_step: steps done.
      submission_time_sec: time on the submission's clock, seconds.
      total_duration_sec: wall time, seconds; NaN where it is not logged, as are the next three.
      evaluation_time_sec: time spent on evaluations, seconds.
      logging_time_sec: time spent on logs and checkpoints, seconds.
      energy_joules: energy used since the start.
      validation: the target metric on the validation split; NaN where blank.
      test: the target metric on the test split; NaN where blank or not logged.
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


def _read_lines(path: pathlib.Path, shown: str) -> list[list[str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return list(csv.reader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ScoringError(f"{shown}: cannot be read as CSV ({error})") from error


def _column_names(header: list[str], metric: str, shown: str) -> tuple[dict[str, str], list[str]]:
    """Field of `LogTable` -> column of the file that it is read from, and notes about the header."""
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


def _numbers(cells: list[str], rows: list[int], name: str, shown: str) -> np.ndarray:
    try:
        return np.array([float(cell) if cell else math.nan for cell in cells])
    except ValueError:
        for cell, row in zip(cells, rows, strict=True):
            try:
                float(cell or "nan")
            except ValueError:
                raise ScoringError(f"{shown}, row {row}: {name} is {cell!r}; expected a number") from None
        raise


def _check_order(values: np.ndarray, lines: list[int], what: str, shown: str) -> None:
    backwards = np.flatnonzero(np.diff(values) < 0)
    if backwards.size:
        at = int(backwards[0]) + 1
        raise ScoringError(
            f"{shown}, row {lines[at]}: {what} goes backwards, from {values[at - 1]:g} to {values[at]:g}"
        )


def read_table(path: pathlib.Path, metric: str, shown: str) -> tuple[LogTable | None, list[Finding]]:
    """Reads the evaluations of a trial.

    Repeated headers, empty lines and rows without time or step are dropped; a blank metric stays as NaN and never
    counts as reached. Everything of the kind is in the findings.

    Args:
      path: the CSV file.
      metric: name of the target metric, without the split.
      shown: the file's name in errors and findings.

    Returns:
      The table, or None if the file has no evaluation, and the findings.

    Raises:
      ScoringError: not CSV, a needed column missing, a cell that is no number, times or steps that go backwards.
    """
    lines = _read_lines(path, shown)
    header = next((line for line in lines if line), None)
    if header is None:
        return None, [Finding("left out", shown, None, "the file is empty")]
    columns, notes = _column_names(header, metric, shown)
    findings = [Finding("repaired", shown, 1, note) for note in notes]
    start = lines.index(header) + 1
    kept, rows, row_numbers, evaluation = [], [], [], 0
    for number, line in enumerate(lines[start:], start + 1):
        if not line:
            findings.append(Finding("repaired", shown, number, "empty line dropped"))
        elif line == header:
            findings.append(Finding("repaired", shown, number, "repeated header dropped"))
        elif len(line) != len(header):
            raise ScoringError(f"{shown}, row {number}: {len(line)} cells; expected {len(header)}, as in the header")
        else:
            kept.append(line)
            rows.append(number)
            row_numbers.append(evaluation)
            evaluation += 1
    values = {
        field: _numbers([line[header.index(name)] for line in kept], rows, name, shown)
        for field, name in columns.items()
    }
    usable = np.isfinite(values["global_step"]) & np.isfinite(values["submission_time_sec"])
    for at in np.flatnonzero(~usable):
        findings.append(Finding("repaired", shown, rows[at], "row without time or step dropped"))
    lines_used = [row for row, good in zip(rows, usable, strict=True) if good]
    if not lines_used:
        return None, [*findings, Finding("left out", shown, None, "no evaluation in the file")]
    absent = np.full(len(lines_used), math.nan)
    fields = [field.name for field in dataclasses.fields(LogTable) if field.name != "row"]
    used = {field: values[field][usable] if field in values else absent for field in fields}
    _check_order(used["submission_time_sec"], lines_used, "submission time", shown)
    _check_order(used["global_step"], lines_used, STEP, shown)
    validation = used["validation"]
    for at in np.flatnonzero(np.isnan(validation)):
        findings.append(Finding("noted", shown, lines_used[at], f"validation/{metric} is blank: counts as not reached"))
    if len(lines_used) == 1:
        findings.append(Finding("noted", shown, None, "one evaluation only"))
    return LogTable(row=np.array(row_numbers)[usable], **used), findings
