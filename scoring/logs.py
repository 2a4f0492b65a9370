"""Log trees as tidy tables: `<folder>/<submission>/<study>/<workload>_<framework>/trial_<k>/eval_measurements.csv`.

Entries are taken in the order of their names, so that the result does not depend on the file system.
"""

import dataclasses
import os
import pathlib
import re
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from scoring.errors import ScoringError
from scoring.log_tables import Finding, LogTable, read_table
from scoring.targets import BUILTIN, Targets, read_targets

RULESETS = ("external", "self")
EVALUATIONS = "eval_measurements.csv"
_FRAMEWORK = re.compile(r"(.+)_(jax|pytorch)")
_TRIAL = re.compile(r"trial_\d+")
_TIMESTAMPED = re.compile(r"(.+)-\d{4}(?:-\d{2}){5}")
_META_DATA = re.compile(r"meta_data_(\d+)\.json")
_TRIAL_COLUMNS = ("trial_id", "submission", "workload", "framework", "study", "trial", "path", "regular_name")


@dataclasses.dataclass(frozen=True)
class Logs:
    """What a folder of logs holds.

    Attributes:
      folder: where it is.
      targets: what the logs are judged by.
      ruleset: "external" or "self".
      trials: a row per trial that has evaluations: `trial_id` (row number), `submission`, `workload`, `framework`,
        `study`, `trial`, `path` (of the directory, relative to `folder`), `regular_name` (the directory is called
        trial_<number>, and no more), `evaluations` (number of them).
      evaluations: a row per evaluation: `trial_id`, and the columns of `log_tables.LogTable` (times in seconds).
      findings: what was left out, repaired or noted: `kind`, `path`, `row`, `reason`, as in `log_tables.Finding`.
    """

    folder: pathlib.Path
    targets: Targets
    ruleset: str
    trials: pd.DataFrame
    evaluations: pd.DataFrame
    findings: pd.DataFrame


def meta_data_files(names: Sequence[str]) -> list[str]:
    """Those of `names` that hold facts about a process of the run, in order of their numbers."""
    numbered = [(int(match[1]), name) for name in names if (match := _META_DATA.fullmatch(name))]
    return [name for _, name in sorted(numbered)]


def _folders(parent: pathlib.Path, root: pathlib.Path, findings: list[Finding]) -> Iterator[pathlib.Path]:
    for path in sorted(parent.iterdir(), key=lambda path: path.name):
        if path.is_dir():
            yield path
        else:
            findings.append(Finding("left out", str(path.relative_to(root)), None, "not a directory"))


def _submissions(root: pathlib.Path, findings: list[Finding]) -> Iterator[tuple[str, pathlib.Path]]:
    folders = list(_folders(root, root, findings))
    names = {folder.name for folder in folders}
    for folder in folders:
        match = _TIMESTAMPED.fullmatch(folder.name)
        if match and match[1] in names:
            findings.append(Finding("noted", folder.name, None, f"its trials count as those of {match[1]}"))
            yield match[1], folder
        else:
            yield folder.name, folder


def _why_left_out(workload: str, targets: Targets, *, builtin: bool) -> str | None:
    if workload.endswith(f"_{BUILTIN}") != builtin:
        return "real data, where built-in data was asked for" if builtin else "built-in data (--builtin scores it)"
    if workload not in targets.workloads:
        return f"unknown workload: {targets.version} has no target for it"
    return None


def _trial_folders(
    root: pathlib.Path, targets: Targets, findings: list[Finding], *, builtin: bool
) -> Iterator[tuple[str, str, str, str, pathlib.Path]]:
    """Submission, study, workload, framework and directory of each trial."""
    for submission, submission_folder in _submissions(root, findings):
        for study in _folders(submission_folder, root, findings):
            for folder in _folders(study, root, findings):
                shown = str(folder.relative_to(root))
                match = _FRAMEWORK.fullmatch(folder.name)
                if match is None:
                    findings.append(Finding("left out", shown, None, "not called <workload>_jax or <workload>_pytorch"))
                    continue
                workload, framework = match.groups()
                reason = _why_left_out(workload, targets, builtin=builtin)
                if reason is not None:
                    findings.append(Finding("left out", shown, None, reason))
                    continue
                # Logs of whole workloads lie here, too: plain files are nothing to report.
                trials = sorted(path for path in folder.iterdir() if path.is_dir())
                if not trials:
                    findings.append(Finding("left out", shown, None, "no trial in it"))
                for trial in trials:
                    if _TRIAL.match(trial.name):
                        yield submission, study.name, workload, framework, trial
                    else:
                        findings.append(
                            Finding("left out", str(trial.relative_to(root)), None, "not called trial_<number>")
                        )


def _found_only(targets: Targets, trials: pd.DataFrame) -> Targets:
    found = tuple(name for name in targets.base_workloads if name in set(trials["workload"]))
    return dataclasses.replace(targets, base_workloads=found)


def load(
    folder: str | pathlib.Path,
    targets: str | pathlib.Path | Targets = "v0.6",
    *,
    ruleset: str = "external",
    builtin: bool = False,
) -> Logs:
    """Reads a folder of logs.

    Args:
      folder: it holds one directory per submission.
      targets: a version of the benchmark, the path of a file of targets, or targets.
      ruleset: "external" or "self": how many trials are expected, and which budget holds.
      builtin: whether to read the runs on built-in data, which are left out else, and only them. They have targets of
        their own, and the score averages over the workloads that are found.

    Raises:
      ScoringError: no logs, unknown targets, or a file that cannot be used; the line names file and row.
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
    rows, tables = [], []
    first_files: dict[tuple[str, str], tuple[str, pathlib.Path]] = {}
    for submission, study, workload, framework, trial in _trial_folders(root, judged_by, findings, builtin=builtin):
        file, path = trial / EVALUATIONS, str(trial.relative_to(root))
        names = os.listdir(trial)
        processes = len(meta_data_files(names))
        if processes > 1:
            findings.append(Finding("noted", path, None, f"interrupted and resumed: {processes} meta_data files"))
        if EVALUATIONS not in names:
            findings.append(Finding("left out", path, None, f"no {EVALUATIONS}"))
            continue
        table, notes = read_table(file, judged_by.workloads[workload].metric, str(file))
        findings += [dataclasses.replace(note, path=f"{path}/{EVALUATIONS}") for note in notes]
        if table is None:
            continue
        other, first_file = first_files.setdefault((submission, workload), (framework, file))
        if other != framework:
            raise ScoringError(f"{file}: {submission} has {workload} in a second framework, besides {first_file}")
        regular = _TRIAL.fullmatch(trial.name) is not None
        if not regular:
            findings.append(Finding("noted", path, None, "not called trial_<number>: counts by the official rule only"))
        rows.append((len(rows), submission, workload, framework, study, trial.name, path, regular))
        tables.append(table)
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
