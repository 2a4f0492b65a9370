"""Refuses logs of different editions of the benchmark, whose budgets and hardware differ.

A log says its edition by the key `edition` of its meta data. The logs of the reference have no such key, but the budget
of the run, which tells most workloads of one edition from those of another.
"""

import itertools
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

from scoring.errors import ScoringError
from scoring.log_tree import TrialFolder, meta_data_files
from scoring.targets import Targets, read_targets, versions

EDITION = "edition"
_BUDGET = "workload.max_allowed_runtime_sec"


def _facts(folder: pathlib.Path) -> dict[str, Any]:
    """The first meta data of a trial that can be read; `machines` reports damaged files."""
    for name in meta_data_files(os.listdir(folder)):
        try:
            facts = json.loads((folder / name).read_text())
        except (OSError, ValueError):
            continue
        if isinstance(facts, dict):
            return facts
    return {}


def possible_editions(trial: TrialFolder, known: Sequence[Targets]) -> frozenset[str]:
    """The editions that a trial may belong to by its meta data; empty if that says nothing."""
    facts = _facts(trial.path)
    if isinstance(edition := facts.get(EDITION), str):
        return frozenset({edition})
    budget = facts.get(_BUDGET)
    if budget is None:
        return frozenset()
    entries = [(targets.version, targets.workloads.get(trial.workload)) for targets in known]
    return frozenset(version for version, entry in entries if entry is not None and entry.budget_sec == budget)


def check_editions(root: pathlib.Path, trials: Sequence[TrialFolder], targets: Targets) -> None:
    """Checks that all trials may belong to one edition, and to that of `targets` if these are an edition's.

    Args:
      root: the folder of logs.
      trials: its trials.
      targets: what they are scored with.

    Raises:
      ScoringError: they belong to two editions, or to another one.
    """
    known = [read_targets(version) for version in versions()]
    first: dict[frozenset[str], TrialFolder] = {}
    for trial in trials:
        if editions := possible_editions(trial, known):
            first.setdefault(editions, trial)
    for (one, trial), (two, other) in itertools.combinations(first.items(), 2):
        if not one & two:
            raise ScoringError(
                f"{root}: logs of two editions: {_shown(trial, root)} is of {_names(one)}, {_shown(other, root)} of "
                f"{_names(two)}; move those of one edition out of the folder of logs"
            )
    for editions, trial in first.items():
        if targets.version in versions() and targets.version not in editions:
            raise ScoringError(
                f"{root}: {_shown(trial, root)} is of the edition {_names(editions)}, not of {targets.version}; score "
                f"it with --targets={min(editions)}"
            )


def _shown(trial: TrialFolder, root: pathlib.Path) -> str:
    return str(trial.path.relative_to(root))


def _names(editions: frozenset[str]) -> str:
    return " or ".join(sorted(editions))
