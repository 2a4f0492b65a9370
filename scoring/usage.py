"""Resources that the runs used: steps, time and its parts, device-hours, money and energy."""

import numpy as np
import pandas as pd

from scoring.errors import ScoringError
from scoring.logs import Logs
from scoring.machines import machines
from scoring.summaries import step_times
from scoring.times import medians, study_times

_SECONDS_PER_HOUR = 3600.0
_JOULES_PER_KILOWATT_HOUR = 3.6e6
_KEYS = ["submission", "workload"]


def _trial_ends(logs: Logs, devices: float | pd.Series | None) -> pd.DataFrame:
    """What each trial had used by its last evaluation, a row per trial."""
    last = np.cumsum(logs.trials["evaluations"].to_numpy()) - 1
    ends = pd.DataFrame(logs.evaluations.iloc[last].reset_index(drop=True))
    total = ends["total_duration_sec"].fillna(ends["submission_time_sec"])
    count = machines(logs)["devices"] if devices is None else devices
    return logs.trials[_KEYS].assign(
        steps=ends["global_step"],
        submission_hours=ends["submission_time_sec"] / _SECONDS_PER_HOUR,
        total_hours=total / _SECONDS_PER_HOUR,
        median_evaluation_share=ends["evaluation_time_sec"]
        / (ends["evaluation_time_sec"] + ends["submission_time_sec"]),
        evaluation_hours=ends["evaluation_time_sec"] / _SECONDS_PER_HOUR,
        logging_hours=ends["logging_time_sec"] / _SECONDS_PER_HOUR,
        device_hours=total / _SECONDS_PER_HOUR * count,
        energy_kwh=ends["energy_joules"] / _JOULES_PER_KILOWATT_HOUR,
    )


def usage(
    logs: Logs,
    *,
    rule: str = "documented",
    devices: float | pd.Series | None = None,
    price_per_device_hour: float | None = None,
) -> pd.DataFrame:
    """Resources that the runs of each submission used, up to their last evaluation.

    Args:
      logs: from `scoring.load`.
      rule: how a study's trial is chosen, see `times`; only `steps_to_target` depends on it.
      devices: number of devices of all runs, or of each run; None for the number in each run's meta data.
      price_per_device_hour: price of one device for one hour, in any currency.

    Returns:
      A row per submission and workload, and one per submission with the workload "all": `trials` (with evaluations),
      `step_time_sec` (median, as in `summaries.step_times`), `steps_to_target` (median over studies, infinite for a
      miss), `steps`, `submission_hours` (time on the clock), `total_hours` (wall time, or time on the clock where a log
      has no wall time), `submission_share`, `evaluation_share`, `logging_share` (of the wall time), `device_hours`
      (wall time times devices), `cost` (if there is a price), `energy_kwh`. Sums are over trials.
      `median_evaluation_share` is a median over trials: evaluation time divided by the sum of evaluation time and time
      on the clock, as in the published analysis of the logs of 2026. A value is NaN if the logs of any trial do not
      contain it.

    Raises:
      ScoringError: a number of devices or a price is not positive, or a file of meta data is damaged.
    """
    for name, value in (("devices", devices), ("price per device-hour", price_per_device_hour)):
        if isinstance(value, int | float) and not 0 < value < np.inf:
            raise ScoringError(f"{name} is {value!r}; expected a positive number")
    ends = _trial_ends(logs, devices)
    ends = pd.concat([ends, ends.assign(workload="all")])
    groups = ends.groupby(_KEYS)
    table = pd.DataFrame({"trials": groups.size()})
    table["step_time_sec"] = step_times(logs)
    table["steps_to_target"] = medians(study_times(logs, rule=rule, unit="steps")).stack()
    # NaN if any trial has no value.
    sums = groups.agg(lambda values: values.sum(skipna=False))
    table = table.join(sums[["steps", "submission_hours", "total_hours"]])
    table["submission_share"] = sums["submission_hours"] / sums["total_hours"]
    table["evaluation_share"] = sums["evaluation_hours"] / sums["total_hours"]
    table["logging_share"] = sums["logging_hours"] / sums["total_hours"]
    table["median_evaluation_share"] = groups["median_evaluation_share"].agg(lambda values: values.median(skipna=False))
    table["device_hours"] = sums["device_hours"]
    if price_per_device_hour is not None:
        table["cost"] = sums["device_hours"] * price_per_device_hour
    table["energy_kwh"] = sums["energy_kwh"]
    return table.reset_index()
