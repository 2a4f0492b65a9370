"""What the checks find."""

import dataclasses
from collections.abc import Iterable
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
      severity: `error` breaks a rule or the interface, `warning` is for a person to judge, `note` is good to know.
      rule: short name, such as `workload-name`.
      message: one line.
      file: where, relative to the folder of the submission's own file.
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
    """What reading the source of a submission tells.

    Attributes:
      submission: the file that defines its functions.
      framework: name of the framework that it is written in, or of the adapter that it needs.
      files: all files that were read, named as in the findings.
      findings: the worst first.
    """

    submission: str
    framework: str
    files: tuple[str, ...]
    findings: tuple[Finding, ...]

    def as_dict(self) -> dict[str, Any]:
        """The report JSON-able."""
        return {**dataclasses.asdict(self), "files": list(self.files), "findings": as_dicts(self.findings)}


def as_dicts(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Findings JSON-able."""
    return [dataclasses.asdict(finding) for finding in findings]


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Each finding once, errors first, then by place."""
    return tuple(
        sorted(dict.fromkeys(findings), key=lambda f: (SEVERITIES.index(f.severity), f.file, f.line, f.rule, f.message))
    )


def count(findings: Iterable[Finding], severity: Severity) -> int:
    """How many findings are this severe."""
    return sum(finding.severity == severity for finding in findings)
