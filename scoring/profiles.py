"""Performance ratios, performance profiles and the scores made of them.

Dolan and Moré, "Benchmarking optimization software with performance profiles" (2002); the score is the area below the
profile between 1 and `max_ratio`, divided by `max_ratio - 1`.
"""

import numpy as np
import pandas as pd

from scoring.errors import ScoringError
from scoring.times import MAX_RATIO

POINTS = 100


def performance_ratios(times: pd.DataFrame, reference: str | None = None) -> pd.DataFrame:
    """Times divided by the best of each workload, or by those of a reference submission.

    Args:
      times: index `submission`, a column per workload; infinite for a miss, NaN for what was never read.
      reference: name of a submission, or None for the best.

    Returns:
      The same shape; infinite for a miss, NaN for what was never read.

    Raises:
      ScoringError: there is no such reference.
    """
    if reference is not None and reference not in times.index:
        raise ScoringError(f"no submission {reference!r} in the logs; there are {', '.join(times.index)}")
    divisor = times.min() if reference is None else times.loc[reference]
    ratios = times / divisor
    # Infinite by infinite is a miss, not NaN.
    return ratios.mask(np.isinf(times), np.inf)


def ratio_grid(max_ratio: float = MAX_RATIO, points: int = POINTS, *, scale: str = "linear") -> np.ndarray:
    """Ratios from 1 to `max_ratio`, equally spaced, or so in their logarithm (`scale="log"`)."""
    if scale == "log":
        return np.logspace(0.0, np.log10(max_ratio), points)
    return np.linspace(1.0, max_ratio, points)


def largest_ratio(ratios: pd.DataFrame) -> float:
    """The largest finite ratio: where a profile stops to change."""
    values = ratios.to_numpy()
    return float(values[np.isfinite(values)].max(initial=1.0))


def performance_profile(ratios: pd.DataFrame, grid: np.ndarray) -> pd.DataFrame:
    """Share of workloads with a ratio up to each value of the grid: index `submission`, a column per value."""
    within = ratios.to_numpy()[:, :, None] <= grid
    return pd.DataFrame(within.sum(axis=1) / ratios.shape[1], index=ratios.index, columns=grid)


def grid_scores(profile: pd.DataFrame, *, scale: str = "linear") -> pd.Series:
    """Mean height of each profile by the trapezoid rule, between 0 and 1; NaN if the grid has no width."""
    place = profile.columns.to_numpy(dtype=float)
    place = np.log10(place) if scale == "log" else place
    width = place[-1] - place[0]
    area = np.trapezoid(profile.to_numpy(), place, axis=1)
    return pd.Series(area / width if width else np.full(len(area), np.nan), index=profile.index)


def exact_scores(ratios: pd.DataFrame, max_ratio: float = MAX_RATIO) -> pd.Series:
    """Mean height of each profile, integrated exactly, between 0 and 1."""
    heights = ((max_ratio - ratios) / (max_ratio - 1.0)).clip(0.0, 1.0)
    return heights.fillna(0.0).mean(axis=1)


def speedups(times: pd.DataFrame, reference: str, budgets_sec: dict[str, float]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """How many times faster than a reference each submission is; no held-out or ratio rule takes part.

    Args:
      times: medians, index `submission`; only the columns of `budgets_sec` are read.
      reference: name of the submission to compare with.
      budgets_sec: workload -> budget, seconds. A miss counts as the budget and one second.

    Returns:
      Reference time divided by submission time, index `submission`, a column per workload; and its `geometric_mean`,
      `arithmetic_mean` and `harmonic_mean` over workloads. NaN where a workload was never read.

    Raises:
      ScoringError: there is no such reference.
    """
    if reference not in times.index:
        raise ScoringError(f"no submission {reference!r} in the logs; there are {', '.join(times.index)}")
    seconds = times.reindex(columns=sorted(budgets_sec)).astype(float)
    seconds = seconds.apply(lambda column: column.replace(np.inf, budgets_sec[str(column.name)] + 1.0))
    values = seconds.to_numpy()
    factors = values[list(seconds.index).index(reference)] / values
    means = {
        "geometric_mean": np.exp(np.log(factors).mean(axis=1)),
        "arithmetic_mean": factors.mean(axis=1),
        "harmonic_mean": 1.0 / (1.0 / factors).mean(axis=1),
    }
    return pd.DataFrame(factors, seconds.index, seconds.columns), pd.DataFrame(means, seconds.index)
