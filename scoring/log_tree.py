"""The directories of logs: `<folder>/<submission>/<study>/<workload>_<framework>/trial_<k>`.

Entries are sorted by name, so that the result does not depend on the file system. A timestamp at the end of any of
these names says when an experiment was restarted; it is not part of the name.
"""

import dataclasses
import pathlib
import re
from collections.abc import Iterator, Sequence

from scoring.log_tables import Finding
from scoring.targets import BUILTIN, Targets

_FRAMEWORK = re.compile(r"(.+)_(jax|pytorch)")
_TRIAL = re.compile(r"trial_\d+")
_META_DATA = re.compile(r"meta_data_(\d+)\.json")
_DATE, _CLOCK = r"(?:\d{4}-\d\d-\d\d|\d\d-\d\d-\d{4})", r"\d\d[-:_]?\d\d[-:_]?\d\d"
_TIME_STAMPED = re.compile(rf"(.+?)(?:[-_]{_DATE}[-_T]{_CLOCK})+")


@dataclasses.dataclass(frozen=True)
class TrialFolder:
    """The directory of a trial.

    Attributes:
      submission: name of its submission; no name includes a timestamp.
      study: its study.
      workload: its workload.
      framework: "jax" or "pytorch".
      trial: its name.
      path: where it is.
    """

    submission: str
    study: str
    workload: str
    framework: str
    trial: str
    path: pathlib.Path

    @property
    def has_regular_name(self) -> bool:
        """Whether the directory's name is exactly trial_<number>."""
        return _TRIAL.fullmatch(self.trial) is not None


def meta_data_files(names: Sequence[str]) -> list[str]:
    """Those of `names` that are meta data files, one per process of the run, sorted by number."""
    numbered = [(int(match[1]), name) for name in names if (match := _META_DATA.fullmatch(name))]
    return [name for _, name in sorted(numbered)]


def _named_folders(
    parent: pathlib.Path, root: pathlib.Path, findings: list[Finding], *, of_trials: bool = False
) -> Iterator[tuple[str, pathlib.Path]]:
    """The directories in `parent`, with their names without timestamps."""
    for path in sorted(parent.iterdir(), key=lambda path: path.name):
        shown = str(path.relative_to(root))
        if not path.is_dir():
            # Logs of whole workloads lie next to the trials, so plain files there are not reported.
            if not of_trials:
                findings.append(Finding("left out", shown, None, "not a directory"))
            continue
        match = _TIME_STAMPED.fullmatch(path.name)
        if match:
            reason = f"counts as {match[1]}" if of_trials else f"its trials count as those of {match[1]}"
            findings.append(Finding("noted", shown, None, reason))
        yield match[1] if match else path.name, path


def _why_left_out(workload: str, targets: Targets, *, builtin: bool) -> str | None:
    if workload.endswith(f"_{BUILTIN}") != builtin:
        return "real data; built-in data was requested" if builtin else "built-in data (--builtin scores it)"
    if workload not in targets.workloads:
        return f"unknown workload: {targets.version} has no target for it"
    return None


def trial_folders(
    root: pathlib.Path, targets: Targets, findings: list[Finding], *, builtin: bool
) -> Iterator[TrialFolder]:
    """The directories of all trials of workloads that have targets.

    Args:
      root: the folder of logs.
      targets: names the workloads.
      findings: a list to which what is left out or noted is appended.
      builtin: take only the runs on built-in data, instead of the others.
    """
    for submission, submission_folder in _named_folders(root, root, findings):
        for study, study_folder in _named_folders(submission_folder, root, findings):
            for name, folder in _named_folders(study_folder, root, findings):
                shown = str(folder.relative_to(root))
                match = _FRAMEWORK.fullmatch(name)
                if match is None:
                    findings.append(Finding("left out", shown, None, "not called <workload>_jax or <workload>_pytorch"))
                    continue
                workload, framework = match.groups()
                reason = _why_left_out(workload, targets, builtin=builtin)
                if reason is not None:
                    findings.append(Finding("left out", shown, None, reason))
                    continue
                trials = list(_named_folders(folder, root, findings, of_trials=True))
                if not trials:
                    findings.append(Finding("left out", shown, None, "it contains no trial"))
                for trial, path in trials:
                    if _TRIAL.match(trial):
                        yield TrialFolder(submission, study, workload, framework, trial, path)
                    else:
                        shown = str(path.relative_to(root))
                        findings.append(Finding("left out", shown, None, "not called trial_<number>"))
