"""The choices of rules for a trial: timing and tuning."""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class TimingRules:
    """The timing of a trial, and what ends it.

    Attributes:
      evaluate_after_first_step: evaluate after step 1, an almost untrained model, regardless of the evaluation period.
      check_budget_every_step: end the trial as soon as the budget is spent, not only when an evaluation is due.
      retry_failed_evaluation: when an evaluation raises RuntimeError, do not count its time and try again after the
        next step, instead of failing the trial.
      fail_on_nonfinite: fail the trial when a loss or the parameters are no longer finite.
      wait_for_devices: wait for queued device work before the clock switches buckets.
    """

    evaluate_after_first_step: bool
    check_budget_every_step: bool
    retry_failed_evaluation: bool
    fail_on_nonfinite: bool
    wait_for_devices: bool


TIMING_RULES: Mapping[str, TimingRules] = {
    "standard": TimingRules(
        evaluate_after_first_step=False,
        check_budget_every_step=True,
        retry_failed_evaluation=False,
        fail_on_nonfinite=True,
        wait_for_devices=True,
    ),
    # The behavior of AlgoPerf v0.6's runner, for comparison with its logs.
    "reference": TimingRules(
        evaluate_after_first_step=True,
        check_budget_every_step=False,
        retry_failed_evaluation=True,
        fail_on_nonfinite=False,
        wait_for_devices=False,
    ),
}

RULESET_BUDGET_FACTORS: Mapping[str, float] = {"external": 1.0, "self": 1.5}
"""Tuning ruleset -> factor on the workload's runtime budget."""
