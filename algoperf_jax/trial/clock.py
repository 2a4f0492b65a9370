"""The clock that a trial is measured with.

Time is kept in named buckets that partition it: at every moment exactly one bucket runs, so the buckets sum to the
wall time by construction. A switch first waits for the devices, so that work which was dispatched in a bucket is paid
in that bucket; between switches nothing waits, because asynchronous dispatch is part of what is measured.
"""

import dataclasses
import enum
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

_NANOSECONDS = 1_000_000_000


class Bucket(enum.StrEnum):
    """What a moment of a trial is booked to. The values are the names in logs and checkpoints."""

    SETUP = "setup"
    SUBMISSION = "submission"
    EVALUATION = "evaluation"
    LOGGING = "logging"
    OTHER = "other"


@dataclasses.dataclass(frozen=True)
class Clock:
    """A running clock. Immutable: `switch` returns the clock that runs on.

    Attributes:
      now: monotonic time in nanoseconds.
      wait_for: blocks until the devices have finished what the given outputs depend on and all else that is queued.
      bucket: the bucket that is running.
      since: the value of `now()` when it began to run.
      nanoseconds: what each bucket had accumulated by then.
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
        """Starts in `bucket`, all buckets empty."""
        readings: Mapping[str, int] = MappingProxyType(dict.fromkeys(Bucket, 0))
        return cls(now=now, wait_for=wait_for, bucket=bucket, since=now(), nanoseconds=readings)

    def waiting(self, wait_for: Callable[[Any], None]) -> "Clock":
        """The same clock, waiting for the devices from now on."""
        return dataclasses.replace(self, wait_for=wait_for)

    def continued(self, nanoseconds: Mapping[str, int]) -> "Clock":
        """The same clock on top of the readings of a run that was interrupted."""
        readings = {name: value + nanoseconds.get(name, 0) for name, value in self.nanoseconds.items()}
        return dataclasses.replace(self, nanoseconds=MappingProxyType(readings))

    def switch(self, bucket: Bucket, outputs: Any = None) -> "Clock":
        """Waits for `outputs`, books the time so far to the running bucket and goes on in `bucket`."""
        self.wait_for(outputs)
        return self.book(self.bucket).into(bucket)

    def book(self, bucket: Bucket) -> "Clock":
        """Books the time since the last booking to `bucket` without waiting for anything."""
        now = self.now()
        readings = {**self.nanoseconds, bucket: self.nanoseconds[bucket] + now - self.since}
        return dataclasses.replace(self, since=now, nanoseconds=MappingProxyType(readings))

    def into(self, bucket: Bucket) -> "Clock":
        """The same clock with `bucket` running from the last booking on."""
        return dataclasses.replace(self, bucket=bucket)

    def seconds(self, bucket: Bucket) -> float:
        """What `bucket` held at the last booking, in seconds."""
        return self.nanoseconds[bucket] / _NANOSECONDS

    def readings(self) -> dict[str, float]:
        """All buckets at the last booking, in seconds."""
        return {bucket.value: self.seconds(bucket) for bucket in Bucket}

    def trial_seconds(self) -> float:
        """Wall time of the trial at the last booking, set-up excluded, in seconds."""
        return sum(ns for name, ns in self.nanoseconds.items() if name != Bucket.SETUP) / _NANOSECONDS
