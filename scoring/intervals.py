"""The methods that give intervals of scores and ranks, from draws of the median times of studies.

Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), describe the first three:

- `percentile`: resamples studies and trials with replacement; the ends are quantiles of the resampled scores.
- `basic`: the same resamples; the ends are reflected at the score that was read.
- `bca`: the same resamples; the quantiles are corrected for bias and acceleration.
- `parametric`: new studies from a normal distribution of log-times, whose spread is that of all submissions and
  workloads, and from the rates of hits that were read, drawn towards one half.
- `hierarchical`: the posterior distribution of a model of all hits and times, see `hierarchical`.

`python -m scoring.coverage` measures how often the intervals of each hold the true score.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import special

from scoring.hierarchical import posterior_medians

METHODS = {
    "hierarchical": "draws of a model of hits and times",
    "percentile": "resamples of studies and trials, percentile bootstrap",
    "basic": "resamples of studies and trials, basic bootstrap",
    "bca": "resamples of studies and trials, BCa bootstrap",
    "parametric": "studies simulated with a pooled spread of times, parametric bootstrap",
}
"""Method -> what it draws, for captions."""
DEFAULT = "hierarchical"
RESAMPLED = ("percentile", "basic", "bca")
"""Methods that share their resamples."""


@dataclasses.dataclass(frozen=True)
class Studies:
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


Cells = Mapping[tuple[str, str], Studies]
"""Submission and workload -> the studies that were read."""


def _table(cells: Cells, submissions: Sequence[str], workloads: Sequence[str]) -> np.ndarray:
    """Times of studies, [submissions, workloads, most studies]; infinite for a miss, NaN where there is none."""
    most = max((len(cell.trials) for cell in cells.values()), default=1)
    table = np.full((len(submissions), len(workloads), most), np.nan)
    for (submission, workload), cell in cells.items():
        row = table[submissions.index(submission), workloads.index(workload)]
        row[: len(cell.trials)] = cell.values[:, 0]
    return table


def medians(cells: Cells, submissions: Sequence[str], workloads: Sequence[str]) -> np.ndarray:
    """Medians over the studies that were read, [submissions, workloads]; NaN where there are none."""
    found = np.full((len(submissions), len(workloads)), np.nan)
    for (submission, workload), cell in cells.items():
        found[submissions.index(submission), workloads.index(workload)] = cell.median()
    return found


def _parametric_medians(values: np.ndarray, draws: int, generator: np.random.Generator) -> np.ndarray:
    """Medians of simulated studies, [draws, submissions, workloads]; `values` as from `_table`."""
    read, hit = ~np.isnan(values), np.isfinite(values)
    studies, hits = read.sum(axis=-1), hit.sum(axis=-1)
    logs = np.log(np.where(hit, values, 1.0))
    means = logs.sum(axis=-1) / np.maximum(hits, 1)
    squares = np.where(hit, (logs - means[..., None]) ** 2, 0.0).sum()
    spread = np.sqrt(squares / max((hits - 1)[hits > 1].sum(), 1))
    typical = np.where(hits > 0, means, 0.0).sum(axis=0) / np.maximum((hits > 0).sum(axis=0), 1)
    means = np.where(hits > 0, means, typical)
    rates = (hits + 0.5) / (studies + 1.0)
    times = np.exp(means[..., None] + spread * generator.standard_normal((draws, *values.shape)))
    times = np.where(generator.random(times.shape) < rates[..., None], times, np.inf)
    with np.errstate(invalid="ignore"):
        ordered = np.sort(np.where(read, times, np.nan), axis=-1)
    low, high = (
        np.take_along_axis(ordered, np.broadcast_to(at, ordered.shape[:-1])[..., None], axis=-1)[..., 0]
        for at in (np.maximum(studies - 1, 0) // 2, studies // 2 * (studies > 0))
    )
    return 0.5 * (low + high)


def drawn_medians(
    cells: Cells, submissions: Sequence[str], workloads: Sequence[str], *, method: str, draws: int, seed: int
) -> np.ndarray:
    """Draws the medians over studies, as `method` does.

    Bootstrap draws of a cell depend on its names and the seed only: neither on other cells nor on their order.

    Args:
      cells: what was read; all names are among `submissions` and `workloads`.
      submissions: names, sorted.
      workloads: names, sorted.
      method: one of `METHODS`.
      draws: number of draws.
      seed: seed of the draws.

    Returns:
      Times, [draws, submissions, workloads]; infinite for a miss, NaN for a cell that was not read.
    """
    if method in ("hierarchical", "parametric"):
        generator = np.random.default_rng([seed, *method.encode()])
        draw = posterior_medians if method == "hierarchical" else _parametric_medians
        return draw(_table(cells, submissions, workloads), draws, generator)
    times = np.full((draws, len(submissions), len(workloads)), np.nan)
    for (submission, workload), cell in cells.items():
        generator = np.random.default_rng([seed, *f"{submission}/{workload}".encode()])
        column = times[:, submissions.index(submission), workloads.index(workload)]
        column[:] = cell.resampled_medians(generator, draws)
    return times


def medians_without_one(
    cells: Cells, submissions: Sequence[str], workloads: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Medians if one study is left out, for each study of a cell with several.

    Returns:
      Times, [studies left out, submissions, workloads], and the number of the cell of each study, [studies left out].
    """
    whole = medians(cells, submissions, workloads)
    tables, of_cell = [], []
    for number, ((submission, workload), cell) in enumerate(cells.items()):
        for study in range(len(cell.trials) if len(cell.trials) > 1 else 0):
            table = whole.copy()
            left = np.median(np.delete(cell.values[:, 0], study))
            table[submissions.index(submission), workloads.index(workload)] = left
            tables.append(table)
            of_cell.append(number)
    return np.array(tables).reshape(-1, *whole.shape), np.array(of_cell, dtype=int)


def acceleration(left_out: np.ndarray, of_cell: np.ndarray) -> np.ndarray:
    """The acceleration of BCa intervals, from values without one study each.

    Args:
      left_out: [studies left out, submissions].
      of_cell: number of the cell of each study.

    Returns:
      [submissions]; 0 where no study matters.
    """
    sums = np.zeros((of_cell.max(initial=0) + 1, left_out.shape[1]))
    np.add.at(sums, of_cell, left_out)
    influence = (sums / np.maximum(np.bincount(of_cell, minlength=len(sums)), 1)[:, None])[of_cell] - left_out
    squares = (influence**2).sum(axis=0)
    return np.divide((influence**3).sum(axis=0), 6.0 * squares**1.5, out=np.zeros_like(squares), where=squares > 1e-24)


def ends(
    method: str,
    drawn: np.ndarray,
    read: np.ndarray,
    level: float,
    limits: tuple[float, float],
    accelerations: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the intervals.

    Args:
      method: one of `METHODS`.
      drawn: values of the draws, [draws, submissions].
      read: values of what was read, [submissions].
      level: share of the draws within each interval; for `basic` and `bca`, the coverage that they aim at.
      limits: the smallest and the largest possible value.
      accelerations: for `bca`, from `acceleration`.

    Returns:
      Lower and upper ends, both [submissions].
    """
    shares = np.array([0.5 - 0.5 * level, 0.5 + 0.5 * level])
    if method == "bca":
        below = (drawn < read).mean(axis=0) + 0.5 * (drawn == read).mean(axis=0)
        bias = special.ndtri(np.clip(below, 0.5 / len(drawn), 1.0 - 0.5 / len(drawn)))
        shifted = bias + special.ndtri(shares)[:, None]
        factor = np.maximum(1.0 - (0.0 if accelerations is None else accelerations) * shifted, 1e-6)
        corrected = special.ndtr(bias + shifted / factor)
        low, high = np.array([np.quantile(drawn[:, n], corrected[:, n]) for n in range(drawn.shape[1])]).T
        return low, high
    low, high = np.quantile(drawn, shares, axis=0)
    if method == "basic":
        low, high = np.clip(2.0 * read - high, *limits), np.clip(2.0 * read - low, *limits)
    return low, high
