"""Errors that a user can fix.

Whatever fails because of user input or the state of a disk is reported in one line: what is wrong, the value found, the
value expected, and the key or command that fixes it. The command line prints that line and exits with code 2; a
traceback is a bug in this project.
"""

import difflib
from collections.abc import Iterable
from typing import Any

_ABSENT: Any = object()


class UserError(Exception):
    """An error that the user can fix: what is wrong, the value found, the value expected, and the remedy."""

    def __init__(
        self, what: str, *, value: Any = _ABSENT, expected: str | None = None, remedy: str | None = None
    ) -> None:
        self.what = what
        self.value = value
        self.expected = expected
        self.remedy = remedy
        parts = [what if value is _ABSENT else f"{what}: found {value!r}"]
        if expected is not None:
            parts.append(f"expected {expected}")
        line = "; ".join(parts)
        if remedy is not None:
            line = f"{line}. {remedy}"
        super().__init__(" ".join(line.split()))


class ConfigError(UserError):
    """A configuration key, value or command-line argument is invalid."""


class DataError(UserError):
    """A data set is missing, incomplete, damaged or has the wrong version."""


class SubmissionError(UserError):
    """A submission cannot be loaded, or one of its functions broke the interface."""


class RunError(UserError):
    """A run directory or checkpoint cannot be used for this run."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name closest to `name`, or None when none is close."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return matches[0] if matches else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A remedy for a misspelt name: the closest known name, or else all of them."""
    known = sorted(known)
    guess = nearest(name, known)
    return f"Did you mean {guess!r}?" if guess else f"Known: {', '.join(known)}."
