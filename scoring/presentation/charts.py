"""Charts for the HTML report: performance profiles and times to target."""

from collections.abc import Mapping, Sequence

import numpy as np

from scoring.presentation import time_cells as cells_of
from scoring.presentation.chart import Chart, drawing, look, plot_area
from scoring.presentation.profile_lines import profile_line, spread
from scoring.presentation.report_table import shown
from scoring.presentation.series import Series, all_series, share_colour
from scoring.presentation.svg import Axis, axes, element, path_data, text, text_lines
from scoring.presentation.time_cells import TimeCell, time_cells
from scoring.presentation.wrapping import text_width, wrapped
from scoring.scores import Scores

# Letters have the same size in all charts as wide as the page: `.chart` in `assets/report.css`.
_LEAST_WIDTH = 1000.0
_LETTER_SIZE, _LINE_HEIGHT = 14.0, 16.0
_LEAST_NAME_WIDTH = 170.0


def _names(series: Sequence[Series], most: float) -> tuple[list[list[str]], float]:
    """The names of submissions, wrapped into lines, and the width that they need, at most `most`."""
    names = [shown(one.submission) for one in series]
    width = min(max(_LEAST_NAME_WIDTH, *(text_width(name, _LETTER_SIZE) for name in names)), most)
    return [wrapped(name, width, _LETTER_SIZE) for name in names], width


def profile_chart(scores: Scores) -> Chart:
    """The performance profiles, with steps at the exact ratios."""
    end = float(scores.profile.columns[-1])
    series = all_series(scores)
    names, name_width = _names(series, 320.0)
    gap = 8.0 + _LINE_HEIGHT * max(map(len, names))
    # Line samples go left of the names, scores right of them.
    width, height = _LEAST_WIDTH, max(500.0, 50.0 + gap * len(series))
    horizontal = Axis((1.0, end if end > 1.0 else 2.0), (52.0, width - 64.0 - name_width - 66.0))
    vertical = Axis((-2.0, 102.0), (height - 48.0, 34.0))
    left, top = horizontal.pixels[0], vertical.pixels[1]
    lines, ends = [], []
    for one in series:
        place, share = profile_line(scores, one.submission)
        x, y = horizontal.place(place) - left, vertical.place(100.0 * share) - top
        corners = path_data(np.repeat(x, 2)[1:], np.repeat(y, 2)[:-1])
        lines.append(
            element("path", class_=f"line bold {look(one)}", d=corners, data_submission=one.number, data_name=one.label)
        )
        ends.append(float(y[-1]) + top)
    # Among lines of the same height, the best score goes on top.
    wanted = [place + 1e-3 * one.number for one, place in zip(series, ends, strict=True)]
    right = horizontal.pixels[1]
    labels = [
        element(
            "g",
            element("line", class_="leader", x1=right + 3.0, y1=end_place, x2=right + 22.0, y2=place),
            element("line", class_=f"line bold {look(one)}", x1=right + 24.0, y1=place, x2=right + 58.0, y2=place),
            text_lines(lines_of_name, right + 66.0, place + 4.5, _LINE_HEIGHT, class_="label"),
            text(f"{one.score:.4f}", width - 4.0, place + 4.5, class_="label score", text_anchor="end"),
            data_submission=one.number,
        )
        for one, lines_of_name, end_place, place in zip(
            series, names, ends, spread(wanted, gap, gap / 2 + 8.0, height - gap / 2 - 18.0), strict=True
        )
    ]
    what = "time to target" if scores.unit == "seconds" else "steps to target"
    axis_names = (f"{what}, divided by the best", "workloads within that ratio (%)")
    return Chart(
        name="performance_profiles",
        title="Performance profiles",
        caption=(
            f"Share of the {scores.ratios.shape[1]} workloads on which a submission's {what} is within a ratio of the "
            "best submission's. The score next to each name is the mean height of its line."
        ),
        svg=drawing(
            width,
            height,
            "Performance profiles",
            axes(horizontal, vertical, axis_names, (6, 6)),
            plot_area(
                horizontal, vertical, ("ratio to the best", "workloads (%)"), (3, 1), *lines[::-1], data_steps=""
            ),
            *labels,
        ),
        submissions=tuple(one.submission for one in series),
    )


def _cell(cell: TimeCell, column: int, row: int, number: int, box: tuple[float, float, float, float]) -> str:
    x, y, width, height = box
    classes, fill, tone = ["cell", f"is-{cell.state.replace(' ', '-')}"], {}, "plain"
    if cell.state == cells_of.COUNTED and np.isfinite(cell.share):
        colour, dark = share_colour(cell.share)
        fill, tone = {"fill": colour}, "on-dark" if dark else "on-light"
    elif np.isfinite(cell.share):
        fill = {"stroke": share_colour(cell.share)[0]}
    middle = y + height / 2
    places = (middle + 5.0,) if len(cell.lines) == 1 else (middle - 2.0, middle + 13.0)
    return element(
        "g",
        element("rect", x=x, y=y, width=width, height=height, rx=3.0, **fill),
        *(
            text(line, x + width / 2, place, text_anchor="middle", class_=f"{tone} {kind}")
            for line, place, kind in zip(cell.lines, places, ("value", "remark"), strict=False)
        ),
        class_=" ".join(classes),
        data_submission=number,
        data_row=row,
        data_column=column,
        data_name=f"{cell.submission}, {cell.workload}",
        data_text=cell.detail,
    )


def _ramp(x: float, y: float, label: str) -> str:
    shares = np.linspace(0.025, 0.975, 20)
    steps = [
        element("rect", x=x + 12.0 * at, y=y, width=12.5, height=10.0, fill=share_colour(float(share))[0])
        for at, share in enumerate(shares)
    ]
    ends = [
        text("0 %", x - 6.0, y + 9.5, text_anchor="end", class_="tick"),
        text("100 %", x + 247.0, y + 9.5, class_="tick"),
    ]
    return element("g", *steps, *ends, text(label, x + 304.0, y + 9.5, class_="axis-name"))


def time_heat_map(scores: Scores, budgets: Mapping[str, float]) -> Chart:
    """Median times to target, submission by workload; colour is the share of the budget.

    Args:
      scores: from `scoring.score`.
      budgets: as in `time_cells.time_cells`; `time_cells.budgets` makes them.
    """
    series = all_series(scores)
    workloads = [str(name) for name in scores.counted_times.columns]
    rows = {one.submission: row for row, one in enumerate(series)}
    names, name_width = _names(series, 260.0)
    cell_width, cell_height = 100.0, max(42.0, 12.0 + _LINE_HEIGHT * max(map(len, names)))
    columns = [
        [line for part in name.split("_", 1) for line in wrapped(part, cell_width - 4.0, _LETTER_SIZE)]
        for name in workloads
    ]
    left, top = name_width + 20.0, 26.0 + _LINE_HEIGHT * max(2, *map(len, columns))
    width, height = max(left + cell_width * len(workloads) + 2.0, _LEAST_WIDTH), top + cell_height * len(series) + 44.0
    heads = []
    for column, lines in enumerate(columns):
        x, middle = left + cell_width * (column + 0.5), top - 10.0 - _LINE_HEIGHT * (len(lines) - 1) / 2
        heads.append(text_lines(lines, x, middle, _LINE_HEIGHT, text_anchor="middle", class_="label"))
    for row, (one, lines) in enumerate(zip(series, names, strict=True)):
        middle = top + cell_height * (row + 0.5) + 4.5
        label = text_lines(lines, left - 12.0, middle, _LINE_HEIGHT, text_anchor="end", class_="label")
        heads.append(element("g", label, data_submission=one.number))
    cells = []
    for cell in time_cells(scores, budgets):
        row, column = rows[cell.submission], workloads.index(cell.workload)
        box = (left + cell_width * column + 2.0, top + cell_height * row + 2.0, cell_width - 4.0, cell_height - 4.0)
        cells.append(_cell(cell, column, row, series[row].number, box))
    share = "share of the step hint" if scores.unit == "steps" else "share of the budget"
    what = "steps" if scores.unit == "steps" else "submission time"
    return Chart(
        name="time_to_target",
        title="Time to target",
        caption=(
            f"Median {what} over the studies until the validation target is reached, and the {share}, which is the "
            "colour. Outlined cells were reached but do not count: more than 4 times the best of the column, or lost "
            "through a held-out variant of the workload. A miss has logs that do not reach the target; dashed cells "
            "have none."
        ),
        svg=drawing(
            width,
            height,
            "Time to target",
            *heads,
            element("g", *cells, class_="plot cells"),
            _ramp(left + 40.0, height - 20.0, share),
        ),
        submissions=tuple(one.submission for one in series),
    )
