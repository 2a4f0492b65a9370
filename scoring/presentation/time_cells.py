"""Times to target as cells of a heat map: what each says, and why some do not count."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import pandas as pd

from scoring.logs import Logs
from scoring.presentation.report_table import MISS
from scoring.presentation.series import all_series, amount_text
from scoring.rules import MAX_RATIO
from scoring.scores import Scores

COUNTED, SLOW, HELD_OUT, MISSED, NEVER_RUN = "counted", "slow", "held out", "missed", "never run"


@dataclasses.dataclass(frozen=True)
class TimeCell:
    """The time of a submission on a base workload.

    Attributes:
      submission: its name.
      workload: its name.
      value: median over studies, in the unit of the scores; infinite for a miss, NaN if nothing was read.
      share: `value` divided by the budget; NaN if the value is not finite or the budget unknown.
      state: `COUNTED`; `SLOW` or `HELD_OUT`, if that rule makes the time a miss; `MISSED`; `NEVER_RUN`.
      lines: text of the cell, one or two lines.
      detail: the same as a sentence.
    """

    submission: str
    workload: str
    value: float
    share: float
    state: str
    lines: tuple[str, ...]
    detail: str


def budgets(logs: Logs, scores: Scores) -> dict[str, float]:
    """Base and held-out workloads -> budget in the unit of the scores (steps: the step hint), infinite if unknown."""
    targets = logs.targets
    names = (*targets.base_workloads, *targets.held_out_workloads)
    if scores.unit == "steps":
        return {name: float(targets.workloads[name].step_hint or np.inf) for name in names}
    return {name: targets.budget_sec(name, logs.ruleset) for name in names}


def _lost_variants(scores: Scores, base: str, named: Mapping[str, float]) -> dict[str, list[str]]:
    """Submission -> held-out variants of `base` that it misses or trains too slowly."""
    others = [name for name in named if name not in scores.counted_times.columns and base in name]
    times = scores.times.reindex(columns=[base, *others])
    lost: dict[str, list[str]] = {str(submission): [] for submission in times.index}
    for variant in others:
        reached = np.isfinite(times[base].to_numpy(dtype=float))
        seconds = np.where(reached, times[variant].to_numpy(dtype=float), np.inf)
        limit = np.nanmin(seconds, initial=np.inf) * MAX_RATIO
        for submission, value in zip(times.index, seconds, strict=True):
            if not (np.isfinite(value) and value <= limit):
                lost[str(submission)].append(variant)
    return lost


def _studies(scores: Scores) -> pd.DataFrame:
    reached = scores.studies.assign(reached=np.isfinite(scores.studies["value"].to_numpy(dtype=float)))
    return pd.DataFrame(reached.groupby(["submission", "workload"])["reached"].agg(["sum", "size"]))


def time_cells(scores: Scores, budgets: Mapping[str, float]) -> list[TimeCell]:
    """One cell per submission (in the order of the leaderboard) and base workload.

    Args:
      scores: from `scoring.score`.
      budgets: workload -> budget in the unit of the scores; held-out workloads among them are named where they make the
        time of their base workload a miss.
    """
    bases = [str(name) for name in scores.counted_times.columns]
    times = scores.times.reindex(columns=bases).astype(float)
    too_slow = times > MAX_RATIO * times.min()
    lost = {base: _lost_variants(scores, base, budgets) for base in bases}
    studies = _studies(scores)
    cells = []
    for series in all_series(scores):
        name = series.submission
        for base in bases:
            value, counted = float(times.at[name, base]), float(scores.counted_times.at[name, base])
            budget = budgets.get(base, np.inf)
            share = value / budget if np.isfinite(value) and np.isfinite(budget) else np.nan
            text = amount_text(value, scores.unit) if np.isfinite(value) else ""
            percent = f"{share:.0%}" if np.isfinite(share) else ""
            of_budget = f", {percent} of the {'step hint' if scores.unit == 'steps' else 'budget'}" if percent else ""
            if np.isnan(value):
                state, lines, detail = NEVER_RUN, ("no logs",), "no evaluation in the logs"
            elif np.isinf(value):
                reached, read = studies.loc[(name, base)]
                state, lines = MISSED, (MISS,)
                detail = f"a miss: the target is reached in {reached} of {read} studies"
            elif np.isfinite(counted):
                state, lines, detail = COUNTED, (text, percent), f"{text}{of_budget}"
                detail += f", {scores.ratios.at[name, base]:.2f} times the best"
            elif too_slow.at[name, base]:
                state, lines = SLOW, (text, f"> {MAX_RATIO:g}× best")
                detail = f"{text}{of_budget}; does not count: more than {MAX_RATIO:g} times the best"
            else:
                state, lines = HELD_OUT, (text, "held-out")
                variants = " and ".join(lost[base][name]) or "a held-out variant"
                detail = f"{text}{of_budget}; does not count: missed, or too slow, on {variants}"
            cells.append(TimeCell(name, base, value, share, state, tuple(filter(None, lines)), detail))
    return cells
