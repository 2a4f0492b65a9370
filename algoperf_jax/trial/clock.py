"""The clock that measures a trial.

Time is divided into named buckets: at every moment exactly one bucket runs, so the buckets sum to the wall time by
construction. A switch first waits for the devices, so that work dispatched in a bucket counts in that bucket; between
switches nothing waits, because asynchronous dispatch is part of what is measured.
"""

import dataclasses
import enum
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

_NANOSECONDS = 1_000_000_000


class Bucket(enum.StrEnum):
    """The categories of a trial's time. The values are the names in logs and checkpoints."""

    SETUP = "setup"
    SUBMISSION = "submission"
    EVALUATION = "evaluation"
    LOGGING = "logging"
    OTHER = "other"


@dataclasses.dataclass(frozen=True)
class Clock:
    """A running clock. Immutable: `switch` returns the clock that continues.

    Attributes:
      now: monotonic time in nanoseconds.
      wait_for: waits until the devices have computed the given outputs and all other queued work.
      bucket: the running bucket.
      since: the value of `now()` when it started.
      nanoseconds: the time accumulated in each bucket by then.
    """

    now: Callable[[], int]
    wait_for: Callable[[Any], None]
    bucket: Bucket
    since: int
    nanoseconds: Mapping[str, int]

    @classmethod
    def start(
        cls,
        bucket: Bucket,
        *,
        now: Callable[[], int] = time.monotonic_ns,
        wait_for: Callable[[Any], None] = lambda outputs: None,
    ) -> "Clock":
        """Starts a clock in `bucket`, with all buckets empty."""
        readings: Mapping[str, int] = MappingProxyType(dict.fromkeys(Bucket, 0))
        return cls(now=now, wait_for=wait_for, bucket=bucket, since=now(), nanoseconds=readings)

    def waiting(self, wait_for: Callable[[Any], None]) -> "Clock":
        """The same clock, which waits for the devices from now on."""
        return dataclasses.replace(self, wait_for=wait_for)

    def continued(self, nanoseconds: Mapping[str, int]) -> "Clock":
        """The same clock, added to the readings of an interrupted run."""
        readings = {name: value + nanoseconds.get(name, 0) for name, value in self.nanoseconds.items()}
        return dataclasses.replace(self, nanoseconds=MappingProxyType(readings))

    def switch(self, bucket: Bucket, outputs: Any = None) -> "Clock":
        """Waits for `outputs`, books the elapsed time to the running bucket and continues in `bucket`."""
        self.wait_for(outputs)
        return self.book(self.bucket).into(bucket)

    def book(self, bucket: Bucket) -> "Clock":
        """Books the time since the last booking to `bucket` without waiting for anything."""
        now = self.now()
        readings = {**self.nanoseconds, bucket: self.nanoseconds[bucket] + now - self.since}
        return dataclasses.replace(self, since=now, nanoseconds=MappingProxyType(readings))

    def into(self, bucket: Bucket) -> "Clock":
        """The same clock with `bucket` running since the last booking."""
        return dataclasses.replace(self, bucket=bucket)

    def seconds(self, bucket: Bucket) -> float:
        """The time in `bucket` at the last booking, in seconds."""
        return self.nanoseconds[bucket] / _NANOSECONDS

    def readings(self) -> dict[str, float]:
        """All buckets at the last booking, in seconds."""
        return {bucket.value: self.seconds(bucket) for bucket in Bucket}

    def trial_seconds(self) -> float:
        """Wall time of the trial at the last booking, excluding setup, in seconds."""
        return sum(ns for name, ns in self.nanoseconds.items() if name != Bucket.SETUP) / _NANOSECONDS
