"""The files of a trial's log, all made from events.

`events.jsonl` holds every event. `measurements.csv` and `eval_measurements.csv` have the names and columns that the
benchmark's public scoring tools read, and TensorBoard gets the same scalars.
"""

import csv
import dataclasses
import io
import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

from tensorboardX import SummaryWriter

from algoperf_jax import clock as clocks
from algoperf_jax.events import Event
from algoperf_jax.run_directory import disk_error, write_text


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
    """Writes a trial's events; a sink. Each event is on disk when `__call__` returns."""

    def __init__(self, folder: pathlib.Path, *, preemption_count: int, tensorboard: bool) -> None:
        """Opens the log in `folder`, going on after what is there.

        Args:
          folder: the trial's directory.
          preemption_count: how many processes have worked on this trial before.
          tensorboard: whether to write TensorBoard event files.
        """
        self._folder = folder
        self._preemption_count = preemption_count
        self._events_file = folder / "events.jsonl"
        self._measurements = CsvTable(folder / "measurements.csv")
        self._eval_measurements = CsvTable(folder / "eval_measurements.csv")
        self._tensorboard_wanted = tensorboard
        self._tensorboard: SummaryWriter | None = None
        self._count = 0

    @property
    def count(self) -> int:
        """Number of events in the log; `rewind` takes it."""
        return self._count

    def rewind(self, count: int) -> list[Event]:
        """Drops all but the first `count` events: what came after the checkpoint happens again.

        Returns:
          The events that remain.
        """
        try:
            lines = self._events_file.read_text().splitlines()[:count] if count else []
            write_text(self._events_file, "".join(f"{line}\n" for line in lines))
            self._measurements.clear()
            self._eval_measurements.clear()
            events = [Event(**json.loads(line)) for line in lines]
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
        """Flushes TensorBoard's file."""
        if self._tensorboard is not None:
            self._tensorboard.close()

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
            purge = event.step if self._preemption_count else None
            self._tensorboard = SummaryWriter(str(self._folder / "tensorboard"), purge_step=purge)
        for name, value in event.values.items():
            if isinstance(value, int | float) and math.isfinite(value):
                self._tensorboard.add_scalar(name, value, event.step)
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
        """Logs name -> number or 0-d array."""
        self._waiting.append((global_step, dict(metrics)))
        self._emit(only_ready=True)

    def flush(self) -> None:
        """Emits everything, waiting where it must."""
        self._emit(only_ready=False)

    def _emit(self, *, only_ready: bool) -> None:
        while self._waiting:
            step, metrics = self._waiting[0]
            if only_ready and not all(_is_ready(value) for value in metrics.values()):
                return
            self._waiting.pop(0)
            self._sink(Event("train", step, {}, {name: float(value) for name, value in metrics.items()}))


def _is_ready(value: Any) -> bool:
    return value.is_ready() if hasattr(value, "is_ready") else True
