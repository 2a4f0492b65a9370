"""Estimates how much scores depend on which studies and trials happened to run, with a two-level bootstrap.

Efron and Tibshirani, "An Introduction to the Bootstrap" (1993). Each resample draws, for each submission and workload,
as many studies as were read, with replacement; and for each study drawn, as many of its trials as it has, with
replacement. Scores are then computed from the drawn trials by the usual rules: the trial of a study, the median over
studies, held-out workloads, slow ones, and the ratio to the best, which comes from the same resample.

This captures chance in the times of trials and studies, in whether a target is reached at all, and in the submissions
that set the pace. It does not capture the following:

- Workloads are drawn independently of each other, since the runs of a study on two workloads share nothing but its
  number. An effect on all workloads at once, such as a slow machine, is invisible.
- In the published logs a submission's studies try the same hyperparameters: trial k is the same point in each. That is
  the luck of one draw of points from the search space; no resample knows how another draw would have done.
- Studies are the only replicates. With 3 or 5 of them a median takes few values, and intervals tend to be too narrow. A
  workload with one study of one trial looks certain, and so does one that no trial reaches.
- The fastest of m trials is drawn in only 1 - (1 - 1/m)^m of the cases (67 % for 5), so resampled times tend to be
  later than those read, and are never earlier than the fastest. The intervals are the plain percentiles: they need not
  be symmetric around the score, and may exclude it.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd

from scoring import profiles, rules
from scoring.errors import ScoringError
from scoring.logs import Logs
from scoring.times import trials_by_preference, workloads_that_count

# Number of elements of the largest array made at a time, 8 bytes each.
_CELLS = 2**22


@dataclasses.dataclass(frozen=True)
class Uncertainty:
    """Uncertainty of scores and ranks. Scores are between 0 and 1, probabilities are shares of resamples.

    Attributes:
      rule: "documented" or "official".
      resamples: number of resamples.
      seed: seed of the draws.
      level: share of resamples within each interval.
      intervals: a row per submission, in the order of the leaderboard: `submission`, `score` (on the grid of 100
        ratios), `score_low`, `score_high`, `exact_score`, `exact_score_low`, `exact_score_high` (integrated exactly),
        `rank` (by `score`; ties share a rank), `rank_low`, `rank_high`, `rule`, `level`, `resamples`, `seed`. The point
        values are those of `scoring.score`; low and high are percentiles over resamples, for ranks rounded outwards to
        whole numbers.
      faster: a row per ordered pair: `submission`, `other`, `probability` that the score of the first is higher,
        `rule`. Ties count half, so that the probabilities of both orders add up to 1.
      workload_faster: a row per ordered pair and workload that counts, including held-out ones: `submission`, `other`,
        `workload`, `probability` that the median time to target of the first is shorter (before the rules on held-out
        and slow workloads), `rule`. Ties, including two misses, count half; what was never read is a miss.
    """

    rule: str
    resamples: int
    seed: int
    level: float
    intervals: pd.DataFrame
    faster: pd.DataFrame
    workload_faster: pd.DataFrame


@dataclasses.dataclass(frozen=True)
class _Studies:
    """The trials of a submission on a workload.

    Attributes:
      values: [studies, most trials], with each study's trials in the order in which the rule prefers them; infinite for
        a miss and after a study's last trial.
      trials: how many trials each study has, [studies].
    """

    values: np.ndarray
    trials: np.ndarray

    def median(self) -> float:
        """Median over the studies that were read."""
        return float(np.median(self.values[:, 0]))

    def resampled_medians(self, generator: np.random.Generator, resamples: int) -> np.ndarray:
        """Medians over studies and trials drawn with replacement: [resamples]."""
        number, most = self.values.shape
        studies = generator.integers(number, size=(resamples, number))
        trials = self.trials[studies][:, :, None]
        drawn = generator.integers(trials, size=(resamples, number, most))
        # A study draws as many trials as it has; the minimum is the one that the rule prefers.
        chosen = np.where(np.arange(most) < trials, drawn, most).min(axis=-1)
        return np.median(self.values[studies, chosen], axis=-1)


def _studies(trials: pd.DataFrame) -> dict[tuple[str, str], _Studies]:
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
        found[keys[start]] = _Studies(table, counts)
    return found


def _scores(times: np.ndarray, workloads: Sequence[str], logs: Logs) -> tuple[np.ndarray, np.ndarray]:
    """Scores on the grid and exact ones, [resamples, submissions], from medians [resamples, submissions, workloads]."""
    grid = profiles.ratio_grid()
    step = max(1, _CELLS // (times[0].size * len(grid)))
    parts = []
    for start in range(0, len(times), step):
        ratios = rules.performance_ratios(rules.counted_times(times[start : start + step], workloads, logs.targets))
        parts.append((rules.mean_heights(rules.profile_heights(ratios, grid), grid), rules.exact_scores(ratios)))
    on_grid, exact = zip(*parts, strict=True)
    return np.concatenate(on_grid), np.concatenate(exact)


def _win_shares(values: np.ndarray) -> np.ndarray:
    """Share of resamples in which the first of two has the smaller value; ties count half.

    Args:
      values: [resamples, submissions, ...].

    Returns:
      [submissions, submissions, ...].
    """
    return np.array(
        [
            (values[:, [one]] < values).mean(axis=0) + 0.5 * (values[:, [one]] == values).mean(axis=0)
            for one in range(values.shape[1])
        ]
    )


def _check(resamples: int, seed: int, level: float) -> None:
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
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Uncertainty:
    """Resamples studies and trials, as described in the module, and scores each resample.

    Each submission and workload has its own stream of draws, derived from their names: neither the order of the logs'
    rows nor the other submissions matter. Different `resamples` give different draws, even with one seed.

    Args:
      logs: from `load`.
      rule: "documented" or "official", see `times`.
      ties: how the official rule breaks ties, as for `score`.
      resamples: number of resamples; with 1,000 the ends of 95 % intervals are stable to about two digits.
      seed: seed of the draws.
      level: share of resamples within each interval.

    Raises:
      ScoringError: the rule or ties are unknown, or `resamples`, `seed` or `level` is out of range.
    """
    _check(resamples, seed, level)
    studies = _studies(trials_by_preference(logs, rule=rule, ties=ties))
    submissions = sorted(logs.trials["submission"].unique())
    read = {workload for _, workload in studies}
    workloads = workloads_that_count(read, logs.targets, empty_means_all=rule == "official")
    # The first row is not a resample, but what was read.
    times = np.full((1 + resamples, len(submissions), len(workloads)), np.nan)
    for (submission, workload), group in studies.items():
        if workload in workloads:
            generator = np.random.default_rng([seed, *f"{submission}/{workload}".encode()])
            column = times[:, submissions.index(submission), workloads.index(workload)]
            column[0], column[1:] = group.median(), group.resampled_medians(generator, resamples)
    scores, exact_scores = _scores(times, workloads, logs)
    ends = [(1.0 - level) / 2.0, (1.0 + level) / 2.0]
    intervals = pd.DataFrame({"submission": submissions})
    for name, values in (("score", scores), ("exact_score", exact_scores), ("rank", rules.ranks(scores))):
        low, high = np.quantile(values[1:], ends, axis=0)
        if name == "rank":
            low, high = np.floor(low).astype(int), np.ceil(high).astype(int)
        intervals[name], intervals[f"{name}_low"], intervals[f"{name}_high"] = values[0], low, high
    intervals = intervals.sort_values(["score", "submission"], ascending=[False, True], ignore_index=True)
    missing_last = np.where(np.isnan(times[1:]), np.inf, times[1:])
    return Uncertainty(
        rule=rule,
        resamples=resamples,
        seed=seed,
        level=level,
        intervals=intervals.assign(rule=rule, level=level, resamples=resamples, seed=seed),
        faster=_pairs({"submission": submissions}, _win_shares(-rules.comparable_scores(scores[1:])), rule),
        workload_faster=_pairs({"submission": submissions, "workload": workloads}, _win_shares(missing_last), rule),
    )
