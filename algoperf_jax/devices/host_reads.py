"""Counts the moments at which a submission reads an array on the host, where it waits for the devices."""

import collections
import contextlib
import dataclasses
import functools
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

_ABSENT: Any = object()


@dataclasses.dataclass(frozen=True)
class Reader:
    """A function that may bring an array's values to the host.

    Attributes:
      owner: the class or module in which it is found.
      name: its name there.
      is_read: `(name of the calling module, *arguments) -> bool`, whether this call is one that counts.
    """

    owner: Any
    name: str
    is_read: Callable[..., bool]


@dataclasses.dataclass
class HostReads:
    """What was counted.

    Attributes:
      places: `file:line` outside of libraries -> number of reads; None where they cannot be counted.
    """

    places: collections.Counter[str] | None = dataclasses.field(default_factory=collections.Counter)


CountHostReads = Callable[[], contextlib.AbstractContextManager[HostReads]]
"""Makes a context in which the reads of a framework's arrays by this thread are counted."""


@contextlib.contextmanager
def counted(readers: Sequence[Reader]) -> Iterator[HostReads]:
    """Counts the calls of `readers`, which are replaced meanwhile.

    Replacing them costs the submission nothing but the count itself, and compilers of either framework do not see it;
    a mode that intercepts every operation would do neither.
    """
    reads = HostReads()
    before: list[tuple[Reader, Any]] = []
    try:
        try:
            counting = _Counting(reads)
            for reader in readers:
                original = getattr(reader.owner, reader.name, None)
                if original is not None:
                    own = vars(reader.owner).get(reader.name, _ABSENT)
                    setattr(reader.owner, reader.name, counting.instead_of(reader, original))
                    before.append((reader, own))
        except (AttributeError, TypeError):  # a class that lets nobody change it
            reads.places = None
        yield reads
    finally:
        for reader, own in before:
            if own is _ABSENT:
                delattr(reader.owner, reader.name)
            else:
                setattr(reader.owner, reader.name, own)


class _Counting:
    def __init__(self, reads: HostReads) -> None:
        self._reads = reads
        self._thread = threading.get_ident()  # batches are made in others meanwhile
        self._inside = False

    def instead_of(self, reader: Reader, original: Callable[..., Any]) -> Callable[..., Any]:
        """A function that counts its call, but not what it calls in turn, and does what the original does."""

        @functools.wraps(original)
        def read(*args: Any, **kwargs: Any) -> Any:
            if self._inside or threading.get_ident() != self._thread:
                return original(*args, **kwargs)
            caller = sys._getframe(1)
            if not reader.is_read(caller.f_globals.get("__name__", ""), *args, **kwargs):
                return original(*args, **kwargs)
            if self._reads.places is not None:
                self._reads.places[_place(caller)] += 1
            self._inside = True
            try:
                return original(*args, **kwargs)
            finally:
                self._inside = False

        return read


def _place(caller: FrameType) -> str:
    frame: FrameType | None = caller
    while frame is not None:
        name = frame.f_code.co_filename
        if name != __file__ and "site-packages" not in name:
            return f"{name}:{frame.f_lineno}"
        frame = frame.f_back
    return f"{caller.f_code.co_filename}:{caller.f_lineno}"
