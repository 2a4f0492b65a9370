"""Draws of the hierarchical model follow the studies, and what other submissions and workloads say about them."""

import numpy as np
import pytest

from scoring.hierarchical import posterior_medians

INF = np.inf


def drawn(values: np.ndarray | list, draws: int = 400, seed: int = 0) -> np.ndarray:
    return posterior_medians(np.array(values, dtype=float), draws, np.random.default_rng(seed))


def spread_of_log_times(values: np.ndarray) -> float:
    """Standard deviation over draws of the first cell, without those that are a miss."""
    draws = drawn(values, draws=1000)[:, 0, 0]
    return float(np.log(draws[np.isfinite(draws)]).std())


def test_many_studies_say_what_their_median_is() -> None:
    generator = np.random.default_rng(1)
    centres = np.log([[100.0, 900.0], [150.0, 700.0], [120.0, 800.0]])
    values = np.exp(centres[..., None] + 0.2 * generator.standard_normal((3, 2, 50)))
    logs = np.log(drawn(values, draws=2000))
    means = np.log(values).mean(axis=-1)
    # The cells are alike, and draw each other by less than half their own standard error, 0.2 / sqrt(50).
    assert np.abs(logs.mean(axis=0) - means).max() < 0.5 * 0.2 / np.sqrt(50)
    assert logs.std(axis=0) == pytest.approx(np.full((3, 2), 0.2 / np.sqrt(50)), rel=0.3)


def test_hits_decide_how_often_a_median_is_a_miss() -> None:
    values = np.full((5, 4, 3), 100.0)
    values[1, :, 0] = INF
    values[2, :, :2] = INF
    values[3] = INF
    reached = np.isfinite(drawn(values, draws=1000)).mean(axis=(0, 2))
    assert reached[0] > 0.95
    assert reached[0] > reached[1] > 0.5 > reached[2] > reached[3]
    assert reached[3] < 0.05


def test_a_cell_is_judged_by_its_submission_and_its_workload() -> None:
    easy, hard = np.full((6, 6, 3), 100.0), np.full((6, 6, 3), INF)
    for values in (easy, hard):
        values[0, 0] = [100.0, INF, INF]
    likely, unlikely = (np.isfinite(drawn(values, draws=1000)[:, 0, 0]).mean() for values in (easy, hard))
    assert likely > 2.0 * unlikely


def test_three_studies_that_happen_to_agree_are_not_certain() -> None:
    generator = np.random.default_rng(2)
    values = 100.0 * np.exp(0.2 * generator.standard_normal((6, 6, 3)))
    values[0, 0] = 100.0
    # The other cells' standard error is 0.2 / sqrt(3).
    assert 0.02 < spread_of_log_times(values) < 0.15
    assert spread_of_log_times(np.full((6, 6, 3), 100.0)) < 0.02


def test_the_unit_of_times_does_not_matter() -> None:
    generator = np.random.default_rng(3)
    values = np.exp(generator.standard_normal((4, 3, 3)))
    values[generator.random(values.shape) < 0.2] = INF
    np.testing.assert_allclose(drawn(3600.0 * values), 3600.0 * drawn(values), rtol=1e-6)


def test_what_was_never_read_stays_unread() -> None:
    values = np.full((2, 2, 3), 100.0)
    values[0, 1] = np.nan
    values[1, 1, 2] = np.nan
    found = drawn(values, draws=50)
    assert np.isnan(found[:, 0, 1]).all()
    assert not np.isnan(np.delete(found.reshape(50, 4), 1, axis=1)).any()


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 1), (4, 3, 3)])
@pytest.mark.parametrize("value", [1e-12, 100.0, INF, np.nan])
@pytest.mark.parametrize("draws", [1, 30])
def test_every_draw_is_a_time_whatever_was_read(shape: tuple[int, int, int], value: float, draws: int) -> None:
    found = drawn(np.full(shape, value), draws=draws)
    assert found.shape == (draws, *shape[:2])
    assert np.isnan(found).all() if np.isnan(value) else (found > 0.0).all()


def test_the_generator_decides() -> None:
    values = [[[100.0, 120.0, INF]]]
    assert drawn(values).tolist() == drawn(values).tolist() != drawn(values, seed=1).tolist()
