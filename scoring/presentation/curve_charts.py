"""Charts for the HTML report: learning curves."""

import numpy as np

from scoring.logs import Logs
from scoring.presentation.chart import Chart, ChartGroup, drawing, look, plot_area
from scoring.presentation.curves import Curve, WorkloadCurves, drawn_points, workload_curves
from scoring.presentation.series import COLOURS, Series, all_series
from scoring.presentation.svg import Axis, axes, element, path_data
from scoring.scores import Scores

_HOUR = 3600.0
_CURVE_BINS = 70


def _curve_path(curve: Curve, horizontal: Axis, vertical: Axis) -> str:
    x = horizontal.place(curve.time_sec / _HOUR) - horizontal.pixels[0]
    y = vertical.place(curve.validation) - vertical.pixels[1]
    # Points far outside are moved closer, which takes fewer characters.
    y = np.clip(y, -2e3, 2e3)
    points = drawn_points(x, y, [] if curve.hit is None else [curve.hit], _CURVE_BINS)
    kind = f"bold {look(curve.series)}" if curve.typical else f"thin colour-{curve.series.number % len(COLOURS)}"
    return element(
        "path",
        class_=f"line {kind}",
        d=path_data(x[points], y[points]),
        data_submission=curve.series.number,
        data_name=f"{curve.series.submission}, {curve.study}, {curve.trial}",
    )


def _curve_chart(plot: WorkloadCurves, series: list[Series], group: ChartGroup) -> Chart:
    width, height = 500.0, 320.0
    end = plot.end_sec / _HOUR
    horizontal = Axis((0.0, end * 1.02), (52.0, width - 8.0))
    vertical = Axis(plot.value_range, (height - 46.0, 30.0))
    left, top = horizontal.pixels[0], vertical.pixels[1]
    target = float(vertical.place(plot.target.validation_target)) - top
    marks = [element("line", class_="target", x1=0, x2=width, y1=target, y2=target)]
    if np.isfinite(plot.budget_sec):
        x = float(horizontal.place(end)) - left
        marks.append(element("line", class_="budget", x1=x, x2=x, y1=0, y2=height))
    dots = [
        element(
            "circle",
            class_=f"hit colour-{curve.series.number % len(COLOURS)}",
            cx=float(horizontal.place(curve.time_sec[curve.hit] / _HOUR)) - left,
            cy=float(vertical.place(curve.validation[curve.hit])) - top,
            r=4.0,
            data_submission=curve.series.number,
        )
        for curve in plot.curves
        if curve.typical and curve.hit is not None
    ]
    thin_first = sorted(plot.curves, key=lambda curve: (curve.typical, -curve.series.number))
    lines = [_curve_path(curve, horizontal, vertical) for curve in thin_first]
    metric = plot.target.metric.replace("_", " ")
    low, high = vertical.values
    digits = int(np.clip(np.ceil(3.0 - np.log10(high - low)), 0, 8))
    direction = "at most" if plot.target.direction == "min" else "at least"
    budget = f"; budget {end:.1f} h" if np.isfinite(plot.budget_sec) else ""
    return Chart(
        name=f"learning_curves_{plot.workload}",
        title=plot.workload,
        caption=f"Target: validation {metric} of {direction} {plot.target.validation_target:g}{budget}.",
        svg=drawing(
            width,
            height,
            f"Learning curves of {plot.workload}",
            axes(horizontal, vertical, ("submission time (hours)", f"validation {metric}"), (6, 5)),
            plot_area(horizontal, vertical, ("hours", metric), (2, digits), *marks, *lines, *dots),
        ),
        submissions=tuple(one.submission for one in series),
        group=group,
    )


def learning_curve_charts(logs: Logs, scores: Scores) -> list[Chart]:
    """Validation metric over submission time: a chart for each base workload that was run, all in one group."""
    group = ChartGroup(
        "Learning curves",
        "Validation metric over submission time, the best trial of each study. The middle study of a submission is "
        "bold, with a dot where it first reaches the target (dotted line). The vertical line is the end of the budget. "
        "Early and diverging parts may lie outside the plot.",
    )
    return [_curve_chart(plot, all_series(scores), group) for plot in workload_curves(logs, scores)]
