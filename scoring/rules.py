"""The rules that turn medians into scores, on arrays.

The last axes are submissions and workloads; any axes may come before them, such as one of resamples. All times have one
unit; they are infinite for a miss, and NaN if never read, which also counts as a miss.
"""

from collections.abc import Sequence

import numpy as np

from scoring.targets import Targets

# A time beyond this multiple of the best counts as a miss.
MAX_RATIO = 4.0
# Scores that agree to this many decimals are tied: the order of additions alone causes smaller differences.
_DECIMALS = 12


def counted_times(times: np.ndarray, workloads: Sequence[str], targets: Targets) -> np.ndarray:
    """The times on base workloads that count after the rules on held-out workloads and on slow ones.

    In this order: a held-out time is a miss if its base workload is missed; a time beyond `MAX_RATIO` times the best
    of its column is a miss; a base time is a miss if a held-out time of that base is missed.

    Args:
      times: [..., submissions, workloads].
      workloads: names of the last axis; every base workload is among them, and the others are held out.
      targets: names the base workloads.

    Returns:
      [..., submissions, base workloads in order of their names].
    """
    place = {name: number for number, name in enumerate(workloads)}
    pairs = [
        (place[name], place[base])
        for name in workloads
        if name not in targets.base_workloads and (base := targets.base_of(name))
    ]
    counted = times.copy()
    for variant, base in pairs:
        counted[..., variant][~np.isfinite(counted[..., base])] = np.inf
    counted[counted > MAX_RATIO * _best(counted)] = np.inf
    for variant, base in pairs:
        counted[..., base][~np.isfinite(counted[..., variant])] = np.inf
    return counted[..., [place[name] for name in sorted(targets.base_workloads)]]


def _best(times: np.ndarray) -> np.ndarray:
    return np.fmin.reduce(times, axis=-2, keepdims=True, initial=np.inf)


def performance_ratios(times: np.ndarray, reference: int | None = None) -> np.ndarray:
    """Times divided by the best of each workload, or by those of the submission with the number `reference`.

    Args:
      times: [..., submissions, workloads].
      reference: place on the axis of submissions, or None for the best.

    Returns:
      The same shape; infinite for a miss, NaN for what was never read.
    """
    divisor = _best(times) if reference is None else times[..., [reference], :]
    # Infinite by infinite is a miss, not NaN.
    return np.divide(times, divisor, out=np.full_like(times, np.inf), where=~np.isinf(times))


def profile_heights(ratios: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Share of workloads with a ratio up to each value of the grid.

    Args:
      ratios: [..., submissions, workloads].
      grid: ratios, [points], ascending.

    Returns:
      [..., submissions, points].
    """
    return (ratios[..., None] <= grid).sum(axis=-2) / ratios.shape[-1]


def mean_heights(heights: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Means by the trapezoid rule over the last axis, between `places`; NaN if they have no width."""
    width = places[-1] - places[0]
    if not width:
        return np.full(heights.shape[:-1], np.nan)
    # One memory layout, so that equal numbers are added in the same order regardless of the leading axes.
    return np.trapezoid(np.ascontiguousarray(heights), places, axis=-1) / width


def exact_heights(ratios: np.ndarray, max_ratio: float = MAX_RATIO) -> np.ndarray:
    """Mean height between 1 and `max_ratio` of the profile of each ratio alone, integrated exactly.

    Returns:
      The shape of `ratios`, between 0 and 1; NaN if `max_ratio` is 1.
    """
    if max_ratio <= 1.0:
        return np.full(ratios.shape, np.nan)
    heights = np.clip((max_ratio - ratios) / (max_ratio - 1.0), 0.0, 1.0)
    return np.where(np.isnan(heights), 0.0, heights)


def exact_scores(ratios: np.ndarray, max_ratio: float = MAX_RATIO) -> np.ndarray:
    """Mean height of each profile, integrated exactly, between 0 and 1: [..., submissions]."""
    return np.ascontiguousarray(exact_heights(ratios, max_ratio)).sum(axis=-1) / ratios.shape[-1]


def comparable_scores(scores: np.ndarray) -> np.ndarray:
    """The scores without what rounding adds, so that equals are equal."""
    return scores.round(_DECIMALS)


def ranks(scores: np.ndarray) -> np.ndarray:
    """One and the number of better scores, [..., submissions]: equals share a rank."""
    compared = comparable_scores(scores)
    return 1 + (compared[..., None, :] > compared[..., :, None]).sum(axis=-1)
