"""The benchmark's time, from the trials of studies."""

import dataclasses
import math

import pytest

from algoperf_jax.tuning.study_result import StudyResult, TrialRecord
from tests.algoperf_jax.example_result import RESULT


def record(study: int, trial: int, seconds: float | None, status: str = "target_reached") -> TrialRecord:
    return TrialRecord(study, trial, {}, status, "why", dataclasses.replace(RESULT, time_to_target_sec=seconds))


def study(*records: TrialRecord, interrupted: bool = False) -> StudyResult:
    return StudyResult(records, len(records), interrupted)


@pytest.mark.parametrize(
    ("times", "fastest", "median"),
    [
        ([[30.0, 10.0], [20.0, 40.0], [90.0, 70.0]], [10.0, 20.0, 70.0], 20.0),
        ([[None, 10.0], [None, None], [90.0, None]], [10.0, math.inf, 90.0], 90.0),
        ([[None, 10.0], [None, None], [None, None]], [10.0, math.inf, math.inf], math.inf),
        ([[5.0], [7.0]], [5.0, 7.0], 6.0),
        ([[5.0], [None]], [5.0, math.inf], math.inf),
        ([[5.0, 0.0]], [0.0], 0.0),
    ],
)
def test_median_of_the_fastest(times: list[list[float | None]], fastest: list[float], median: float) -> None:
    records = [record(s, t, seconds) for s, row in enumerate(times, 1) for t, seconds in enumerate(row, 1)]
    result = study(*records)
    assert list(result.fastest().values()) == fastest
    assert result.benchmark_time_sec() == median
    # Regardless of the order in which they ran.
    assert study(*reversed(records)).fastest() == result.fastest()


def test_a_trial_without_a_result_did_not_reach_the_target() -> None:
    without = TrialRecord(1, 1, {}, "failed", "why", None)
    assert study(without, record(1, 2, 8.0)).fastest() == {1: 8.0}
    assert study(without).benchmark_time_sec() == math.inf


def test_nothing_ran() -> None:
    nothing = StudyResult((), 3, interrupted=True)
    assert (nothing.fastest(), nothing.benchmark_time_sec(), nothing.failure) == ({}, math.inf, None)


def test_a_study_run_failed_if_all_of_its_trials_did() -> None:
    failed, ended = record(1, 1, None, "failed"), record(1, 2, None, "budget_spent")
    assert study(failed, failed).failure == "all 2 trials failed; the first: why"
    assert study(failed, ended).failure is None
    assert study(failed, interrupted=True).failure is None
