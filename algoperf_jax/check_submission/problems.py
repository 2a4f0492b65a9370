"""Collects what goes wrong while a submission's functions are called, and reports it once for all workloads."""

import inspect
import os
import pathlib
import traceback
from collections.abc import Callable
from typing import Any

from algoperf_jax.errors import UserError
from algoperf_jax.rule_check.findings import Finding, Severity

_MOST_CHARACTERS = 300


class Problems:
    """Collects findings and merges equal ones on several workloads.

    Args:
      entry: the file that defines the submission's functions.
      files: all its files, as findings name them.
    """

    def __init__(self, entry: pathlib.Path, files: tuple[str, ...]) -> None:
        self._entry = entry
        self._paths = {str((entry.parent / name).resolve()): name for name in files}
        self._found: dict[Finding, list[str]] = {}

    def add(
        self,
        severity: Severity,
        rule: str,
        message: str,
        *,
        workload: str = "",
        error: BaseException | None = None,
        function: Callable[..., Any] | None = None,
    ) -> None:
        """Adds a finding.

        Args:
          severity: as in `Finding`.
          rule: as in `Finding`.
          message: as in `Finding`.
          workload: the workload it occurred on, if that matters.
          error: the exception that was raised, which locates the line.
          function: the function at fault, if nothing was raised.
        """
        file, line = self._raised_at(error) or self._defined_at(function) or (self._entry.name, 0)
        text = " ".join(message.split())[:_MOST_CHARACTERS]
        self._found.setdefault(Finding(severity, rule, text, file, line), []).append(workload)

    def is_failed(self, workload: str) -> bool:
        """Whether a finding on a workload is an error."""
        return any(workload in workloads and f.severity == "error" for f, workloads in self._found.items())

    def findings(self) -> list[Finding]:
        """All findings, with the names of the workloads in their messages."""
        return [
            Finding(f.severity, f.rule, f"{f.message}{_on(workloads)}", f.file, f.line)
            for f, workloads in self._found.items()
        ]

    def _raised_at(self, error: BaseException | None) -> tuple[str, int] | None:
        """The innermost line of the submission in the traceback of an error or of its cause."""
        while error is not None:
            for frame in reversed(traceback.extract_tb(error.__traceback__)):
                name = self._paths.get(os.path.realpath(frame.filename))
                if name is not None:
                    return name, frame.lineno or 0
            error = error.__cause__
        return None

    def _defined_at(self, function: Callable[..., Any] | None) -> tuple[str, int] | None:
        code = getattr(inspect.unwrap(function), "__code__", None) if function is not None else None
        name = self._paths.get(os.path.realpath(code.co_filename)) if code is not None else None
        return None if code is None or name is None else (name, code.co_firstlineno)


def described(error: BaseException) -> str:
    """The type and first line of an error."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def without_remedy(error: UserError) -> str:
    """The message of an error without its remedy, which findings leave to the submitter."""
    return str(error).removesuffix(f". {' '.join((error.remedy or '').split())}")


def _on(workloads: list[str]) -> str:
    names = sorted({name for name in workloads if name})
    return f" (on {', '.join(names)})" if names else ""
