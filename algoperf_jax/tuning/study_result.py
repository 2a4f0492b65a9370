"""The result of studies: their trials, and the benchmark's time."""

import dataclasses
import math
import statistics
from collections.abc import Mapping
from typing import Any

from algoperf_jax.outputs.result import TrialResult


@dataclasses.dataclass(frozen=True)
class TrialRecord:
    """A trial of a study.

    Attributes:
      study: number of the study.
      trial: number of the trial in the study.
      hyperparameters: the point that was tried.
      status: as in `TrialResult`.
      reason: the reason for this status, or empty.
      result: the trial's result; None if the submission failed before there was one.
    """

    study: int
    trial: int
    hyperparameters: Mapping[str, Any]
    status: str
    reason: str
    result: TrialResult | None

    @property
    def time_to_target_sec(self) -> float:
        """Submission time to the validation target, in seconds; infinite if it was not reached."""
        seconds = None if self.result is None else self.result.time_to_target_sec
        return math.inf if seconds is None else seconds


@dataclasses.dataclass(frozen=True)
class StudyResult:
    """The trials of studies, in the order in which they ran.

    Attributes:
      trials: the trials that ended, in this run or earlier, and the interrupted one.
      num_planned: the number of planned trials.
      interrupted: whether the run stopped before the last trial.
    """

    trials: tuple[TrialRecord, ...]
    num_planned: int
    interrupted: bool

    @property
    def failure(self) -> str | None:
        """One line if every trial failed, else None."""
        if self.interrupted or any(record.status != "failed" for record in self.trials):
            return None
        return f"all {len(self.trials)} trials failed; the first: {self.trials[0].reason}"

    def fastest(self) -> Mapping[int, float]:
        """The time of each study's fastest trial to the validation target, in seconds; infinite if none reached it."""
        studies = sorted({record.study for record in self.trials})
        return {
            study: min(record.time_to_target_sec for record in self.trials if record.study == study)
            for study in studies
        }

    def benchmark_time_sec(self) -> float:
        """The benchmark's time for the workload: the median over studies of the fastest trial's time."""
        return statistics.median(self.fastest().values()) if self.trials else math.inf
