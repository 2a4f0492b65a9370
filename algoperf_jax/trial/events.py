"""Events, from which all logs, tables, plots and progress lines are made."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal

EventKind = Literal["start", "resume", "train", "evaluation", "end", "lost"]


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that happened in a trial.

    Attributes:
      kind: `start` and `resume` begin a process's part of the trial, `train` carries scalars that the submission logs,
        `evaluation` the results of an evaluation, `end` the outcome. `lost` stands for events that a damaged log no
        longer has; its value `events` is their number.
      step: number of steps taken before the event.
      seconds: the clock's buckets at the last booking.
      values: name -> number; `start`, `resume` and `end` also have text, lists and objects.
    """

    kind: EventKind
    step: int
    seconds: Mapping[str, float]
    values: Mapping[str, Any]


EventSink = Callable[[Event], None]
"""Receives events; log files, progress lines and tests are sinks."""
