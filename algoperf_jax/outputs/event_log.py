"""Writes the files of a trial's log from its events.

`events.jsonl` holds every event. `measurements.csv` and `eval_measurements.csv` have the names and columns that the
benchmark's public scoring tools read.
"""

import csv
import io
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from algoperf_jax.outputs import event_records
from algoperf_jax.outputs.run_directory import RunDirectory, disk_error, write_text
from algoperf_jax.trial.clock import Bucket
from algoperf_jax.trial.events import Event
from algoperf_jax.trial.run_state import Evaluation


class CsvTable:
    """A CSV file whose rows may add columns: the first row's keys are sorted, later ones in order of appearance."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self._columns: list[str] = []
        self._rows: list[Mapping[str, Any]] = []

    def add(self, row: Mapping[str, Any]) -> bool:
        """Adds a row without writing it; returns whether it has new columns."""
        new = [key for key in (row if self._columns else sorted(row)) if key not in self._columns]
        self._columns += new
        self._rows.append(row)
        return bool(new)

    def write(self) -> None:
        """Writes the whole file; deletes it if the table has no rows."""
        if self._rows:
            write_text(self.path, self._lines([dict(zip(self._columns, self._columns, strict=True)), *self._rows]))
        else:
            self.path.unlink(missing_ok=True)

    def append(self, row: Mapping[str, Any]) -> None:
        """Adds a row to the file; missing values stay empty."""
        if self.add(row) or not self.path.exists():  # the file may have been deleted
            self.write()
        else:
            with self.path.open("a", newline="") as file:
                file.write(self._lines([row]))

    def _lines(self, rows: list[Mapping[str, Any]]) -> str:
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, self._columns, restval="", lineterminator="\n")
        writer.writerows(rows)
        return buffer.getvalue()


class EventTables:
    """The CSV tables of a log."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._measurements = CsvTable(folder / "measurements.csv")
        self._eval_measurements = CsvTable(folder / "eval_measurements.csv")

    @property
    def paths(self) -> tuple[pathlib.Path, ...]:
        """The files of the tables."""
        return self._measurements.path, self._eval_measurements.path

    def write(self, events: Sequence[Event]) -> None:
        """Replaces the files by the tables of these events; `append` continues them."""
        for event in events:
            for table, row in self._rows(event):
                table.add(row)
        self._measurements.write()
        self._eval_measurements.write()

    def append(self, event: Event) -> None:
        """Adds the rows of an event."""
        for table, row in self._rows(event):
            table.append(row)

    def _rows(self, event: Event) -> list[tuple[CsvTable, Mapping[str, Any]]]:
        row = {**event.values, "global_step": event.step}
        if event.kind == "train":
            return [(self._measurements, row)]
        if event.kind == "evaluation":
            return [(self._measurements, row), (self._eval_measurements, row)]
        if event.kind == "end":
            row = {"score": event.seconds.get(Bucket.SUBMISSION), "global_step": event.step}
            return [(self._measurements, {**row, "preemption_count": event.values.get("preemption_count")})]
        return []


class EventLog:
    """Writes a trial's events; a sink. Each event is in `events.jsonl` and the tables when `__call__` returns.

    Opens the log after its first `keep` events: what came after the checkpoint will happen again. From a damaged log,
    it keeps the events that can be read, and the evaluations, which are in the checkpoint too.

    Args:
      folder: the trial's directory.
      keep: number of existing events to keep.
      history: the evaluations among them.
      report: receives one line about what is lost.

    Raises:
      RunError: the disk cannot be written.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        *,
        keep: int = 0,
        history: Sequence[Evaluation] = (),
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._folder = folder
        self._events_file = RunDirectory(folder).events
        self._tables = EventTables(folder)
        self._number = keep
        try:
            found = event_records.read(self._events_file)
            if not keep and any(event.kind == "evaluation" for event in found.values()):
                self._rename_log(report)
            kept = event_records.restored(found, keep, history)
            if kept.evaluations or kept.lost:
                report(
                    f"{self._events_file} is damaged: {kept.lost} of {keep} events are lost; "
                    f"{kept.evaluations} evaluations were restored from the checkpoint"
                )
            self._kept = tuple(kept.events.values())
            write_text(self._events_file, "".join(event_records.to_line(*pair) for pair in kept.events.items()))
            self._tables.write(self._kept)
        except OSError as error:
            raise disk_error(self._folder, error) from error

    @property
    def kept(self) -> tuple[Event, ...]:
        """The events kept from earlier processes."""
        return self._kept

    def __call__(self, event: Event) -> None:
        """Appends an event.

        Raises:
          RunError: the disk cannot be written.
        """
        try:
            with self._events_file.open("a") as file:
                file.write(event_records.to_line(self._number, event))
            self._number += 1
            self._tables.append(event)
        except OSError as error:
            raise disk_error(self._folder, error) from error

    def _rename_log(self, report: Callable[[str], None]) -> None:
        """Renames the log of a trial whose checkpoints are gone."""
        taken = len(list(self._folder.glob("events_before_*.jsonl")))
        renamed = self._folder / f"events_before_{taken}.jsonl"
        self._events_file.replace(renamed)
        report(f"{self._folder} has no checkpoint to resume from; its earlier log is now in {renamed.name}")
