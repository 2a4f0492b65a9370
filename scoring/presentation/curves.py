"""Chooses the trials that show how a submission learns, and which of their points are drawn."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd

from scoring.logs import Logs
from scoring.presentation.series import Series, all_series
from scoring.scores import Scores
from scoring.targets import WorkloadTarget

_STUDY = ["submission", "workload", "study"]
# A diverging run, or the first evaluations of any run, would squeeze the rest: shares of the budget and of the values.
_EARLY, _BULK, _MARGIN = 0.08, 0.9, 0.05


@dataclasses.dataclass(frozen=True)
class Curve:
    """The validation metric of a trial.

    Attributes:
      series: the submission.
      study: its study.
      trial: the study's best trial: the one that the scores chose or, if all miss, the one with the best metric.
      typical: whether the study is the middle one of the submission, by time to target, then by the best metric.
      time_sec: submission time of each evaluation with a finite metric, seconds.
      validation: the metric there.
      hit: index of the first of these evaluations at the target, or None.
    """

    series: Series
    study: str
    trial: str
    typical: bool
    time_sec: np.ndarray
    validation: np.ndarray
    hit: int | None


@dataclasses.dataclass(frozen=True)
class WorkloadCurves:
    """The curves of one workload.

    Attributes:
      workload: its name.
      target: metric, direction and value.
      budget_sec: submission time allowed, seconds; infinite if unknown.
      curves: the best trial of every study; submissions in the order of the leaderboard, the typical study last.
    """

    workload: str
    target: WorkloadTarget
    budget_sec: float
    curves: tuple[Curve, ...]

    @property
    def end_sec(self) -> float:
        """Where the time axis ends."""
        if np.isfinite(self.budget_sec):
            return self.budget_sec
        return max((float(curve.time_sec[-1]) for curve in self.curves), default=1.0) or 1.0

    @property
    def value_range(self) -> tuple[float, float]:
        """Ends of the metric's axis: they enclose the target, the best value, and most values that are not early."""
        sign = -1.0 if self.target.direction == "min" else 1.0
        late = [curve.validation[curve.time_sec > _EARLY * self.end_sec] for curve in self.curves]
        values = sign * np.concatenate([[self.target.validation_target], *late])
        worst, best = float(np.quantile(values, 1.0 - _BULK)), float(values.max())
        worst = min(worst, sign * self.target.validation_target)
        margin = _MARGIN * (best - worst) or max(abs(best), 1.0) * _MARGIN
        low, high = sorted((sign * (worst - margin), sign * (best + margin)))
        return low, high


def _best_trials(logs: Logs, scores: Scores) -> pd.DataFrame:
    """One row of `logs.trials` per study of a base workload, with its `value` and its `best` metric (small is good)."""
    trials = pd.DataFrame(logs.trials[logs.trials["workload"].isin(list(logs.targets.base_workloads))])
    signs = {name: -1.0 if target.direction == "max" else 1.0 for name, target in logs.targets.workloads.items()}
    values = logs.evaluations["validation"].where(np.isfinite(logs.evaluations["validation"]))
    best = values.groupby(logs.evaluations["trial_id"])
    sign = pd.Series([signs[workload] for workload in trials["workload"]], index=trials.index)
    best = (best.min() * (sign > 0) + best.max() * (sign < 0)).reindex(trials.index) * sign
    trials = trials.assign(best=best).merge(scores.studies[[*_STUDY, "chosen_trial", "value"]], on=_STUDY)
    chosen = trials["chosen_trial"].isna() | trials["chosen_trial"].eq(trials["trial"])
    candidates = pd.DataFrame(trials[trials["best"].notna() & chosen])
    return pd.DataFrame(candidates.sort_values([*_STUDY, "best", "path"]).groupby(_STUDY).head(1))


def workload_curves(logs: Logs, scores: Scores) -> list[WorkloadCurves]:
    """The curves of every base workload that has any, sorted by name."""
    rows = _best_trials(logs, scores).sort_values([*_STUDY[:2], "value", "best", "study"])
    starts = np.concatenate([[0], np.cumsum(logs.trials["evaluations"].to_numpy())])
    time = logs.evaluations["submission_time_sec"].to_numpy()
    validation = logs.evaluations["validation"].to_numpy()
    found = []
    for workload, of_workload in rows.groupby("workload", sort=True):
        target = logs.targets.workloads[str(workload)]
        sign = 1.0 if target.direction == "max" else -1.0
        curves = []
        for series in all_series(scores):
            own = of_workload[of_workload["submission"] == series.submission]
            middle = (len(own) - 1) // 2
            for rank, (number, study, trial) in enumerate(
                zip(own["trial_id"], own["study"], own["trial"], strict=True)
            ):
                part = slice(starts[number], starts[number + 1])
                finite = np.isfinite(validation[part])
                values = validation[part][finite]
                hits = np.flatnonzero(sign * values >= sign * target.validation_target)
                hit = int(hits[0]) if hits.size else None
                curves.append(Curve(series, study, trial, rank == middle, time[part][finite], values, hit))
        curves.sort(key=lambda curve: (curve.series.number, curve.typical))
        budget = logs.targets.budget_sec(str(workload), logs.ruleset)
        found.append(WorkloadCurves(str(workload), target, budget, tuple(curves)))
    return found


def drawn_points(place: np.ndarray, value: np.ndarray, kept: Sequence[int], bins: int) -> np.ndarray:
    """Indices of the points that suffice to draw a line.

    These are the first and the last, the lowest and the highest in each of `bins` equal parts of the width, and `kept`.

    Args:
      place: where the points are, in ascending order.
      value: their heights.
      kept: indices of points that must stay.
      bins: number of parts.
    """
    if len(place) <= 2 * bins:
        return np.arange(len(place))
    width = (place[-1] - place[0]) / bins or 1.0
    part = np.minimum((place - place[0]) // width, bins - 1)
    order = np.lexsort((value, part))
    edges = np.flatnonzero(np.diff(part[order]))
    lowest = order[np.concatenate([[0], edges + 1])]
    highest = order[np.concatenate([edges, [len(order) - 1]])]
    return np.unique(np.concatenate([[0, len(place) - 1], lowest, highest, np.asarray(kept, dtype=int)]))
