"""Events: the one record that logs, tables, plots and progress lines are made from."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal

EventKind = Literal["start", "resume", "train", "evaluation", "end"]


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that happened in a trial.

    Attributes:
      kind: `start` and `resume` open a process's part of the trial, `train` carries scalars that the submission logs,
        `evaluation` the results of an evaluation, `end` the outcome.
      step: number of steps taken before it.
      seconds: the clock's buckets at the last booking.
      values: flat name -> number (or short text in `start`, `resume` and `end`).
    """

    kind: EventKind
    step: int
    seconds: Mapping[str, float]
    values: Mapping[str, Any]


EventSink = Callable[[Event], None]
"""Takes an event; log files, progress lines and tests are sinks."""
