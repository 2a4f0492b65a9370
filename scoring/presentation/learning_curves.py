"""The figure of learning curves: one small plot per workload."""

import math
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from scoring.logs import Logs
from scoring.presentation.curves import WorkloadCurves, drawn_points, workload_curves
from scoring.presentation.series import Series, all_series
from scoring.scores import Scores

_COLUMNS = 4
# Width of the names of submissions in the legend, in points.
_NAME_WIDTH = 170.0
_BINS = 150
_HOUR = 3600.0


def line_style(series: Series) -> Literal["solid"] | tuple[float, tuple[float, ...]]:
    """The dashes of a submission, as matplotlib takes them."""
    return (0.0, series.dashes) if series.dashes else "solid"


def _draw(axes: Axes, plot: WorkloadCurves) -> None:
    for curve in plot.curves:
        time, value = curve.time_sec / _HOUR, curve.validation
        hit = [] if curve.hit is None else [curve.hit]
        points = drawn_points(time, value, hit, _BINS)
        axes.plot(
            time[points],
            value[points],
            color=curve.series.colour,
            linestyle=line_style(curve.series) if curve.typical else "solid",
            linewidth=1.5 if curve.typical else 0.6,
            alpha=1.0 if curve.typical else 0.3,
            zorder=3.0 if curve.typical else 2.0,
            label=curve.series.label if curve.typical else "_",
        )
        if curve.typical and hit:
            axes.plot(
                time[hit],
                value[hit],
                marker="o",
                markersize=4.5,
                color=curve.series.colour,
                markeredgecolor="white",
                markeredgewidth=0.8,
                zorder=4.0,
                label="_",
            )
    axes.axhline(plot.target.validation_target, color="#1c2530", linewidth=0.9, linestyle="dotted", zorder=2.5)
    end = plot.end_sec / _HOUR
    if np.isfinite(plot.budget_sec):
        axes.axvline(end, color="#1c2530", linewidth=1.4, zorder=2.5)
    axes.set_xlim(0.0, end * 1.02)
    axes.set_ylim(*plot.value_range)
    axes.grid(color="#e3e8ee", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(plot.workload, loc="left", fontsize=10, fontweight="bold")
    axes.set_ylabel(plot.target.metric.replace("_", " "), fontsize=9)
    axes.tick_params(labelsize=8)


def learning_curves_figure(logs: Logs, scores: Scores) -> Figure:
    """Validation metric over submission time (hours), the best trial of each study.

    The middle study of a submission is bold, with a dot at its first evaluation at the target; the dotted line is the
    target, the vertical line the end of the budget.
    """
    plots = workload_curves(logs, scores)
    columns = min(_COLUMNS, max(len(plots), 1))
    rows = max(math.ceil(len(plots) / columns), 1)
    series = all_series(scores)
    labels = [one.wrapped_label(_NAME_WIDTH, 9.0) for one in series]
    legend_columns = min(max(columns, 2), len(series))
    lines = max(1 + label.count("\n") for label in labels)
    legend_height = (0.06 + 0.16 * lines) * math.ceil(len(series) / legend_columns)
    figure = Figure(figsize=(3.6 * max(columns, 2), 2.7 * rows + 0.5 + legend_height), layout="constrained")
    for number, plot in enumerate(plots):
        axes = figure.add_subplot(rows, columns, number + 1)
        _draw(axes, plot)
        if number + columns >= len(plots):
            axes.set_xlabel("submission time (hours)", fontsize=9)
    handles = [
        Line2D([], [], color=one.colour, linestyle=line_style(one), label=label)
        for one, label in zip(series, labels, strict=True)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=legend_columns, frameon=False, fontsize=9)
    return figure
