"""Passes the events of a trial to its sinks."""

import dataclasses
from collections.abc import Sequence

from algoperf_jax.outputs.progress import Progress
from algoperf_jax.outputs.scalar_log import ScalarLog
from algoperf_jax.trial.clock import Clock
from algoperf_jax.trial.events import Event, EventSink


class Recorder:
    """Passes events to its sinks, each after the scalars that the submission logged before it.

    Args:
      sinks: receive every event, in this order: log files, TensorBoard. Add yours here.
      progress: receives every event after them, and is updated after each step.
      scalars: the scalars that the submission logs.
      count: number of events already in the log of a resumed trial.
      preemption_count: number of earlier processes that worked on this trial; added to each evaluation and the end.
    """

    def __init__(
        self,
        sinks: Sequence[EventSink],
        progress: Progress,
        scalars: ScalarLog,
        *,
        count: int = 0,
        preemption_count: int = 0,
    ) -> None:
        self._sinks = (*sinks, progress)
        self._progress = progress
        self._scalars = scalars
        self._count = count
        self._preemption_count = preemption_count

    @property
    def count(self) -> int:
        """Number of events so far, including those of earlier processes."""
        return self._count

    def emit(self, event: Event) -> None:
        """Passes an event to all sinks."""
        self.flush()
        self._emit(event)

    def tick(self, step: int, clock: Clock) -> None:
        """Called after each step, during submission time: returns at once unless a progress line is due."""
        if self._progress.is_due():
            self.flush(only_ready=True)
            self._progress.show(step, clock)

    def flush(self, *, only_ready: bool = False) -> None:
        """Emits the pending scalars; see `ScalarLog.take`."""
        for event in self._scalars.take(only_ready=only_ready):
            self._emit(event)

    def _emit(self, event: Event) -> None:
        if event.kind in ("evaluation", "end"):
            values = {**event.values, "preemption_count": self._preemption_count}
            event = dataclasses.replace(event, values=values)
        for sink in self._sinks:
            sink(event)
        self._count += 1
