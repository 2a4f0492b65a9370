"""How submissions look, in every figure and chart alike, and how times are worded."""

import dataclasses

import numpy as np

from scoring.presentation.wrapping import wrapped
from scoring.scores import Scores

# Distinct for most colour-blind readers, on white; `assets/report.css` has their counterparts for dark screens.
COLOURS = ("#0072b2", "#d55e00", "#00855f", "#b8578a", "#c98600", "#3f9fd6", "#44369b", "#8c2350")
# Lengths of dashes and gaps, in units of the line's width. Their number and that of the colours have no common divisor,
# so 24 submissions look different.
DASHES: tuple[tuple[float, ...], ...] = ((), (5.0, 1.6), (7.0, 1.6, 1.4, 1.6))
# Share of the budget used, from none to all.
_RAMP = ("#e9f5e1", "#b5dfc1", "#74c2c0", "#3d9bbd", "#2a6da8", "#2a4283")
_HOUR, _MINUTE = 3600.0, 60.0


@dataclasses.dataclass(frozen=True)
class Series:
    """One submission.

    Attributes:
      number: place in the leaderboard, from 0.
      submission: its name.
      score: its score on the leaderboard.
    """

    number: int
    submission: str
    score: float

    @property
    def colour(self) -> str:
        """Colour on white, as hexadecimal digits."""
        return COLOURS[self.number % len(COLOURS)]

    @property
    def dashes(self) -> tuple[float, ...]:
        """Dashes and gaps, in units of the line's width; empty for a solid line."""
        return DASHES[self.number % len(DASHES)]

    @property
    def label(self) -> str:
        """Name and score."""
        return f"{self.submission}  {self.score:.4f}"

    def wrapped_label(self, width: float, size: float) -> str:
        """The label with the name wrapped into lines of at most `width`, for letters of `size`."""
        return "\n".join(wrapped(self.submission, width, size)) + f"  {self.score:.4f}"


def all_series(scores: Scores) -> list[Series]:
    """Every submission, in the order of the leaderboard."""
    board = scores.leaderboard
    return [
        Series(number, str(submission), float(score))
        for number, (submission, score) in enumerate(zip(board["submission"], board["score"], strict=True))
    ]


def amount_text(value: float, unit: str) -> str:
    """A finite time or number of steps, short enough for a cell.

    Args:
      value: seconds or steps.
      unit: "seconds" or "steps".
    """
    if unit == "steps":
        return f"{value:,.0f}"
    if value < 2 * _MINUTE:
        return f"{value:.0f} s"
    if value < 2 * _HOUR:
        return f"{value / _MINUTE:.0f} min"
    return f"{value / _HOUR:.1f} h"


def share_colour(share: float) -> tuple[str, bool]:
    """Colour for a share of the budget, capped at all of it, and whether white text reads best on it."""
    stops = np.array([[int(stop[at : at + 2], 16) for at in (1, 3, 5)] for stop in _RAMP], dtype=float)
    place = np.clip(share, 0.0, 1.0) * (len(stops) - 1)
    mixed = [round(float(np.interp(place, np.arange(len(stops)), stops[:, channel]))) for channel in range(3)]
    # White and dark text have equal contrast on a relative luminance of 0.22.
    linear = [(channel / 255.0) ** 2.2 for channel in mixed]
    dark = float(np.dot((0.2126, 0.7152, 0.0722), linear)) < 0.22
    return "#" + "".join(f"{channel:02x}" for channel in mixed), dark
