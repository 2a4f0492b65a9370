"""Simulated benchmarks have the truth that they claim, and the table in the documents is the measured one."""

import dataclasses
import pathlib
import re

import numpy as np
import pytest

from scoring import coverage, intervals, simulation

DOCUMENT = pathlib.Path(__file__).parents[2] / "docs/scoring.md"
QUICK = ["--quick", "--method=percentile", "--method=basic"]


@pytest.mark.parametrize("number", range(len(simulation.DESIGNS)))
def test_true_medians_are_those_of_many_studies(number: int) -> None:
    # A budget near the typical time, and more misses than usual, try everything.
    design = dataclasses.replace(simulation.DESIGNS[number], submissions=4, workloads=3, studies=4001, lost=0.3)
    world = simulation.world(design, np.random.default_rng(number))
    found = np.median(simulation.experiment(world, np.random.default_rng(99)).min(axis=-1), axis=-1)
    expected = simulation.true_medians(world)
    sure = np.isfinite(found) == np.isfinite(expected)
    # A share of hits close to one half, by 3 standard deviations, may fall on either side.
    assert sure.mean() > 0.8
    both = np.isfinite(found) & np.isfinite(expected)
    error = np.log(found[both] / expected[both])
    # 5 standard errors of a median of 4001, of which only half the studies may have a time; and one evaluation.
    allowed = 5 * 1.25 * np.broadcast_to(world.spread[..., 0], both.shape)[both] / np.sqrt(2000)
    assert (np.abs(error) < allowed + 0.02 + 2.0 * design.period).all()


def test_a_world_has_hits_and_misses_as_designed() -> None:
    design = simulation.Design("", 200, 50, 2, lost=0.3, hits=9.0, spread=0.1)
    world = simulation.world(design, np.random.default_rng(0))
    first, second = np.moveaxis(world.probability, -1, 0)
    reached = first > 0.5
    assert 0.6 < reached.mean() < 0.8
    assert first[reached].mean() == pytest.approx(0.9, abs=0.02)
    # In the other cells only the first trial has a chance.
    assert (second[first < 0.1] == 0.0).mean() > 0.95
    assert (second[reached] > 0.0).mean() == pytest.approx(0.6, abs=0.03)


def test_experiments_depend_on_the_seed_alone() -> None:
    once, again, other = (
        coverage.measure(8, ["percentile"], experiments=2, draws=20, seed=seed) for seed in (11, 11, 12)
    )
    assert once.equals(again)
    assert not once.equals(other)


def test_intervals_of_certain_results_hold_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    certain = dataclasses.replace(simulation.DESIGNS[8], lost=0.0, hits=1e9, spread=1e-9)
    monkeypatch.setattr(simulation, "DESIGNS", (certain,))
    table = coverage.measure(0, list(intervals.METHODS), experiments=1, draws=40, seed=11).set_index("method")
    assert (table[["score", "rank", "leader", "read"]].to_numpy() == 1.0).all()
    assert table.at["percentile", "width"] < 1e-6
    assert table.at["hierarchical", "width"] < 0.05


def test_the_command_prints_the_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert coverage.main([*QUICK, "--experiments=1", "--seed=11"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    assert len(rows) == 3 * (1 + len(simulation.DESIGNS))
    assert rows[0] == "| design | submissions x workloads | studies x trials | percentile | basic |"
    assert rows[9].startswith("| few submissions | 5 x 8 | 3 x 1 | ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--experiments=0"], "experiments is 0; expected 1 or more"),
        (["--draws=-1"], "draws is -1; expected 1 or more"),
        (["--seed=-1"], "seed is -1; expected 0 or more"),
        (["--method=best"], "invalid choice: 'best'"),
    ],
)
def test_bad_input_is_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    assert coverage.main(arguments) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def _documented(title: str) -> list[list[str]]:
    """The rows of the document's table below a title, with its head."""
    table = re.search(rf"^{re.escape(title)}, %:\n\n((?:\|.*\n)+)", DOCUMENT.read_text(), re.MULTILINE)
    assert table
    head, _, *rows = ([cell.strip() for cell in row.split("|")[1:-1]] for row in table[1].splitlines())
    return [head, *rows]


def test_the_default_is_the_method_that_the_document_shows_to_be_nearest_to_95() -> None:
    head, *rows = _documented("True scores held")
    assert head[3:] == list(intervals.METHODS)
    assert [" | ".join(row[:3]) for row in rows] == [coverage.design_label(design) for design in simulation.DESIGNS]
    distances = np.abs(np.array([row[3:] for row in rows], dtype=float) - 95.0)
    assert head[3 + int(distances.mean(axis=0).argmin())] == intervals.DEFAULT
    assert head[3 + int(distances.max(axis=0).argmin())] == intervals.DEFAULT


@pytest.mark.slow
def test_the_documented_numbers_are_those_that_the_command_prints() -> None:
    number = 8
    measured = coverage.measure(
        number,
        list(intervals.METHODS),
        experiments=coverage.EXPERIMENTS,
        draws=coverage.DRAWS,
        seed=coverage.SEED,
    )
    for title, name in (("True scores held", "score"), ("True ranks held", "rank")):
        row = _documented(title)[1 + number]
        assert row[3:] == [f"{100 * value:.1f}" for value in measured[name]]
