"""Hands the events of a trial to those who want them."""

import dataclasses
from collections.abc import Sequence

from algoperf_jax.outputs.progress import Progress
from algoperf_jax.outputs.scalar_log import ScalarLog
from algoperf_jax.trial.clock import Clock
from algoperf_jax.trial.events import Event, EventSink


class Recorder:
    """Takes events and hands them to its sinks, after the scalars that the submission logged before them."""

    def __init__(
        self,
        sinks: Sequence[EventSink],
        progress: Progress,
        scalars: ScalarLog,
        *,
        count: int = 0,
        preemption_count: int = 0,
    ) -> None:
        """Starts after the events that a resumed trial kept.

        Args:
          sinks: take every event, in this order: log files, TensorBoard. Add yours here.
          progress: takes every event after them, and is shown as the steps go by.
          scalars: what the submission logs.
          count: number of events that the log holds already.
          preemption_count: how many processes have worked on this trial before; noted with each evaluation
            and with the end.
        """
        self._sinks = (*sinks, progress)
        self._progress = progress
        self._scalars = scalars
        self._count = count
        self._preemption_count = preemption_count

    @property
    def count(self) -> int:
        """Number of events so far, those of earlier processes included."""
        return self._count

    def emit(self, event: Event) -> None:
        """Hands an event to all sinks."""
        self.flush()
        self._emit(event)

    def tick(self, step: int, clock: Clock) -> None:
        """Called after each step, on the submission's time: returns at once unless a progress line is due."""
        if self._progress.is_due():
            self.flush(only_ready=True)
            self._progress.show(step, clock)

    def flush(self, *, only_ready: bool = False) -> None:
        """Emits the scalars that wait; see `ScalarLog.take`."""
        for event in self._scalars.take(only_ready=only_ready):
            self._emit(event)

    def _emit(self, event: Event) -> None:
        if event.kind in ("evaluation", "end"):
            values = {**event.values, "preemption_count": self._preemption_count}
            event = dataclasses.replace(event, values=values)
        for sink in self._sinks:
            sink(event)
        self._count += 1
