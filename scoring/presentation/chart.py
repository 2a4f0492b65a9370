"""Building blocks of charts for the HTML report: SVG that its style sheet colours and its script makes interactive.

What the script reads:

- `.plot.lines` holds a coordinate system, with `data-x-range` and `data-y-range` (the values at its edges),
  `data-x-label`, `data-y-label`, `data-x-digits` and `data-y-digits` (decimals), and `data-steps` if lines stay level
  between points. Its `path.line` have `data-submission` (place in the leaderboard) and `data-name`.
- `.plot.cells` holds `.cell`, each with `data-submission`, `data-row`, `data-column`, `data-name` and `data-text`.
"""

import dataclasses

from scoring.presentation.series import COLOURS, DASHES, Series
from scoring.presentation.svg import Axis, element


@dataclasses.dataclass(frozen=True)
class ChartGroup:
    """Heading and caption shared by neighbouring charts.

    Attributes:
      title: heading.
      caption: how to read them.
    """

    title: str
    caption: str


@dataclasses.dataclass(frozen=True)
class Chart:
    """A chart of the report.

    Attributes:
      name: identifier of letters, digits, underscores and hyphens.
      title: heading.
      caption: how to read it.
      svg: the drawing, one element.
      submissions: names, in the order of the numbers in `data-submission`.
      group: neighbouring charts of one group share a heading.
    """

    name: str
    title: str
    caption: str
    svg: str
    submissions: tuple[str, ...] = ()
    group: ChartGroup | None = None


def look(series: Series) -> str:
    """The classes that give a submission its colour and dashes."""
    return f"colour-{series.number % len(COLOURS)} dash-{series.number % len(DASHES)}"


def drawing(width: float, height: float, label: str, *parts: str) -> str:
    """The root element of a chart; `width` and `height` set its proportions, `label` is what screen readers say."""
    box = f"0 0 {width:g} {height:g}"
    return element("svg", *parts, viewBox=box, class_="chart", role="group", aria_label=label)


def plot_area(
    horizontal: Axis, vertical: Axis, names: tuple[str, str], digits: tuple[int, int], *parts: str, **more: str
) -> str:
    """A coordinate system whose edges clip its content."""
    left, right = horizontal.pixels
    bottom, top = vertical.pixels
    return element(
        "svg",
        element("rect", class_="surface", width=right - left, height=bottom - top),
        *parts,
        class_="plot lines",
        x=left,
        y=top,
        width=right - left,
        height=bottom - top,
        data_x_range=" ".join(f"{value:.8g}" for value in horizontal.values),
        data_y_range=" ".join(f"{value:.8g}" for value in vertical.values),
        data_x_label=names[0],
        data_y_label=names[1],
        data_x_digits=digits[0],
        data_y_digits=digits[1],
        **more,
    )
