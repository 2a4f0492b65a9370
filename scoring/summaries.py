"""What each trial reached, one row per trial, and whether a submission's logs are complete."""

import numpy as np
import pandas as pd

from scoring.errors import ScoringError
from scoring.logs import Logs
from scoring.times import first_hits

# In the published logs, runs have either fewer than two evaluation periods left, or many.
_SEVERAL_EVALUATIONS = 3


def _differences(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Differences between neighbours; the first of each trial is counted from 0."""
    differences = np.diff(values, prepend=0.0)
    differences[starts] = values[starts]
    return differences


def step_times(logs: Logs) -> pd.Series:
    """Median seconds per step between evaluations, over all trials: index `submission`, `workload`."""
    evaluations = logs.evaluations
    trial = evaluations["trial_id"].to_numpy()
    starts = np.flatnonzero(np.diff(trial, prepend=-1))
    seconds = _differences(evaluations["submission_time_sec"].to_numpy(), starts)
    steps = _differences(evaluations["global_step"].to_numpy(), starts)
    # No steps between two evaluations says nothing about the time of a step.
    per_step = np.divide(seconds, steps, out=np.full(len(steps), np.nan), where=steps > 0)
    keys = logs.trials.iloc[trial][["submission", "workload"]].reset_index(drop=True)
    return keys.assign(step_time_sec=per_step).groupby(["submission", "workload"])["step_time_sec"].median()


def ended_early(logs: Logs) -> np.ndarray:
    """Whether each trial ended without its target and with budget left for several evaluations; bool [trials].

    Such a run crashed, diverged or was stopped. "Several" means more than three times the longest time between two
    evaluations. A trial with only one evaluation has no such time; it ended early, too.
    """
    trials, evaluations = logs.trials, logs.evaluations
    trial, seconds = evaluations["trial_id"].to_numpy(), evaluations["submission_time_sec"].to_numpy()
    ends = np.cumsum(trials["evaluations"].to_numpy())
    between = np.diff(seconds, prepend=0.0)
    between[np.flatnonzero(np.diff(trial, prepend=-1))] = 0.0
    longest = np.maximum.reduceat(between, [0, *ends[:-1]])
    budgets = np.array([logs.targets.budget_sec(name, logs.ruleset) for name in trials["workload"]])
    left = budgets - seconds[ends - 1]
    missed = np.isinf(first_hits(logs)["hit_time_sec"].to_numpy())
    return missed & np.isfinite(left) & (left > _SEVERAL_EVALUATIONS * longest)


def trial_summaries(logs: Logs, *, rule: str = "documented") -> pd.DataFrame:
    """The best evaluation and the first hit of each trial.

    Returns:
      A row per trial: `submission`, `workload`, `framework`, `study`, `trial`, `metric`, `validation_target`,
      `reached`, `best_validation`, `time_to_best_sec` (submission time of the first evaluation with that value,
      seconds), `time_to_target_sec` (infinite if not reached), `ended_early` (as in `ended_early`), `step_time_sec` (as
      in `step_times`), `step_hint`. Under the official rule `time_to_best_sec` is the time of the first blank metric,
      if there is one.
    """
    hits, evaluations = first_hits(logs), logs.evaluations
    targets = [logs.targets.workloads[workload] for workload in hits["workload"]]
    ends = np.cumsum(hits["evaluations"].to_numpy())
    validation, time = evaluations["validation"].to_numpy(), evaluations["submission_time_sec"].to_numpy()
    best, best_time = [], []
    for target, start, end in zip(targets, [0, *ends[:-1]], ends, strict=True):
        values = validation[start:end] * (-1.0 if target.direction == "max" else 1.0)
        known = np.where(np.isnan(values), np.inf, values)
        at = int(np.argmin(values if rule == "official" else known))
        best.append(validation[start + int(np.argmin(known))])
        best_time.append(time[start + at])
    table = hits[["submission", "workload", "framework", "study", "trial"]].copy()
    table["metric"] = [f"validation/{target.metric}" for target in targets]
    table["validation_target"] = [target.validation_target for target in targets]
    table["reached"] = np.isfinite(hits["hit_time_sec"])
    table["best_validation"] = best
    table["time_to_best_sec"] = best_time
    table["time_to_target_sec"] = hits["hit_time_sec"]
    table["ended_early"] = ended_early(logs)
    table = table.join(step_times(logs), on=["submission", "workload"])
    table["step_hint"] = pd.array([target.step_hint for target in targets], dtype="Int64")
    return table


def validity(logs: Logs) -> pd.DataFrame:
    """Whether the logs suffice for an official score: every scored workload with all its studies and trials.

    Returns:
      A row per submission and scored workload: `studies` and `studies_expected`, `fewest_trials` (of a study) and
      `most_trials`, `trials_expected`, `ended_early` (number of such trials), `complete`.
    """
    targets = logs.targets
    scored = sorted({*targets.base_workloads, *targets.held_out_workloads})
    per_study = logs.trials.groupby(["submission", "workload", "study"]).size()
    per_workload = per_study.groupby(["submission", "workload"]).agg(["size", "min", "max"])
    every = pd.MultiIndex.from_product(
        [sorted(logs.trials["submission"].unique()), scored], names=["submission", "workload"]
    )
    counts = per_workload.reindex(every, fill_value=0)
    table = counts.set_axis(["studies", "fewest_trials", "most_trials"], axis=1).reset_index()
    table.insert(3, "studies_expected", targets.studies)
    table["trials_expected"] = targets.trials_expected(logs.ruleset)
    early = logs.trials[ended_early(logs)].groupby(["submission", "workload"]).size()
    table["ended_early"] = early.reindex(every, fill_value=0).to_numpy()
    table["complete"] = (table["studies"] == table["studies_expected"]) & (
        (table["fewest_trials"] == table["trials_expected"]) & (table["most_trials"] == table["trials_expected"])
    )
    return table


def require_complete(logs: Logs) -> None:
    """Checks that the logs suffice for an official score, as in `validity`.

    Raises:
      ScoringError: they do not; the message names the first gap and counts the others.
    """
    table = validity(logs)
    gaps = table[~table["complete"]]
    if gaps.empty:
        return
    first = gaps.iloc[0]
    trials = sorted({int(first["fewest_trials"]), int(first["most_trials"])})
    raise ScoringError(
        f"logs are not complete: {first['submission']} has {first['studies']} of {first['studies_expected']} studies "
        f"of {first['workload']}, with {' to '.join(map(str, trials))} of {first['trials_expected']} trials; "
        f"{len(gaps) - 1} more pairs of submission and workload have gaps; without --strict, validity.csv in --out "
        "lists all"
    )
