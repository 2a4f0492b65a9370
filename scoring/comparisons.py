"""Breaks scores down: by steps and time, speedups over a baseline, contributions of workloads, scores without one."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd

from scoring import profiles, rules
from scoring.errors import ScoringError
from scoring.logs import Logs
from scoring.scores import Scores, score
from scoring.times import UNITS


@dataclasses.dataclass(frozen=True)
class Speedups:
    """How many times faster than a baseline each submission is, including the baseline itself.

    Attributes:
      baseline: the submission that the others are compared with.
      workloads: a row per submission and base workload: `submission`, `workload`, the medians `time_sec` and
        `baseline_time_sec` (seconds, infinite for a miss, NaN if never read; the rules on held-out and slow workloads
        are not applied), `budget_sec` (of the ruleset; infinite if unknown) and `speedup`, baseline time divided by
        time, so 2 is twice as fast. A miss counts as the budget plus one second, so two misses are equal. NaN where
        something was never read, or was missed and has no budget.
      means: a row per submission, the fastest first: `submission`, `workloads` (number of those with a speedup),
        `geometric_mean`, `arithmetic_mean` and `harmonic_mean` over all base workloads, NaN if one has no speedup;
        `percent_faster`, the percentage by which the geometric mean of the time ratios is below 1.
    """

    baseline: str
    workloads: pd.DataFrame
    means: pd.DataFrame


def _rows(**names: Sequence[str] | pd.Index) -> pd.DataFrame:
    """A row per combination; the last name varies fastest."""
    return pd.MultiIndex.from_product(list(names.values()), names=list(names)).to_frame(index=False)


def speedup_table(logs: Logs, scores: Scores, baseline: str = "baseline") -> Speedups:
    """Speedups over `baseline` on the base workloads, with the budgets of the logs' targets and ruleset.

    Args:
      logs: from `load`.
      scores: of these logs, in seconds.
      baseline: name of a submission.

    Raises:
      ScoringError: there is no such submission, or the scores are in steps.
    """
    if scores.unit != "seconds":
        raise ScoringError(f"speedups compare seconds with budgets; the scores are in {scores.unit}")
    targets = logs.targets
    budgets = {name: targets.budget_sec(name, logs.ruleset) for name in sorted(targets.base_workloads)}
    times = scores.times.reindex(columns=list(budgets)).astype(float)
    # Without a budget there is no time to substitute for a miss.
    known = times.where(np.isfinite(list(budgets.values())) | (times != np.inf))
    factors, means = profiles.speedups(known, baseline, budgets)
    rows = _rows(submission=factors.index, workload=factors.columns)
    rows["time_sec"] = times.to_numpy().ravel()
    rows["baseline_time_sec"] = np.tile(times.loc[baseline].to_numpy(), len(times))
    rows["budget_sec"] = np.tile(list(budgets.values()), len(times))
    rows["speedup"] = factors.to_numpy().ravel()
    means.insert(0, "workloads", factors.notna().sum(axis=1))
    means["percent_faster"] = 100.0 * (1.0 - 1.0 / means["geometric_mean"])
    means = means.rename_axis("submission").reset_index()
    means = means.sort_values(["geometric_mean", "submission"], ascending=[False, True], ignore_index=True)
    return Speedups(baseline, rows, means)


def contributions(scores: Scores) -> pd.DataFrame:
    """What each workload adds to the scores.

    Returns:
      A row per submission and base workload, submissions in the order of the leaderboard: `submission`, `workload`,
      `ratio` (to the best; infinite for a miss, NaN if never read), `contribution` and `exact_contribution`, which add
      up over the workloads to `score` and `exact_score` except for rounding, and `share` and `exact_share`, the
      fractions of the score that they are; NaN if the score is 0.
    """
    grid = scores.profile.columns.to_numpy(dtype=float)
    order = scores.leaderboard["submission"].tolist()
    ratios = scores.ratios.loc[order]
    values = ratios.to_numpy()
    # Each workload gets an axis of length 1 here, so each profile is that of one workload.
    alone = rules.profile_heights(values[:, :, None], grid)
    on_grid = rules.mean_heights(alone, profiles.grid_places(grid, scale=scores.scale)) / values.shape[1]
    exact = rules.exact_heights(values, grid[-1]) / values.shape[1]
    table = _rows(submission=order, workload=ratios.columns).assign(ratio=values.ravel())
    for prefix, parts in (("", on_grid), ("exact_", exact)):
        totals = parts.sum(axis=1, keepdims=True)
        shares = np.divide(parts, totals, out=np.full_like(parts, np.nan), where=totals > 0.0)
        table[f"{prefix}contribution"], table[f"{prefix}share"] = parts.ravel(), shares.ravel()
    return table


def by_steps_and_time(logs: Logs, *, rule: str = "documented", ties: str | Sequence[str] = "fastest") -> pd.DataFrame:
    """How the leaderboard changes if steps are counted instead of seconds, as if all steps took equally long.

    Args:
      logs: from `load`.
      rule: as for `score`.
      ties: as for `score`.

    Returns:
      A row per submission, in the order of the leaderboard by time: `submission`, `score_by_steps`, `score_by_time`,
      `rank_by_steps`, `rank_by_time`, and `rank_shift`, the second rank minus the first.
    """
    by_time, by_steps = (score(logs, rule=rule, ties=ties, unit=unit).leaderboard for unit in UNITS)
    submissions = by_time["submission"].tolist()
    table = pd.DataFrame({"submission": submissions})
    table["score_by_steps"] = by_steps.set_index("submission").loc[submissions, "score"].to_numpy()
    table["score_by_time"] = by_time["score"].to_numpy()
    for clock in ("steps", "time"):
        table[f"rank_by_{clock}"] = rules.ranks(table[f"score_by_{clock}"].to_numpy())
    return table.assign(rank_shift=table["rank_by_time"] - table["rank_by_steps"])


@dataclasses.dataclass(frozen=True)
class LeaveOneOut:
    """Scores over all base workloads but one; its held-out variants are left out with it.

    Attributes:
      scores: a row per base workload and submission, submissions in the order of the leaderboard: `left_out`,
        `submission`, `score`, `exact_score`, `rank` (by `score`; ties share a rank), `score_change` and `rank_change`:
        the value without the workload minus the one with all.
      changes: a row per base workload: `left_out`, `ranks_changed` (number of submissions whose rank changes),
        `largest_score_change` (absolute value).
    """

    scores: pd.DataFrame
    changes: pd.DataFrame


def leave_one_out(scores: Scores) -> LeaveOneOut:
    """Leaves out each base workload in turn; the tables are empty if there is only one."""
    order = scores.leaderboard["submission"].tolist()
    values, names = scores.ratios.loc[order].to_numpy(), list(scores.ratios.columns)
    left_out = names if len(names) > 1 else []
    others = np.empty((len(left_out), len(order), len(names) - 1))
    for place in range(len(left_out)):
        others[place] = np.delete(values, place, axis=1)
    grid = scores.profile.columns.to_numpy(dtype=float)
    places = profiles.grid_places(grid, scale=scores.scale)
    on_grid, exact = (
        rules.mean_heights(rules.profile_heights(others, grid), places),
        rules.exact_scores(others, grid[-1]),
    )
    ranks, whole = rules.ranks(on_grid), scores.leaderboard["score"].to_numpy()
    rank_changes = ranks - rules.ranks(whole)
    table = _rows(left_out=left_out, submission=order)
    table["score"], table["exact_score"], table["rank"] = on_grid.ravel(), exact.ravel(), ranks.ravel()
    table["score_change"], table["rank_change"] = (on_grid - whole).ravel(), rank_changes.ravel()
    changes = pd.DataFrame({"left_out": left_out, "ranks_changed": (rank_changes != 0).sum(axis=1)})
    changes["largest_score_change"] = np.abs(on_grid - whole).max(axis=1)
    return LeaveOneOut(table, changes)
