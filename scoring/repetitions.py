"""Finds trials that occur twice, and trials and studies beyond what the rules allow."""

import dataclasses
import hashlib
import pathlib
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from scoring.log_tables import Finding, LogTable
from scoring.log_tree import TrialFolder
from scoring.targets import Targets


@dataclasses.dataclass(frozen=True)
class Trial:
    """A trial with evaluations.

    Attributes:
      folder: its directory.
      path: the same, relative to the folder of logs.
      name: name of the directory; if a study has two trials of one name, the second's includes its place.
      table: its evaluations.
    """

    folder: TrialFolder
    path: str
    name: str
    table: LogTable

    @property
    def _study_folder(self) -> str:
        return "/".join(pathlib.PurePath(self.path).parts[:2])


def _continues(longer: LogTable, shorter: LogTable) -> bool:
    """Whether the evaluations of `longer` begin with those of `shorter`."""
    end = len(shorter.row)
    return all(
        np.array_equal(getattr(longer, name)[:end], getattr(shorter, name), equal_nan=True)
        for name in ("global_step", "submission_time_sec", "validation")
    )


def _copies_of_one_name(trials: Sequence[Trial]) -> tuple[list[Trial], list[Finding]]:
    """Given trials of one name in one study, returns those that are not copies, and the findings."""
    kept, findings = [], []
    for trial in sorted(trials, key=lambda trial: (-len(trial.table.row), len(trial.path), trial.path)):
        whole = next((other for other in kept if _continues(other.table, trial.table)), None)
        if whole is not None:
            findings.append(Finding("left out", trial.path, None, f"a copy: {whole.path} has the same evaluations"))
            continue
        if kept:
            reason = f"a second {trial.name} of this study, in addition to {kept[0].path}: both count"
            findings.append(Finding("noted", trial.path, None, reason))
            parts = pathlib.PurePath(trial.path).parts
            trial = dataclasses.replace(trial, name=f"{trial.name} of {'/'.join(parts[:-1])}")
        kept.append(trial)
    return kept, findings


def without_copies(trials: Iterable[Trial]) -> tuple[list[Trial], list[Finding]]:
    """Removes copies of trials; the others are sorted by path.

    An experiment that was copied or restarted lies in several directories of one submission, with timestamps. Among
    trials of one name in one study, one whose evaluations are the beginning of another's is its copy; others are
    separate trials. Equal evaluations elsewhere are only noted, since only people know which is the original.
    """
    by_name: dict[tuple[str, ...], list[Trial]] = defaultdict(list)
    for trial in trials:
        of = trial.folder
        by_name[of.submission, of.study, of.workload, of.framework, of.trial].append(trial)
    kept, findings = [], []
    for same in by_name.values():
        without, found = _copies_of_one_name(same)
        kept += without
        findings += found
    kept.sort(key=lambda trial: pathlib.PurePath(trial.path))
    first: dict[tuple[str, bytes], Trial] = {}
    for trial in kept:
        table = trial.table
        # The single evaluation of a run that failed at once says little.
        if len(table.row) > 1:
            content = hashlib.sha256(table.submission_time_sec.tobytes() + table.validation.tobytes()).digest()
            original = first.setdefault((trial.folder.workload, content), trial)
            if original is not trial:
                reason = f"the same evaluations as a trial of {original._study_folder}"
                findings.append(Finding("noted", trial.path, None, reason))
    return kept, findings


def _number(trial: Trial) -> tuple[int, str]:
    return int(trial.folder.trial.removeprefix("trial_")), trial.path


def _in_folders(trials: Sequence[Trial], allowed: int) -> str:
    """Where trials are: names the surplus if all are in one directory, else counts those in each."""
    folders: dict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        folders[str(pathlib.PurePath(trial.path).parent)].append(trial)
    if len(folders) > 1:
        return " and ".join(f"{len(inside)} in {folder}" for folder, inside in folders.items())
    surplus = sorted(trials, key=_number)[allowed:]
    return f"in {next(iter(folders))}; the surplus is {', '.join(trial.name for trial in surplus)}"


def surplus(trials: Sequence[Trial], targets: Targets, ruleset: str) -> list[tuple[str, str]]:
    """Trials of a study and studies of a workload beyond the rules: the path of the first, and what is wrong.

    Trials not called trial_<number> are not considered: see `times`.
    """
    studies: dict[tuple[str, str], dict[str, list[Trial]]] = defaultdict(lambda: defaultdict(list))
    for trial in trials:
        if trial.folder.has_regular_name:
            studies[trial.folder.submission, trial.folder.workload][trial.folder.study].append(trial)
    allowed = targets.trials_expected(ruleset)
    found = []
    for (submission, workload), by_study in studies.items():
        for study, members in by_study.items():
            if len(members) > allowed:
                reason = (
                    f"{len(members)} trials of {workload} in {study} of {submission}, where {targets.version} has "
                    f"{allowed} with the ruleset {ruleset}: {_in_folders(members, allowed)}"
                )
                found.append((members[0].path, reason))
        if len(by_study) > targets.studies:
            reason = (
                f"{len(by_study)} studies of {workload} by {submission}, where {targets.version} has "
                f"{targets.studies}: {', '.join(members[0]._study_folder for members in by_study.values())}"
            )
            found.append((next(iter(by_study.values()))[0].path, reason))
    return found
