"""Events: the one record that logs, tables, plots and progress lines are made from."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal

EventKind = Literal["start", "resume", "train", "evaluation", "end", "lost"]


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that happened in a trial.

    Attributes:
      kind: `start` and `resume` open a process's part of the trial, `train` carries scalars that the submission logs,
        `evaluation` the results of an evaluation, `end` the outcome. `lost` stands for as many events as its `events`
        say, which a damaged log no longer has.
      step: number of steps taken before it.
      seconds: the clock's buckets at the last booking.
      values: flat name -> number; `start`, `resume` and `end` have text, lists and objects too.
    """

    kind: EventKind
    step: int
    seconds: Mapping[str, float]
    values: Mapping[str, Any]


EventSink = Callable[[Event], None]
"""Takes an event; log files, progress lines and tests are sinks."""
