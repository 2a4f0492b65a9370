"""The lines of performance profiles, with steps at the exact ratios, and positions for their labels."""

from collections.abc import Sequence

import numpy as np

from scoring.scores import Scores


def profile_line(scores: Scores, submission: str) -> tuple[np.ndarray, np.ndarray]:
    """The profile of a submission between ratio 1 and the end of the grid.

    Returns:
      Ratios at which the profile begins, steps and ends, and the share of workloads from each of them on. Equal ratios
      make one step; ratios below 1, which a reference submission can cause, count as 1.
    """
    end = float(scores.profile.columns[-1])
    ratios = scores.ratios.loc[submission].to_numpy(dtype=float)
    within = np.sort(np.maximum(ratios[ratios <= end], 1.0))
    places = np.unique(np.concatenate([[1.0], within, [end]]))
    return places, np.searchsorted(within, places, side="right") / len(ratios)


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions close to those wanted, in the same order, at least `gap` apart and between `low` and `high`.

    If there is too little room, the gap shrinks.
    """
    count = len(wanted)
    gap = min(gap, (high - low) / max(count - 1, 1))
    order = sorted(range(count), key=lambda at: wanted[at])
    # With the gaps subtracted, positions may touch but not cross. The nearest such are means of runs that would cross.
    runs: list[list[float]] = []
    for rank, at in enumerate(order):
        runs.append([wanted[at] - rank * gap])
        while len(runs) > 1 and np.mean(runs[-2]) > np.mean(runs[-1]):
            runs[-2:] = [runs[-2] + runs[-1]]
    level = [float(np.mean(run)) for run in runs for _ in run]
    places = [0.0] * count
    for rank, at in enumerate(order):
        places[at] = min(max(level[rank], low), high - (count - 1) * gap) + rank * gap
    return places
