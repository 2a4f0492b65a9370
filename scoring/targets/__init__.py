"""Targets, budgets and the workloads that count, one JSON file for each version of the benchmark.

Training reads the same files, see `workloads/editions.py`.
"""

import dataclasses
import difflib
import json
import math
import pathlib
from collections.abc import Mapping

from scoring.errors import ScoringError

_FOLDER = pathlib.Path(__file__).parent
BUILTIN = "builtin"


@dataclasses.dataclass(frozen=True)
class WorkloadTarget:
    """When a workload counts as trained.

    Attributes:
      metric: name of the target metric, without the split.
      direction: "min" if smaller is better, else "max".
      validation_target: the value to reach; equality counts.
      test_target: the value on the test split that ends a trial, or None; scores ignore it.
      budget_sec: submission time allowed under the external tuning ruleset, or None if unknown.
      step_hint: number of steps that the benchmark suggests, or None.
      eval_period_sec: time between evaluations, or None if unknown; scores ignore it.
      eval_batch_size: examples in a batch of evaluation, or None if unknown; scores ignore it.
    """

    metric: str
    direction: str
    validation_target: float
    test_target: float | None = None
    budget_sec: float | None = None
    step_hint: int | None = None
    eval_period_sec: float | None = None
    eval_batch_size: int | None = None


@dataclasses.dataclass(frozen=True)
class Targets:
    """One version of the benchmark.

    Attributes:
      version: its name.
      base_workloads: what the score averages over.
      held_out_workloads: variants that a submission must also train, or lose their base workload.
      studies: number of studies that an official score needs.
      trials: number of trials in each study under the external tuning ruleset.
      self_tuning_budget_factor: factor by which the self-tuning ruleset lengthens budgets.
      workloads: name -> target, for every workload whose logs can be read.
      precision: of the runs' matrix products, or None if runs of this version cannot be started here; scores ignore it.
    """

    version: str
    base_workloads: tuple[str, ...]
    held_out_workloads: tuple[str, ...]
    studies: int
    trials: int
    self_tuning_budget_factor: float
    workloads: Mapping[str, WorkloadTarget]
    precision: str | None = None

    def base_of(self, variant: str) -> str | None:
        """The base workload of a variant: the first whose name is part of the variant's."""
        return next((base for base in self.base_workloads if base in variant), None)

    def budget_sec(self, workload: str, ruleset: str) -> float:
        """Submission time allowed, seconds; infinite if unknown."""
        budget = self.workloads[workload].budget_sec
        if budget is None:
            return float("inf")
        return budget * (self.self_tuning_budget_factor if ruleset == "self" else 1.0)

    def trials_expected(self, ruleset: str) -> int:
        """Number of trials in a study: one for a submission that tunes itself."""
        return 1 if ruleset == "self" else self.trials


def relaxed(targets: Targets, share: float) -> Targets:
    """Makes every validation target easier by a share of its value.

    A metric that should be small may be `1 + share` times the target, one that should be large `1 - share` times. With
    0.1, a loss of 0.2 becomes 0.22 and an accuracy of 0.8 becomes 0.72. Budgets stay.

    Args:
      targets: the published ones.
      share: 0 or more, below 1.

    Raises:
      ScoringError: the share is out of range.
    """
    if not 0.0 <= share < 1.0:
        raise ScoringError(f"targets cannot be relaxed by {share!r}; expected a number from 0 to below 1, such as 0.1")
    eased = {
        name: dataclasses.replace(
            target,
            validation_target=target.validation_target * (1.0 + share if target.direction == "min" else 1.0 - share),
        )
        for name, target in targets.workloads.items()
    }
    return dataclasses.replace(targets, version=f"{targets.version} relaxed by {share:.4g}", workloads=eased)


def versions() -> list[str]:
    """The versions whose targets come with the package, oldest first."""
    return sorted(path.stem for path in _FOLDER.glob("*.json") if path.stem != BUILTIN)


def read_targets(name: str | pathlib.Path) -> Targets:
    """Reads the targets of a version, such as "v0.6", or those in a JSON file of the same form.

    Raises:
      ScoringError: there is no such version or file, or the file's content is not of this form.
    """
    path = _FOLDER / f"{name}.json"
    if not path.is_file():
        path = pathlib.Path(name)
        if path.suffix != ".json" or not path.is_file():
            guess = difflib.get_close_matches(str(name), versions(), 1)
            raise ScoringError(
                f"unknown targets {str(name)!r}; expected {', '.join(versions())} or the path of a JSON file"
                + (f". Did you mean {guess[0]!r}?" if guess else "")
            )
    try:
        content = json.loads(path.read_text())
        workloads = {workload: WorkloadTarget(**entry) for workload, entry in content.pop("workloads").items()}
        base, held_out = (tuple(content.pop(key)) for key in ("base_workloads", "held_out_workloads"))
        targets = Targets(base_workloads=base, held_out_workloads=held_out, workloads=workloads, **content)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ScoringError(f"{path}: not a file of targets ({error}); see scoring/targets/v0.6.json") from error
    for workload in (*targets.base_workloads, *targets.held_out_workloads):
        if workload not in workloads:
            raise ScoringError(f"{path}: no target for the workload {workload!r}")
    for workload, target in workloads.items():
        if target.direction not in ("min", "max"):
            raise ScoringError(f"{path}: {workload}: direction is {target.direction!r}; expected 'min' or 'max'")
        value = target.validation_target
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise ScoringError(f"{path}: {workload}: validation_target is {value!r}; expected a finite number")
    return targets
