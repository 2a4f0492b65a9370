"""The files of a trial's log, all made from events.

`events.jsonl` holds every event. `measurements.csv` and `eval_measurements.csv` have the names and columns that the
benchmark's public scoring tools read.
"""

import csv
import io
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from algoperf_jax.errors import RunError
from algoperf_jax.outputs.run_directory import RunDirectory, disk_error, write_text
from algoperf_jax.trial.clock import Bucket
from algoperf_jax.trial.events import Event


class CsvTable:
    """A CSV file whose rows may bring new columns: the first row's keys sorted, later ones in order of appearance."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._columns: list[str] = []
        self._rows: list[Mapping[str, Any]] = []

    def clear(self) -> None:
        """Starts again without rows."""
        self._columns, self._rows = [], []
        self._path.unlink(missing_ok=True)

    def append(self, row: Mapping[str, Any]) -> None:
        """Adds a row; missing values stay empty."""
        new = [key for key in (row if self._columns else sorted(row)) if key not in self._columns]
        self._columns += new
        self._rows.append(row)
        if new:
            write_text(self._path, self._lines([dict(zip(self._columns, self._columns, strict=True)), *self._rows]))
        else:
            with self._path.open("a", newline="") as file:
                file.write(self._lines([row]))

    def _lines(self, rows: list[Mapping[str, Any]]) -> str:
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, self._columns, restval="", lineterminator="\n")
        writer.writerows(rows)
        return buffer.getvalue()


class EventLog:
    """Writes a trial's events; a sink. Each event is in `events.jsonl` and the tables when `__call__` returns."""

    def __init__(self, folder: pathlib.Path, *, keep: int = 0, preemption_count: int = 0) -> None:
        """Opens the log in `folder` after its first `keep` events; what came after the checkpoint happens again.

        Args:
          folder: the trial's directory.
          keep: how many events of those that are there remain.
          preemption_count: how many processes have worked on this trial before.

        Raises:
          RunError: the log is damaged, or the disk refuses.
        """
        self._folder = folder
        self._preemption_count = preemption_count
        self._events_file = RunDirectory(folder).events
        self._measurements = CsvTable(folder / "measurements.csv")
        self._eval_measurements = CsvTable(folder / "eval_measurements.csv")
        try:
            lines = self._events_file.read_text().splitlines()[:keep] if keep and self._events_file.exists() else []
            self._kept = tuple(self._parsed(number, line) for number, line in enumerate(lines, 1))
            write_text(self._events_file, "".join(f"{line}\n" for line in lines))
            self._measurements.clear()
            self._eval_measurements.clear()
            for event in self._kept:
                self._append_rows(event)
        except OSError as error:
            raise disk_error(self._folder, error) from error

    @property
    def kept(self) -> tuple[Event, ...]:
        """The events that earlier processes wrote and that remain."""
        return self._kept

    def __call__(self, event: Event) -> None:
        """Appends an event.

        Raises:
          RunError: the disk refuses.
        """
        record = {
            "kind": event.kind,
            "step": event.step,
            "seconds": dict(event.seconds),
            "values": dict(event.values),
        }
        try:
            with self._events_file.open("a") as file:
                file.write(json.dumps(record, default=str) + "\n")
            self._append_rows(event)
        except OSError as error:
            raise disk_error(self._folder, error) from error

    def _parsed(self, number: int, line: str) -> Event:
        try:
            return Event(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise RunError(
                f"{self._events_file} is damaged in line {number} ({error})",
                remedy="Start again with --config.overwrite=True, or under another --config.experiment_name.",
            ) from error

    def _append_rows(self, event: Event) -> None:
        if event.kind == "train":
            self._measurements.append({**event.values, "global_step": event.step})
        elif event.kind == "evaluation":
            row = {**event.values, "global_step": event.step}
            self._measurements.append(row)
            self._eval_measurements.append(row)
        elif event.kind == "end":
            self._measurements.append(
                {
                    "score": event.seconds[Bucket.SUBMISSION],
                    "global_step": event.step,
                    "preemption_count": self._preemption_count,
                }
            )
