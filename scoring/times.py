"""Times to target of trials, studies and submissions, and which of them count.

Two rules choose a study's trial:

- `documented`: the fastest. Hits after the budget do not count, nor do directories not called trial_<number>.
- `official`, what the official implementation does: the trial that hits the target in the earliest row of its table,
  which is not always the fastest. The official implementation leaves ties to the order in which the file system lists
  directories; here the fastest trial wins, or the first name, or the first in a given order.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from scoring import rules
from scoring.errors import ScoringError
from scoring.logs import Logs
from scoring.targets import Targets

RULES = ("documented", "official")
UNITS = ("seconds", "steps")
TIES = ("fastest", "name")
_STUDY = ["submission", "workload", "study"]


def first_hits(logs: Logs) -> pd.DataFrame:
    """When each trial first reaches its validation target.

    Returns:
      `logs.trials`, with `hit_row` (number of the evaluation, from 0), `hit_time_sec` (submission time, seconds) and
      `hit_step`; all infinite if the target is not reached.
    """
    evaluations, trials = logs.evaluations, logs.trials
    targets = [logs.targets.workloads[workload] for workload in trials["workload"]]
    # After the exact change of sign, larger is better.
    sign = np.array([1.0 if target.direction == "max" else -1.0 for target in targets])
    bound = np.array([target.validation_target for target in targets])
    trial = evaluations["trial_id"].to_numpy()
    reached = np.flatnonzero(sign[trial] * evaluations["validation"].to_numpy() >= sign[trial] * bound[trial])
    hit_trials, first = np.unique(trial[reached], return_index=True)
    at = reached[first]
    hits = trials.copy()
    for name, column in (
        ("hit_row", "row"),
        ("hit_time_sec", "submission_time_sec"),
        ("hit_step", "global_step"),
    ):
        values = np.full(len(trials), np.inf)
        values[hit_trials] = evaluations[column].to_numpy()[at]
        hits[name] = values
    return hits


def within_budget(hits: pd.DataFrame, logs: Logs) -> np.ndarray:
    """Whether each trial's hit is within the budget; true for a trial without a hit."""
    budgets = np.array([logs.targets.budget_sec(name, logs.ruleset) for name in hits["workload"]])
    seconds = hits["hit_time_sec"].to_numpy()
    return (seconds <= budgets) | np.isinf(seconds)


def trials_by_preference(
    logs: Logs, *, rule: str = "documented", ties: str | Sequence[str] = "fastest", unit: str = "seconds"
) -> pd.DataFrame:
    """The trials that may count, with each study's trials in the order in which the rule prefers them.

    Args:
      logs: from `load`.
      rule: "documented" or "official", see the module.
      ties: for the official rule: "fastest", "name", or paths of trials, the preferred first (other trials follow by
        name).
      unit: "seconds" of submission time, or "steps".

    Returns:
      A row per trial, sorted by submission, workload and study, then by preference: the columns of `first_hits`, and
      `value` (seconds or steps, infinite for a miss). A study's value is that of its first trial.

    Raises:
      ScoringError: the rule, ties or unit is unknown.
    """
    for value, known in ((rule, RULES), (unit, UNITS), *(((ties, TIES),) if isinstance(ties, str) else ())):
        if value not in known:
            raise ScoringError(f"unknown choice {value!r}; expected {' or '.join(known)}")
    hits = first_hits(logs)
    column = "hit_step" if unit == "steps" else "hit_time_sec"
    hits["value"] = hits[column]
    if rule == "documented":
        hits = pd.DataFrame(hits[hits["regular_name"]])
        hits.loc[~within_budget(hits, logs), ["value", "hit_row"]] = np.inf
        order = ["value", "hit_row", "path"]
    elif ties == "fastest":
        order = ["hit_row", "value", "path"]
    else:
        ranks = {} if isinstance(ties, str) else {path: rank for rank, path in enumerate(ties)}
        hits["rank"] = hits["path"].map(lambda path: ranks.get(path, len(ranks)))
        order = ["hit_row", "rank", "path"]
    return hits.sort_values([*_STUDY, *order])


def study_times(
    logs: Logs, *, rule: str = "documented", ties: str | Sequence[str] = "fastest", unit: str = "seconds"
) -> pd.DataFrame:
    """The chosen trial and the time of each study.

    Args:
      logs: from `load`.
      rule: as for `trials_by_preference`.
      ties: as for `trials_by_preference`.
      unit: "seconds" of submission time, or "steps".

    Returns:
      A row per submission, workload and study, in order of names: `trials_read`, `trials_reaching_target`,
      `chosen_trial` and `chosen_eval_row` (number from 0; both empty if no trial reaches the target), `value` (seconds
      or steps, infinite for a miss).

    Raises:
      ScoringError: unknown rule, ties or unit.
    """
    trials = trials_by_preference(logs, rule=rule, ties=ties, unit=unit)
    trials["reached"] = np.isfinite(trials["value"])
    groups = trials.groupby(_STUDY, sort=True)
    studies = groups.agg(
        trials_read=("reached", "size"),
        trials_reaching_target=("reached", "sum"),
        chosen_trial=("trial", "first"),
        chosen_eval_row=("hit_row", "first"),
        value=("value", "first"),
    ).reset_index()
    missed = np.isinf(studies["value"])
    studies["chosen_trial"] = studies["chosen_trial"].mask(missed)
    studies["chosen_eval_row"] = studies["chosen_eval_row"].mask(missed).astype("Int64")
    return studies


def medians(studies: pd.DataFrame) -> pd.DataFrame:
    """Median over the studies that were read: index `submission`, a column per workload; infinite for a miss, NaN if
    never read.
    """
    long = studies.groupby(["submission", "workload"])["value"].agg(lambda values: float(np.median(values)))
    return pd.DataFrame(long.unstack("workload")).sort_index(axis=1)


def workloads_that_count(read: Iterable[str], targets: Targets, *, empty_means_all: bool = False) -> list[str]:
    """Names of the base and held-out workloads, in order.

    Args:
      read: names of the workloads with logs of any submission.
      targets: names the base and held-out workloads.
      empty_means_all: if no workload is held out, treat every other workload read as held out, as the official
        implementation does.
    """
    named = {*targets.base_workloads, *targets.held_out_workloads}
    return sorted({*read, *named} if empty_means_all and not targets.held_out_workloads else named)


def counted_times(times: pd.DataFrame, targets: Targets, *, empty_means_all: bool = False) -> pd.DataFrame:
    """The times on base workloads that count, by `rules.counted_times`.

    Args:
      times: from `medians`.
      targets: names the base and held-out workloads.
      empty_means_all: as for `workloads_that_count`.

    Returns:
      Index as in `times`, the base workloads in order of their names; NaN if never read.
    """
    workloads = workloads_that_count(times.columns, targets, empty_means_all=empty_means_all)
    counted = rules.counted_times(times.reindex(columns=workloads).to_numpy(dtype=float), workloads, targets)
    return pd.DataFrame(counted, index=times.index, columns=sorted(targets.base_workloads))
