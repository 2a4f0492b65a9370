"""The files of a trial's log, all made from events.

`events.jsonl` holds every event. `measurements.csv` and `eval_measurements.csv` have the names and columns that the
benchmark's public scoring tools read, and TensorBoard gets the same scalars.
"""

import csv
import dataclasses
import io
import json
import numbers
import operator
import pathlib
from collections.abc import Mapping
from typing import Any

import jax

from algoperf_jax.errors import RunError, SubmissionError
from algoperf_jax.outputs.run_directory import RunDirectory, disk_error, write_text
from algoperf_jax.outputs.tensorboard import TensorBoardFile
from algoperf_jax.trial import clock as clocks
from algoperf_jax.trial.events import Event


class CsvTable:
    """A CSV file whose rows may bring new columns: the first row's keys sorted, later ones in order of appearance."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._columns: list[str] = []
        self._rows: list[Mapping[str, Any]] = []

    def clear(self) -> None:
        """Starts anew."""
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


class TrialLog:
    """Writes a trial's events; a sink. Each event is in `events.jsonl` and the tables when `__call__` returns."""

    def __init__(self, folder: pathlib.Path, *, preemption_count: int, tensorboard: bool) -> None:
        """Opens the log in `folder`, going on after what is there.

        Args:
          folder: the trial's directory.
          preemption_count: how many processes have worked on this trial before.
          tensorboard: whether to write TensorBoard event files.
        """
        self._folder = folder
        self._preemption_count = preemption_count
        self._events_file = RunDirectory(folder).events
        self._measurements = CsvTable(folder / "measurements.csv")
        self._eval_measurements = CsvTable(folder / "eval_measurements.csv")
        self._tensorboard_wanted = tensorboard
        self._tensorboard: TensorBoardFile | None = None
        self._count = 0

    @property
    def count(self) -> int:
        """Number of events in the log; `rewind` takes it."""
        return self._count

    def rewind(self, count: int) -> list[Event]:
        """Drops all but the first `count` events: what came after the checkpoint happens again.

        Returns:
          The events that remain.

        Raises:
          RunError: the log is damaged, or the disk refuses.
        """
        try:
            lines = self._events_file.read_text().splitlines()[:count] if count and self._events_file.exists() else []
            events = [self._parsed(number, line) for number, line in enumerate(lines, 1)]
            write_text(self._events_file, "".join(f"{line}\n" for line in lines))
            self._measurements.clear()
            self._eval_measurements.clear()
            for event in events:
                self._append_rows(event)
        except OSError as error:
            raise disk_error(self._folder, error) from error
        self._count = len(lines)
        return events

    def __call__(self, event: Event) -> None:
        """Appends an event.

        Raises:
          RunError: the disk refuses.
        """
        if event.kind == "evaluation":
            values = {**event.values, "preemption_count": self._preemption_count}
            event = dataclasses.replace(event, values=values)
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
            self._append_scalars(event)
        except OSError as error:
            raise disk_error(self._folder, error) from error
        self._count += 1

    def close(self) -> None:
        """Closes TensorBoard's file.

        Raises:
          RunError: the disk refuses.
        """
        try:
            if self._tensorboard is not None:
                self._tensorboard.close()
        except OSError as error:
            raise disk_error(self._folder, error) from error

    def _parsed(self, number: int, line: str) -> Event:
        try:
            return Event(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise RunError(
                f"{self._events_file} is damaged in line {number} ({error})",
                remedy="Start afresh with --config.overwrite=True, or under another --config.experiment_name.",
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
                    "score": event.seconds[clocks.SUBMISSION],
                    "global_step": event.step,
                    "preemption_count": self._preemption_count,
                }
            )

    def _append_scalars(self, event: Event) -> None:
        if not self._tensorboard_wanted or event.kind not in ("train", "evaluation"):
            return
        if self._tensorboard is None:
            # Events of steps from here on that an interrupted process wrote are hidden.
            number = self._preemption_count
            purge = event.step if number else None
            self._tensorboard = TensorBoardFile(self._folder / "tensorboard", number=number, purge_step=purge)
        self._tensorboard.append(event.values, event.step)
        if event.kind == "evaluation":  # `train` events come on the submission's time
            self._tensorboard.flush()


class ScalarLog:
    """What submissions see as `workload.metrics_logger`.

    Logging does not wait for the devices: arrays are kept and read when they are ready, at the latest at the next
    `flush`.
    """

    def __init__(self, sink: Any) -> None:
        """`sink` takes the `train` events."""
        self._sink = sink
        self._waiting: list[tuple[int, dict[str, Any]]] = []

    def append_scalar_metrics(self, metrics: Mapping[str, Any], global_step: int) -> None:
        """Logs name -> number or 0-d array; an array that is donated before it is read is left out.

        Raises:
          SubmissionError: something else is given.
        """
        for name, value in metrics.items():
            if not isinstance(value, numbers.Number) and getattr(value, "shape", None) != ():
                raise SubmissionError(
                    f"metrics_logger.append_scalar_metrics: {name}", value=value, expected="a number or 0-d array"
                )
        self._waiting.append((operator.index(global_step), dict(metrics)))

    def flush(self, *, only_ready: bool = False) -> None:
        """Emits what was logged: everything, waiting where it must, or only what the devices have ready."""
        while self._waiting:
            step, metrics = self._waiting[0]
            if only_ready and not all(_is_ready(value) for value in metrics.values()):
                return
            self._waiting.pop(0)
            values = {name: float(value) for name, value in metrics.items() if not _is_donated(value)}
            self._sink(Event("train", step, {}, values))


def _is_ready(value: Any) -> bool:
    return _is_donated(value) or not hasattr(value, "is_ready") or value.is_ready()


def _is_donated(value: Any) -> bool:
    return isinstance(value, jax.Array) and value.is_deleted()
