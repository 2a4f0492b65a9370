"""The results of the checks."""

import dataclasses
from collections.abc import Iterable
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclasses.dataclass(frozen=True)
class Finding:
    """One result of a check.

    Attributes:
      severity: `error` for a broken rule or interface, `warning` for a person to judge, `note` for information.
      rule: short name, such as `workload-name`.
      message: one line.
      file: path relative to the folder of the submission's entry file.
      line: counted from 1; 0 for the file as a whole.
    """

    severity: Severity
    rule: str
    message: str
    file: str
    line: int = 0

    @property
    def place(self) -> str:
        """`file:line`."""
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclasses.dataclass(frozen=True)
class Report:
    """The findings in the source of a submission.

    Attributes:
      submission: the file that defines its functions.
      framework: name of the framework that it is written in, or of the adapter that it needs.
      files: all files that were read, named as in the findings.
      findings: the findings, most severe first.
    """

    submission: str
    framework: str
    files: tuple[str, ...]
    findings: tuple[Finding, ...]

    def as_dict(self) -> dict[str, Any]:
        """Converts the report to a JSON-able dict."""
        return {**dataclasses.asdict(self), "files": list(self.files), "findings": as_dicts(self.findings)}


def as_dicts(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Converts findings to JSON-able dicts."""
    return [dataclasses.asdict(finding) for finding in findings]


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Removes duplicates and sorts: errors first, then by place."""
    return tuple(
        sorted(dict.fromkeys(findings), key=lambda f: (SEVERITIES.index(f.severity), f.file, f.line, f.rule, f.message))
    )


def count(findings: Iterable[Finding], severity: Severity) -> int:
    """The number of findings of a severity."""
    return sum(finding.severity == severity for finding in findings)
