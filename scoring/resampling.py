"""Estimates how sure scores and ranks are, from few studies.

The true score is the one that endlessly many studies would give: each median over studies is that of all studies that
a submission would ever make on a workload, and infinite if more than half of them miss the target. Draws of such
medians are scored by the usual rules: held-out workloads, slow ones, and the ratio to the best, which comes from the
same draw. `intervals` lists the methods that make the draws; `python -m scoring.coverage` measures how often they are
right.

No method captures the following:

- Workloads are drawn independently of each other given what is typical of a submission, since the runs of a study on
  two workloads share nothing but its number. An effect on all workloads at once, such as a slow machine, is invisible.
- In the published logs a submission's studies try the same hyperparameters: trial k is the same point in each. That is
  the luck of one draw of points from the search space; nothing here knows how another draw would have done.
- What was never read stays a miss.

The resamples of the bootstrap methods draw, for each submission and workload, as many studies as were read, with
replacement; and for each study drawn, as many of its trials as it has, with replacement. That has consequences:

- With 3 or 5 studies a median takes few values. A workload with one study of one trial looks certain, and so does one
  that no trial reaches.
- The fastest of m trials is drawn in only 1 - (1 - 1/m)^m of the cases (67 % for 5), so resampled times tend to be
  later than those read, and are never earlier than the fastest.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd

from scoring import intervals, profiles, rules
from scoring.errors import ScoringError
from scoring.intervals import Studies
from scoring.logs import Logs
from scoring.targets import Targets
from scoring.times import trials_by_preference, workloads_that_count

# Number of elements of the largest array made at a time, 8 bytes each.
_CELLS = 2**22


@dataclasses.dataclass(frozen=True)
class Uncertainty:
    """Uncertainty of scores and ranks. Scores are between 0 and 1, probabilities are shares of draws.

    Attributes:
      rule: "documented" or "official".
      method: how intervals are made, one of `intervals.METHODS`.
      resamples: number of draws.
      seed: seed of the draws.
      level: how often intervals should hold the true value.
      intervals: a row per submission, in the order of the leaderboard: `submission`, `score` (on the grid of 100
        ratios), `score_low`, `score_high`, `exact_score`, `exact_score_low`, `exact_score_high` (integrated exactly),
        `rank` (by `score`; ties share a rank), `rank_low`, `rank_high`, `rule`, `method`, `level`, `resamples`, `seed`.
        The point values are those of `scoring.score`; low and high are the ends of intervals, for ranks rounded
        outwards to whole numbers. They need not be symmetric around the score, and may exclude it.
      faster: a row per ordered pair: `submission`, `other`, `probability` that the score of the first is higher,
        `rule`. Ties count half, so that the probabilities of both orders add up to 1.
      workload_faster: a row per ordered pair and workload that counts, including held-out ones: `submission`, `other`,
        `workload`, `probability` that the median time to target of the first is shorter (before the rules on held-out
        and slow workloads), `rule`. Ties, including two misses, count half; what was never read is a miss.
    """

    rule: str
    method: str
    resamples: int
    seed: int
    level: float
    intervals: pd.DataFrame
    faster: pd.DataFrame
    workload_faster: pd.DataFrame


def _studies(trials: pd.DataFrame) -> dict[tuple[str, str], Studies]:
    """Maps submission and workload to their studies; `trials` come from `times.trials_by_preference`."""
    place = trials.groupby(["submission", "workload", "study"]).cumcount().to_numpy()
    submissions, workloads, values = (trials[name].to_numpy() for name in ("submission", "workload", "value"))
    keys = list(zip(submissions, workloads, strict=True))
    starts = [at for at, key in enumerate(keys) if at == 0 or key != keys[at - 1]]
    found = {}
    for start, end in zip(starts, [*starts, len(keys)][1:], strict=True):
        study = np.cumsum(place[start:end] == 0) - 1
        counts = np.bincount(study)
        table = np.full((len(counts), counts.max()), np.inf)
        table[study, place[start:end]] = values[start:end]
        found[keys[start]] = Studies(table, counts)
    return found


def _scores(times: np.ndarray, workloads: Sequence[str], targets: Targets) -> tuple[np.ndarray, np.ndarray]:
    """Scores on the grid and exact ones, [resamples, submissions], from medians [resamples, submissions, workloads]."""
    grid = profiles.ratio_grid()
    step = max(1, _CELLS // (times[0].size * len(grid)))
    parts = []
    for start in range(0, len(times), step):
        ratios = rules.performance_ratios(rules.counted_times(times[start : start + step], workloads, targets))
        parts.append((rules.mean_heights(rules.profile_heights(ratios, grid), grid), rules.exact_scores(ratios)))
    on_grid, exact = zip(*parts, strict=True)
    return np.concatenate(on_grid), np.concatenate(exact)


def _win_shares(values: np.ndarray) -> np.ndarray:
    """Share of draws in which the first of two has the smaller value; ties count half.

    Args:
      values: [draws, submissions, ...].

    Returns:
      [submissions, submissions, ...].
    """
    return np.array(
        [
            (values[:, [one]] < values).mean(axis=0) + 0.5 * (values[:, [one]] == values).mean(axis=0)
            for one in range(values.shape[1])
        ]
    )


def _check(method: str, resamples: int, seed: int, level: float) -> None:
    if method not in intervals.METHODS:
        raise ScoringError(f"unknown method {method!r}; expected {', '.join(intervals.METHODS)}")
    if resamples < 1:
        raise ScoringError(f"resamples is {resamples}; expected 1 or more")
    if not 0 <= seed < 2**32:
        raise ScoringError(f"seed is {seed}; expected 0 to {2**32 - 1}, a seed of 32 bits")
    if not 0.0 < level < 1.0:
        raise ScoringError(f"level is {level}; expected a number between 0 and 1, such as 0.95")


def _pairs(names: dict[str, list[str]], shares: np.ndarray, rule: str) -> pd.DataFrame:
    """A table with a row per ordered pair of two submissions, and per name on the other axes."""
    index = pd.MultiIndex.from_product([names["submission"], names["submission"], *list(names.values())[1:]])
    table = pd.Series(shares.ravel(), index.set_names(["submission", "other", *list(names)[1:]]))
    table = table.rename("probability").reset_index()
    return table[table["submission"] != table["other"]].assign(rule=rule).reset_index(drop=True)


def bootstrap(
    logs: Logs,
    *,
    rule: str = "documented",
    ties: str | Sequence[str] = "fastest",
    interval: str = intervals.DEFAULT,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Uncertainty:
    """Draws medians over studies, as described in the module, and scores each draw.

    The order of the logs' rows does not matter. Different `resamples` give different draws, even with one seed.

    Args:
      logs: from `load`.
      rule: "documented" or "official", see `times`.
      ties: how the official rule breaks ties, as for `score`.
      interval: method of the intervals and draws, one of `intervals.METHODS`.
      resamples: number of draws; with 1,000 the ends of 95 % intervals are stable to about two digits.
      seed: seed of the draws.
      level: how often intervals should hold the true value.

    Raises:
      ScoringError: the rule, ties or method is unknown, or `resamples`, `seed` or `level` is out of range.
    """
    _check(interval, resamples, seed, level)
    cells = _studies(trials_by_preference(logs, rule=rule, ties=ties))
    submissions = sorted(logs.trials["submission"].unique())
    read = {workload for _, workload in cells}
    workloads = workloads_that_count(read, logs.targets, empty_means_all=rule == "official")
    cells = {key: cell for key, cell in cells.items() if key[1] in workloads}
    names = (submissions, workloads)
    drawn = intervals.drawn_medians(cells, *names, method=interval, draws=resamples, seed=seed)
    of_cell = None
    # The first row is not a draw, but what was read.
    times = [intervals.medians(cells, *names)[None], drawn]
    if interval == "bca":
        left_out, of_cell = intervals.medians_without_one(cells, *names)
        times.append(left_out)
    scores, exact_scores = _scores(np.concatenate(times), workloads, logs.targets)
    table = pd.DataFrame({"submission": submissions})
    for name, values, limits in (
        ("score", scores, (0.0, 1.0)),
        ("exact_score", exact_scores, (0.0, 1.0)),
        ("rank", rules.ranks(scores), (1, len(submissions))),
    ):
        skewness = None if of_cell is None else intervals.acceleration(values[1 + resamples :], of_cell)
        low, high = intervals.ends(interval, values[1 : 1 + resamples], values[0], level, limits, skewness)
        if name == "rank":
            low, high = np.floor(low).astype(int), np.ceil(high).astype(int)
        table[name], table[f"{name}_low"], table[f"{name}_high"] = values[0], low, high
    table = table.sort_values(["score", "submission"], ascending=[False, True], ignore_index=True)
    missing_last = np.where(np.isnan(drawn), np.inf, drawn)
    compared = rules.comparable_scores(scores[1 : 1 + resamples])
    return Uncertainty(
        rule=rule,
        method=interval,
        resamples=resamples,
        seed=seed,
        level=level,
        intervals=table.assign(rule=rule, method=interval, level=level, resamples=resamples, seed=seed),
        faster=_pairs({"submission": submissions}, _win_shares(-compared), rule),
        workload_faster=_pairs({"submission": submissions, "workload": workloads}, _win_shares(missing_last), rule),
    )
