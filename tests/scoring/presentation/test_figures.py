"""Figures: the content of their artists, and the files."""

import pathlib
import re
import warnings
import xml.etree.ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from matplotlib.text import Text

import scoring
from scoring.presentation.figures import performance_profile_figure, time_heat_map_figure, write_figures
from scoring.presentation.learning_curves import learning_curves_figure
from scoring.presentation.series import all_series, share_colour
from scoring.presentation.time_cells import budgets
from tests.scoring.presentation.reports import HOSTILE, long_logs


def test_profiles_step_at_the_exact_ratios(scores: scoring.Scores) -> None:
    (axes,) = performance_profile_figure(scores).axes
    lines = {str(line.get_label()).rsplit("  ")[0]: line for line in axes.lines if line.get_drawstyle() == "steps-post"}
    assert set(lines) == set(scores.leaderboard["submission"])
    # It reached beta in 601 s, the best in 301 s; alpha does not count because of its variant.
    x, y = np.asarray(lines["late"].get_xdata()), np.asarray(lines["late"].get_ydata())
    np.testing.assert_allclose(x, [1.0, 601.0 / 301.0, 4.0])
    assert y.tolist() == [0.0, 50.0, 50.0]
    assert np.asarray(lines["slow"].get_ydata()).tolist() == [0.0, 0.0]
    assert len({(line.get_color(), line.get_linestyle()) for line in lines.values()}) == len(lines)


def test_the_labels_of_profiles_have_scores_and_do_not_overlap(scores: scoring.Scores) -> None:
    (axes,) = performance_profile_figure(scores).axes
    labels = {text.get_text(): text.get_position()[1] for text in axes.texts}
    assert list(labels) == [one.label for one in all_series(scores)]
    assert "fast  1.0000" in labels
    assert np.diff(sorted(labels.values())).min() > 5.0


def test_the_heat_map_distinguishes_results(logs: scoring.Logs, scores: scoring.Scores) -> None:
    axes = time_heat_map_figure(scores, budgets(logs, scores)).axes[0]
    texts = [text.get_text() for text in axes.texts]
    assert {"101 s", "10%", "held-out", "> 4× best", "miss", "no logs"} <= set(texts)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["alpha", "beta"]
    assert axes.get_yticklabels()[0].get_text() == "fast  1.0000"
    cells = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert len(cells) == 8
    assert to_hex(cells[0].get_facecolor()) == share_colour(0.101)[0]
    assert sum(cell.get_hatch() is not None for cell in cells) == 2
    assert sum(cell.get_linestyle() == "dashed" for cell in cells) == 1


def test_learning_curves_show_the_best_trial_of_each_study(logs: scoring.Logs, scores: scoring.Scores) -> None:
    alpha, beta = learning_curves_figure(logs, scores).axes
    assert [alpha.get_title(loc="left"), beta.get_title(loc="left")] == ["alpha", "beta"]
    curves = [line for line in alpha.lines if len(np.asarray(line.get_xdata())) > 2 or line.get_alpha()]
    # Three submissions with logs, three studies each; one study of each is bold.
    assert len(curves) == 9
    bold = {str(line.get_label()).rsplit("  ")[0]: line for line in curves if line.get_alpha() == 1.0}
    assert set(bold) == {"fast", "late", "slow"}
    # The middle one of 100, 101 and 102 seconds.
    np.testing.assert_allclose(np.asarray(bold["fast"].get_xdata()) * 3600.0, [1.0, 101.0])
    missed = [line for line in beta.lines if str(line.get_label()).startswith("slow")]
    # No trial reaches the target: the one with the lowest loss represents the study.
    assert np.asarray(missed[0].get_ydata()).tolist() == [9.0, 1.0, 0.8]
    assert 0.5 in [np.asarray(line.get_ydata())[0] for line in beta.lines]
    assert beta.get_xlim()[1] == pytest.approx(1000.0 / 3600.0, rel=0.05)


def test_figures_of_steps(logs: scoring.Logs) -> None:
    steps = scoring.score(logs, unit="steps")
    axes = time_heat_map_figure(steps, budgets(logs, steps)).axes[0]
    assert "11" in [text.get_text() for text in axes.texts]


def test_files_are_the_same_each_time(logs: scoring.Logs, scores: scoring.Scores, tmp_path: pathlib.Path) -> None:
    before = dict(matplotlib.rcParams)
    first, second = (write_figures(tmp_path / name, logs, scores) for name in ("a", "b"))
    assert dict(matplotlib.rcParams) == before
    assert [path.name for path in first] == [
        f"{name}.{ending}"
        for name in ("performance_profiles", "time_to_target", "learning_curves")
        for ending in ("png", "svg")
    ]
    for path, again in zip(first, second, strict=True):
        assert path.read_bytes() == again.read_bytes()
        if path.suffix == ".png":
            assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
            assert path.read_bytes().endswith(b"IEND\xaeB`\x82")
        else:
            assert xml.etree.ElementTree.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"
            assert HOSTILE not in path.read_text()


def test_a_folder_that_cannot_be_made_is_named(
    logs: scoring.Logs, scores: scoring.Scores, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(scoring.ScoringError, match="file"):
        write_figures(tmp_path / "file", logs, scores)


def test_long_names_stay_within_the_figures(tmp_path: pathlib.Path) -> None:
    logs = long_logs(tmp_path)
    scores = scoring.score(logs)
    figures = (
        performance_profile_figure(scores),
        time_heat_map_figure(scores, budgets(logs, scores)),
        learning_curves_figure(logs, scores),
    )
    for figure in figures:
        canvas = FigureCanvasAgg(figure)
        with warnings.catch_warnings():
            # The font has no Chinese letters.
            warnings.filterwarnings("ignore", "Glyph")
            canvas.draw()
            texts = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_visible()]
            names = [text for text in texts if re.search(r"  \d\.\d{4}$", text.get_text())]
            boxes = [text.get_window_extent(canvas.get_renderer()) for text in names]
        assert len(boxes) == len(scores.leaderboard)
        for at, box in enumerate(boxes):
            assert min(box.x0, box.y0) >= 0
            assert box.x1 <= figure.bbox.x1
            assert box.y1 <= figure.bbox.y1
            assert not any(box.overlaps(other) for other in boxes[:at])
