"""Positions of labels, points that suffice, and cells with their reasons."""

import numpy as np
import pytest

import scoring
from scoring.presentation.curves import drawn_points
from scoring.presentation.profile_lines import spread
from scoring.presentation.series import amount_text, share_colour
from scoring.presentation.svg import tick_labels
from scoring.presentation.time_cells import budgets, time_cells
from scoring.presentation.wrapping import text_width, wrapped
from tests.scoring.presentation.reports import HOSTILE


def test_labels_stay_where_there_is_room() -> None:
    assert spread([10.0, 50.0], 5.0, 0.0, 100.0) == [10.0, 50.0]


def test_labels_that_would_overlap_share_the_room_around() -> None:
    assert spread([50.0, 50.0, 50.0], 10.0, 0.0, 100.0) == pytest.approx([40.0, 50.0, 60.0])
    assert spread([99.0, 100.0], 10.0, 0.0, 100.0) == pytest.approx([90.0, 100.0])
    crowded = spread([0.0] * 5, 50.0, 0.0, 100.0)
    assert crowded == pytest.approx([0.0, 25.0, 50.0, 75.0, 100.0])


def test_few_points_are_drawn_and_the_extremes_among_them() -> None:
    place = np.linspace(0.0, 1.0, 5000)
    value = np.sin(40.0 * place)
    value[1234], value[3210] = 9.0, -9.0
    points = drawn_points(place, value, [777], 50)
    assert {0, 777, 1234, 3210, 4999} <= set(points.tolist())
    assert len(points) <= 2 * 50 + 3
    assert np.all(np.diff(points) > 0)
    assert drawn_points(place[:7], value[:7], [], 50).tolist() == list(range(7))


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [(101.0, "seconds", "101 s"), (5400.0, "seconds", "90 min"), (8e3, "seconds", "2.2 h"), (1e4, "steps", "10,000")],
)
def test_amounts(value: float, unit: str, expected: str) -> None:
    assert amount_text(value, unit) == expected


def test_shares_run_from_light_to_dark() -> None:
    assert not share_colour(0.0)[1]
    assert share_colour(1.0)[1]
    assert share_colour(1.3) == share_colour(1.0)


def test_tick_labels_have_the_decimals_they_need() -> None:
    assert tick_labels([0.0, 0.25, 0.5]) == ["0.00", "0.25", "0.50"]
    assert tick_labels([0.0, 2.5, 5.0]) == ["0.0", "2.5", "5.0"]
    assert tick_labels([0.0, 20.0]) == ["0", "20"]


def test_cells_say_why_a_time_does_not_count(logs: scoring.Logs, scores: scoring.Scores) -> None:
    cells = {(cell.submission, cell.workload): cell for cell in time_cells(scores, budgets(logs, scores))}
    assert cells["fast", "alpha"].detail == "101 s, 10% of the budget, 1.00 times the best"
    assert cells["late", "alpha"].state == "held out"
    assert cells["late", "alpha"].detail.endswith("missed, or too slow, on alpha_variant")
    assert cells["slow", "alpha"].state == "slow"
    assert cells["slow", "beta"].detail == "a miss: the target is reached in 0 of 3 studies"
    assert cells[HOSTILE, "alpha"].state == "never run"


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("", [""]),
        ("shampoo", ["shampoo"]),
        ("schedule_free_adamw_v2", ["schedule_free_", "adamw_v2"]),
        ("a long name-of.words", ["a long name-of.", "words"]),
        ("x" * 20, ["x" * 15, "x" * 5]),
        ("W" * 25, ["W" * 10, "W" * 10, "W" * 5]),
        ("W" * 31, ["W" * 10, "W" * 10, "W" * 9 + "\N{HORIZONTAL ELLIPSIS}"]),
    ],
)
def test_names_wrap_where_words_end(name: str, lines: list[str]) -> None:
    assert wrapped(name, 100.0, 10.0) == lines
    assert all(text_width(line, 10.0) <= 100.0 for line in lines)
