"""Performance ratios, performance profiles and the scores computed from them.

Dolan and Moré, "Benchmarking optimization software with performance profiles" (2002). The score is the area below the
profile between 1 and `max_ratio`, divided by `max_ratio - 1`.
"""

import numpy as np
import pandas as pd

from scoring import rules
from scoring.errors import ScoringError
from scoring.rules import MAX_RATIO

POINTS = 100


def performance_ratios(times: pd.DataFrame, reference: str | None = None) -> pd.DataFrame:
    """Times divided by the best of each workload, or by those of a reference submission.

    Args:
      times: index `submission`, a column per workload; infinite for a miss, NaN if never read.
      reference: name of a submission, or None for the best.

    Returns:
      Ratios of the same shape; infinite for a miss, NaN if never read.

    Raises:
      ScoringError: there is no such reference.
    """
    if reference is not None and reference not in times.index:
        raise ScoringError(f"no submission {reference!r} in the logs; there are {', '.join(times.index)}")
    number = None if reference is None else list(times.index).index(reference)
    return pd.DataFrame(rules.performance_ratios(times.to_numpy(), number), index=times.index, columns=times.columns)


def ratio_grid(max_ratio: float = MAX_RATIO, points: int = POINTS, *, scale: str = "linear") -> np.ndarray:
    """Ratios from 1 to `max_ratio`, equally spaced, or equally spaced in their logarithm with `scale="log"`."""
    if scale == "log":
        return np.logspace(0.0, np.log10(max_ratio), points)
    return np.linspace(1.0, max_ratio, points)


def largest_ratio(ratios: pd.DataFrame) -> float:
    """The largest finite ratio, beyond which no profile changes."""
    values = ratios.to_numpy()
    return float(values[np.isfinite(values)].max(initial=1.0))


def performance_profile(ratios: pd.DataFrame, grid: np.ndarray) -> pd.DataFrame:
    """Share of workloads with a ratio up to each value of the grid: index `submission`, a column per value."""
    return pd.DataFrame(rules.profile_heights(ratios.to_numpy(), grid), index=ratios.index, columns=grid)


def grid_places(grid: np.ndarray, *, scale: str = "linear") -> np.ndarray:
    """Positions of a grid's ratios on the axis over which profiles are averaged."""
    return np.log10(grid) if scale == "log" else grid


def grid_scores(profile: pd.DataFrame, *, scale: str = "linear") -> pd.Series:
    """Mean height of each profile by the trapezoid rule, between 0 and 1; NaN if the grid has no width."""
    places = grid_places(profile.columns.to_numpy(dtype=float), scale=scale)
    return pd.Series(rules.mean_heights(profile.to_numpy(), places), index=profile.index)


def exact_scores(ratios: pd.DataFrame, max_ratio: float = MAX_RATIO) -> pd.Series:
    """Mean height of each profile, integrated exactly, between 0 and 1; NaN if `max_ratio` is 1."""
    return pd.Series(rules.exact_scores(ratios.to_numpy(), max_ratio), index=ratios.index)


def speedups(times: pd.DataFrame, reference: str, budgets_sec: dict[str, float]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """How many times faster than a reference each submission is; no held-out or ratio rule is applied.

    Args:
      times: medians, index `submission`; only the columns of `budgets_sec` are read.
      reference: name of the submission to compare with.
      budgets_sec: workload -> budget, seconds. A miss counts as the budget plus one second.

    Returns:
      Reference time divided by submission time, index `submission`, a column per workload; and its `geometric_mean`,
      `arithmetic_mean` and `harmonic_mean` over workloads. NaN if a workload was never read.

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
