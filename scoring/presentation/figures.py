"""Figures of scores for papers, made without the global state of matplotlib's pyplot."""

import pathlib
from collections.abc import Mapping

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from scoring.errors import ScoringError
from scoring.logs import Logs
from scoring.presentation import time_cells as cells_of
from scoring.presentation.learning_curves import learning_curves_figure, line_style
from scoring.presentation.profile_lines import profile_line, spread
from scoring.presentation.series import all_series, share_colour
from scoring.presentation.time_cells import TimeCell, time_cells
from scoring.scores import Scores

_DOTS_PER_INCH = 150
# Points: width of the names of submissions, size of the letters of labels.
_NAME_WIDTH, _LETTER_SIZE = 170.0, 10.0
_TEXT, _FAINT = "#1c2530", "#d8dee6"
_MISS_FILL, _MISS_TEXT = "#eceef1", "#6b7480"


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=_FAINT, linewidth=0.7)
    axes.set_axisbelow(True)


def performance_profile_figure(scores: Scores) -> Figure:
    """Share of workloads (percent) over the ratio to the best time, with steps at the exact ratios and labels at the
    ends.
    """
    end = float(scores.profile.columns[-1])
    series = all_series(scores)
    labels = [one.wrapped_label(_NAME_WIDTH, _LETTER_SIZE) for one in series]
    # The distance of labels in percent of the workloads; the height turns it into inches.
    gap = 1.6 + 4.0 * max(1 + label.count("\n") for label in labels)
    stretch = max(1.0, gap * (len(series) - 1) / 104.0)
    figure = Figure(figsize=(9.0, 5.2 * stretch), layout="constrained")
    axes = figure.add_subplot()
    _plain(axes)
    lines = [profile_line(scores, one.submission) for one in series]
    for one, (place, share) in reversed(list(zip(series, lines, strict=True))):
        axes.step(
            place,
            100.0 * share,
            where="post",
            color=one.colour,
            linestyle=line_style(one),
            linewidth=2.2,
            label=one.label,
        )
    axes.set_xlim(1.0, end if end > 1.0 else 2.0)
    axes.set_ylim(-2.0, 102.0)
    axes.set_xlabel("time to target, divided by the best" if scores.unit == "seconds" else "steps, divided by the best")
    axes.set_ylabel("workloads within that ratio (%)")
    heights = [100.0 * float(share[-1]) for _, share in lines]
    # Among lines of the same height, the best score goes on top.
    wanted = [height - 1e-3 * one.number for one, height in zip(series, heights, strict=True)]
    right_of_axes = axes.get_yaxis_transform()
    places = spread(wanted, gap / stretch, -2.0, 102.0)
    for one, label, height, place in zip(series, labels, heights, places, strict=True):
        axes.plot(
            [1.006, 1.035], [height, place], transform=right_of_axes, color=one.colour, linewidth=0.7, clip_on=False
        )
        sample = {"color": one.colour, "linestyle": line_style(one), "linewidth": 2.2}
        axes.plot([1.04, 1.10], [place, place], transform=right_of_axes, clip_on=False, **sample)
        axes.text(1.11, place, label, transform=right_of_axes, color=_TEXT, va="center")
    axes.set_title("Performance profiles", loc="left", color=_TEXT, fontweight="bold")
    return figure


def _draw_cell(axes: Axes, cell: TimeCell, column: int, row: int) -> None:
    known = np.isfinite(cell.value)
    fill, dark = share_colour(cell.share) if np.isfinite(cell.share) else ("#ffffff" if known else _MISS_FILL, False)
    if cell.state == cells_of.NEVER_RUN:
        fill = "#ffffff"
    ignored = cell.state in (cells_of.SLOW, cells_of.HELD_OUT)
    axes.add_patch(
        Rectangle(
            (column - 0.48, row - 0.46),
            0.96,
            0.92,
            facecolor="#ffffff" if ignored else fill,
            edgecolor=fill if ignored else "#b6bec8" if cell.state == cells_of.NEVER_RUN else "none",
            linestyle="dashed" if cell.state == cells_of.NEVER_RUN else "solid",
            linewidth=2.0 if ignored else 0.8,
            hatch="////" if ignored else None,
        )
    )
    colour = _MISS_TEXT if not known else "white" if dark and not ignored else _TEXT
    box = {"boxstyle": "round,pad=0.12", "facecolor": "white", "edgecolor": "none"} if ignored else None
    for number, line in enumerate(cell.lines):
        axes.text(
            column,
            row + (0.0 if len(cell.lines) == 1 else (-0.17, 0.21)[number]),
            line,
            ha="center",
            va="center",
            color=colour,
            fontsize=(9.5, 7.5)[number],
            bbox=box,
        )


def time_heat_map_figure(scores: Scores, budgets: Mapping[str, float]) -> Figure:
    """Median time to target of each submission on each base workload; colour is the share of the budget.

    Args:
      scores: from `scoring.score`.
      budgets: as in `time_cells.time_cells`.
    """
    cells = time_cells(scores, budgets)
    series = all_series(scores)
    workloads = [str(name) for name in scores.counted_times.columns]
    rows = {one.submission: row for row, one in enumerate(series)}
    labels = [one.wrapped_label(_NAME_WIDTH, _LETTER_SIZE) for one in series]
    row_height = 0.5 + 0.15 * max(0, *(label.count("\n") - 1 for label in labels))
    figure = Figure(figsize=(3.6 + 1.02 * len(workloads), 1.9 + row_height * len(series)), layout="constrained")
    axes = figure.add_subplot()
    for cell in cells:
        _draw_cell(axes, cell, workloads.index(cell.workload), rows[cell.submission])
    axes.set_xlim(-0.5, len(workloads) - 0.5)
    axes.set_ylim(len(series) - 0.5, -0.5)
    axes.set_xticks(range(len(workloads)), [name.replace("_", "\n", 1) for name in workloads], fontsize=9)
    axes.set_yticks(range(len(series)), labels)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title("Time to target", loc="left", color=_TEXT, fontweight="bold", pad=14)
    scale = ScalarMappable(cmap=ListedColormap([share_colour(share)[0] for share in np.linspace(0.0, 1.0, 256)]))
    scale.set_clim(0.0, 100.0)
    bar = figure.colorbar(scale, ax=axes, location="bottom", aspect=50, shrink=0.6, pad=0.02)
    bar.set_label("share of the step hint (%)" if scores.unit == "steps" else "share of the budget (%)")
    bar.outline.set_visible(False)
    return figure


def write_figures(folder: pathlib.Path, logs: Logs, scores: Scores) -> list[pathlib.Path]:
    """Writes every figure as PNG and as SVG, reproducibly byte for byte; returns the files.

    The names are `performance_profiles`, `time_to_target` and `learning_curves`.

    Raises:
      ScoringError: a file cannot be written.
    """
    figures = {
        "performance_profiles": performance_profile_figure(scores),
        "time_to_target": time_heat_map_figure(scores, cells_of.budgets(logs, scores)),
        "learning_curves": learning_curves_figure(logs, scores),
    }
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            # Identifiers within an SVG are random without a salt; the setting applies only inside the block.
            with matplotlib.rc_context({"svg.hashsalt": name}):
                for ending, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
                    path = folder / f"{name}.{ending}"
                    figure.savefig(path, format=ending, dpi=_DOTS_PER_INCH, metadata=metadata)
                    paths.append(path)
    except OSError as error:
        raise ScoringError(f"{folder}: cannot be written ({error})") from error
    return paths
