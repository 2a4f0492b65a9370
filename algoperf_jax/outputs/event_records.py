"""Reads and writes the lines of `events.jsonl`, and recovers the events of a damaged file.

Each line is an object with `number`, counted from 0, and the fields of `Event`. For lost events, a line of kind `lost`
says how many.
"""

import bisect
import dataclasses
import itertools
import json
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import get_args

from algoperf_jax.trial.events import Event, EventKind
from algoperf_jax.trial.run_state import Evaluation


@dataclasses.dataclass(frozen=True)
class Restored:
    """The first events of a log, as far as they can be recovered.

    Attributes:
      events: number -> event, in order; gaps are events of kind `lost`.
      evaluations: number of lost evaluations recovered from the history.
      lost: number of events lost for good, not counting those already recorded as lost.
    """

    events: Mapping[int, Event]
    evaluations: int
    lost: int


def to_line(number: int, event: Event) -> str:
    """The line of an event, including the newline."""
    record = {
        "number": number,
        "kind": event.kind,
        "step": event.step,
        "seconds": dict(event.seconds),
        "values": dict(event.values),
    }
    return json.dumps(record, default=str) + "\n"


def read(path: pathlib.Path) -> dict[int, Event]:
    """Number -> event of the intact lines; empty if there is no file.

    Raises:
      OSError: the file cannot be read.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return {}
    return dict(pair for index, line in enumerate(lines) if (pair := _parsed(index, line)) is not None)


def restored(found: Mapping[int, Event], count: int, history: Sequence[Evaluation]) -> Restored:
    """Recovers the first `count` events.

    Args:
      found: the events that could be read, by number.
      count: number of events that were written.
      history: the evaluations among them, from a checkpoint.
    """
    events = {number: found[number] for number in sorted(found) if number < count}
    known = {n for number, event in events.items() for n in range(number, number + _length(event))}
    missing = [number for number in range(count) if number not in known]
    if not missing:
        return Restored(events, 0, 0)
    evaluated = {event.step for event in events.values() if event.kind == "evaluation"}
    numbered, before = iter([*events.items(), None]), -1
    upcoming = next(numbered)
    evaluations = 0
    for evaluation in history:
        while upcoming is not None and upcoming[1].step < evaluation.step:
            before, upcoming = upcoming[0], next(numbered)
        if evaluation.step in evaluated or not missing:
            continue
        place = min(bisect.bisect_right(missing, before), len(missing) - 1)
        before = missing.pop(place)
        events[before] = Event("evaluation", evaluation.step, {}, dict(evaluation.results))
        evaluations += 1
    events |= _gaps(missing)
    return Restored(dict(sorted(events.items())), evaluations, len(missing))


def _gaps(missing: Iterable[int]) -> dict[int, Event]:
    """An event of kind `lost` for each run of missing numbers."""
    gaps = {}
    for _, run in itertools.groupby(enumerate(missing), lambda pair: pair[1] - pair[0]):
        numbers = [number for _, number in run]
        gaps[numbers[0]] = Event("lost", 0, {}, {"events": len(numbers)})
    return gaps


def _length(event: Event) -> int:
    """The number of events that an event stands for."""
    return event.values["events"] if event.kind == "lost" else 1


def _parsed(index: int, line: bytes) -> tuple[int, Event] | None:
    """The number and event of a line, or None if it is damaged."""
    try:
        record = json.loads(line)
        number = record.pop("number", index)  # logs of earlier revisions number events by line
        event = Event(**record)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
    is_whole = (
        isinstance(number, int)
        and event.kind in get_args(EventKind)
        and isinstance(event.step, int)
        and isinstance(event.seconds, dict)
        and isinstance(event.values, dict)
        and (event.kind != "lost" or isinstance(event.values.get("events"), int))
    )
    return (number, event) if is_whole else None
