"""Rules of a trial that may be chosen: how time is kept, and how a submission is tuned."""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class TimingRules:
    """How a trial keeps time and what ends it.

    Attributes:
      evaluate_after_first_step: evaluate after step 1 whatever the evaluation period, mostly on an untrained model.
      check_budget_every_step: end the trial as soon as the budget is spent, not only when an evaluation is due.
      retry_failed_evaluation: when an evaluation raises RuntimeError, book its time to no one and try again after the
        next step, instead of ending the trial as failed.
      fail_on_nonfinite: end the trial as failed when a loss or the parameters are no longer finite.
      wait_for_devices: wait for queued device work before the clock changes its bucket.
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
    # What the runner of AlgoPerf v0.6 does, for comparison with logs that it made.
    "reference": TimingRules(
        evaluate_after_first_step=True,
        check_budget_every_step=False,
        retry_failed_evaluation=True,
        fail_on_nonfinite=False,
        wait_for_devices=False,
    ),
}

RULESET_BUDGET_FACTORS: Mapping[str, float] = {"external": 1.0, "self": 1.5}
"""Tuning ruleset -> multiple of the workload's runtime budget. Self-tuning submissions get half as much time again."""
