"""Counts how often a submission reads an array on the host, which waits for the devices."""

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
    """A function that may copy an array's values to the host.

    Attributes:
      owner: the class or module that holds the function.
      name: name of the function in its owner.
      is_read: `(name of the calling module, *arguments) -> bool`, whether a call counts as a read.
    """

    owner: Any
    name: str
    is_read: Callable[..., bool]


@dataclasses.dataclass
class HostReads:
    """The counted reads.

    Attributes:
      places: `file:line` outside libraries -> number of reads; None if reads cannot be counted.
    """

    places: collections.Counter[str] | None = dataclasses.field(default_factory=collections.Counter)


CountHostReads = Callable[[], contextlib.AbstractContextManager[HostReads]]
"""Makes a context that counts this thread's reads of a framework's arrays."""


@contextlib.contextmanager
def counted(readers: Sequence[Reader]) -> Iterator[HostReads]:
    """Counts calls of `readers`, which are replaced in the meantime.

    Replacing them costs the submission nothing but the counting, and is invisible to the compilers of either framework,
    unlike a mode that intercepts every operation.
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
        except (AttributeError, TypeError):  # the class cannot be modified
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
        self._thread = threading.get_ident()  # other threads make batches in the meantime
        self._inside = False

    def instead_of(self, reader: Reader, original: Callable[..., Any]) -> Callable[..., Any]:
        """Wraps the original to count its calls, but not the calls made inside it."""

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
