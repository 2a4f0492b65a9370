"""Log trees as tidy tables: `<folder>/<submission>/<study>/<workload>_<framework>/trial_<k>/eval_measurements.csv`."""

import dataclasses
import os
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from scoring.editions import check_editions
from scoring.errors import ScoringError
from scoring.log_tables import Finding, LogTable, read_table
from scoring.log_tree import TrialFolder, meta_data_files, trial_folders
from scoring.repetitions import Trial, surplus, without_copies
from scoring.targets import BUILTIN, Targets, read_targets

RULESETS = ("external", "self")
EVALUATIONS = "eval_measurements.csv"
_TRIAL_COLUMNS = ("trial_id", "submission", "workload", "framework", "study", "trial", "path", "regular_name")


@dataclasses.dataclass(frozen=True)
class Logs:
    """What a folder of logs holds.

    Attributes:
      folder: where it is.
      targets: the targets that the logs are scored with.
      ruleset: "external" or "self".
      trials: a row per trial that has evaluations: `trial_id` (row number), `submission`, `workload`, `framework`,
        `study`, `trial` (its name, as in `repetitions.Trial`), `path` (of the directory, relative to `folder`),
        `regular_name` (the directory's name is exactly trial_<number>), `evaluations` (number of them).
      evaluations: a row per evaluation: `trial_id`, and the columns of `log_tables.LogTable` (times in seconds).
      findings: what was left out, repaired or noted: `kind`, `path`, `row`, `reason`, as in `log_tables.Finding`.
    """

    folder: pathlib.Path
    targets: Targets
    ruleset: str
    trials: pd.DataFrame
    evaluations: pd.DataFrame
    findings: pd.DataFrame


def _found_only(targets: Targets, trials: pd.DataFrame) -> Targets:
    found = tuple(name for name in targets.base_workloads if name in set(trials["workload"]))
    return dataclasses.replace(targets, base_workloads=found)


def _read_trials(root: pathlib.Path, targets: Targets, findings: list[Finding], *, builtin: bool) -> Iterator[Trial]:
    for folder in trial_folders(root, targets, findings, builtin=builtin):
        path = str(folder.path.relative_to(root))
        names = os.listdir(folder.path)
        processes = len(meta_data_files(names))
        if processes > 1:
            findings.append(Finding("noted", path, None, f"interrupted and resumed: {processes} meta_data files"))
        if EVALUATIONS not in names:
            findings.append(Finding("left out", path, None, f"no {EVALUATIONS}"))
            continue
        file = folder.path / EVALUATIONS
        table, notes = read_table(file, targets.workloads[folder.workload].metric, str(file))
        findings += [dataclasses.replace(note, path=f"{path}/{EVALUATIONS}") for note in notes]
        if table is not None:
            yield Trial(folder, path, folder.trial, table)


def _check_frameworks(trials: Sequence[Trial]) -> None:
    first: dict[tuple[str, str], TrialFolder] = {}
    for folder in (trial.folder for trial in trials):
        other = first.setdefault((folder.submission, folder.workload), folder)
        if other.framework != folder.framework:
            raise ScoringError(
                f"{folder.path / EVALUATIONS}: {folder.submission} has {folder.workload} in a second framework, "
                f"in addition to {other.path / EVALUATIONS}"
            )


def load(
    folder: str | pathlib.Path,
    targets: str | pathlib.Path | Targets = "v0.6",
    *,
    ruleset: str = "external",
    builtin: bool = False,
) -> Logs:
    """Reads a folder of logs.

    Args:
      folder: contains one directory per submission.
      targets: a version of the benchmark, the path of a file of targets, or targets.
      ruleset: "external" or "self"; decides how many trials are expected and which budget applies.
      builtin: read only the runs on built-in data, which are otherwise left out. They have their own targets, and the
        score averages over the workloads that are found.

    Raises:
      ScoringError: there are no logs, the targets are unknown, a file cannot be used (the message names file and row),
        there are logs of two editions, or of another edition than the targets, or there are more trials or studies
        than the targets allow (runs on built-in data may have more).
    """
    root = pathlib.Path(folder)
    if ruleset not in RULESETS:
        raise ScoringError(f"unknown ruleset {ruleset!r}; expected {' or '.join(RULESETS)}")
    if builtin:
        targets = BUILTIN
    judged_by = targets if isinstance(targets, Targets) else read_targets(targets)
    if not root.is_dir():
        raise ScoringError(f"no logs found: {root} is not a directory")
    findings: list[Finding] = []
    try:
        found, copies = without_copies(_read_trials(root, judged_by, findings, builtin=builtin))
    except OSError as error:
        raise ScoringError(f"{error.filename}: cannot be read ({error.strerror})") from error
    findings += copies
    _check_frameworks(found)
    check_editions(root, [trial.folder for trial in found], judged_by)
    for path, reason in surplus(found, judged_by, ruleset):
        if not builtin:
            raise ScoringError(f"{root}: {reason}; move the surplus out of the folder of logs")
        findings.append(Finding("noted", path, None, reason))
    rows, tables = [], [trial.table for trial in found]
    for trial in found:
        of, regular = trial.folder, trial.folder.has_regular_name
        if not regular:
            reason = "not called trial_<number>: counts only under the official rule"
            findings.append(Finding("noted", trial.path, None, reason))
        rows.append((len(rows), of.submission, of.workload, of.framework, of.study, trial.name, trial.path, regular))
    if not rows:
        reasons = sorted({finding.reason for finding in findings})
        raise ScoringError(
            f"no logs found in {root}; expected <submission>/<study>/<workload>_<framework>/trial_<k>/{EVALUATIONS}"
            + (f"; left out: {'; '.join(reasons)}" if reasons else "")
        )
    trials = pd.DataFrame(rows, columns=list(_TRIAL_COLUMNS))
    trials["evaluations"] = [len(table.row) for table in tables]
    evaluations = {"trial_id": np.repeat(trials["trial_id"].to_numpy(), trials["evaluations"].to_numpy())}
    for field in dataclasses.fields(LogTable):
        evaluations[field.name] = np.concatenate([getattr(table, field.name) for table in tables])
    return Logs(
        folder=root,
        targets=_found_only(judged_by, trials) if builtin else judged_by,
        ruleset=ruleset,
        trials=trials,
        evaluations=pd.DataFrame(evaluations),
        findings=findings_table(findings),
    )


def findings_table(findings: list[Finding]) -> pd.DataFrame:
    """Findings as a table: `kind`, `path`, `row`, `reason`."""
    columns = [field.name for field in dataclasses.fields(Finding)]
    table = pd.DataFrame([dataclasses.astuple(finding) for finding in findings], columns=columns)
    return table.astype({"row": "Int64"})
