"""Reads about the machine of each trial from `meta_data_<n>.json`.

A trial has one such file for every process that worked on it, so preempted runs have several. The published logs and
this project's own use the same keys; `calibration.relative_speed` is read where a log has it.
"""

import dataclasses
import json
import os
import pathlib
from typing import Any

import numpy as np
import pandas as pd

from scoring.errors import ScoringError
from scoring.log_tree import meta_data_files
from scoring.logs import Logs

RELATIVE_SPEED = "calibration.relative_speed"


def _devices(facts: dict[str, Any], file: str) -> tuple[str | None, float]:
    """Name and number of the accelerators; a machine without accelerators counts as one device.

    Raises:
      ValueError: the name is not text, or the number is not a positive number; the message says which.
    """
    own = facts.get("devices")
    if isinstance(own, dict):
        name, count = own.get("kind"), own.get("count")
    else:
        count = facts.get("gpu_count", facts.get("gpu.count"))
        name = facts.get("cpu_model_name" if count == 0 else "gpu_model_name")
        count = 1 if count == 0 else count
    if count is None:
        return None, np.nan
    if not isinstance(name, str | None):
        raise ValueError(f"the name of the devices in {file} is {name!r}; expected text")
    if isinstance(count, bool) or not isinstance(count, int | float) or not 0 < count < np.inf:
        raise ValueError(f"the number of devices in {file} is {count!r}; expected a positive number")
    return name, float(count)


def _facts(path: pathlib.Path) -> dict[str, Any]:
    """The content of a meta data file.

    Raises:
      ValueError: the content is invalid; the message says how.
    """
    try:
        facts = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path.name} is not JSON ({error})") from error
    if not isinstance(facts, dict):
        raise ValueError(f"{path.name} holds {type(facts).__name__}; expected an object")
    speed = facts.get(RELATIVE_SPEED, 1.0)
    if not isinstance(speed, int | float) or not 0 < speed < np.inf:
        raise ValueError(f"{RELATIVE_SPEED} in {path.name} is {speed!r}; expected a positive number")
    return facts


def machines(logs: Logs) -> pd.DataFrame:
    """The machine of each trial.

    Returns:
      A row per trial, in the order of `logs.trials`: `trial_id`, `processes` (number that worked on it, one after
      another; 0 if unknown), `device` (name, or None), `devices` (number; NaN if unknown), `relative_speed` (of the
      machine by calibration, where 1 is the benchmark's own hardware; NaN without calibration), `problem` (why a
      damaged file could not be used, or None). If several processes disagree, `device` has all names, `devices` the
      largest number and `relative_speed` their mean.
    """
    rows = []
    for trial_id, trial in zip(logs.trials["trial_id"], logs.trials["path"], strict=True):
        folder = logs.folder / trial
        files = meta_data_files(os.listdir(folder))
        problem, names, counts, speeds = None, [], [], []
        for file in files:
            try:
                facts = _facts(folder / file)
                name, count = _devices(facts, file)
            except ValueError as error:
                problem = str(error)
                continue
            names += [name] if name is not None and name not in names else []
            counts.append(count)
            speeds.append(float(facts.get(RELATIVE_SPEED, np.nan)))
        rows.append(
            {
                "trial_id": trial_id,
                "processes": len(files),
                "device": ", ".join(names) or None,
                "devices": max((count for count in counts if np.isfinite(count)), default=np.nan),
                # One process of unknown speed leaves the speed of the trial unknown.
                "relative_speed": float(np.mean(speeds)) if len(speeds) == len(files) > 0 else np.nan,
                "problem": problem,
            }
        )
    return pd.DataFrame(rows)


_SECONDS = ("submission_time_sec", "total_duration_sec", "evaluation_time_sec", "logging_time_sec")


def calibrated(logs: Logs) -> Logs:
    """Converts every time to the benchmark's own hardware, by multiplying it with the machine's relative speed.

    Raises:
      ScoringError: the log of a trial has no calibration; the message names the trial.
    """
    table = machines(logs)
    unknown = np.flatnonzero(table["relative_speed"].isna())
    if len(unknown):
        first = int(unknown[0])
        why = table["problem"].iloc[first] or f"no {RELATIVE_SPEED} in its meta_data files"
        raise ScoringError(
            f"{logs.folder / logs.trials['path'].iloc[first]}: {why}; {len(unknown) - 1} more trials have no "
            "calibration; score without --calibrated"
        )
    speed = table["relative_speed"].to_numpy()[logs.evaluations["trial_id"].to_numpy()]
    return dataclasses.replace(
        logs, evaluations=logs.evaluations.assign(**{name: logs.evaluations[name] * speed for name in _SECONDS})
    )
