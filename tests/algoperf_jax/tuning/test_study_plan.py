"""The trials of studies."""

from typing import Any

import pytest

from algoperf_jax.errors import ConfigError
from algoperf_jax.tuning import study_plan
from algoperf_jax.tuning.search_space import PointList, SearchSpace
from configs import base

SPACE = PointList("space.json", tuple({"b": index, "a": 0.5} for index in range(1, 5)))


def config(**settings: Any) -> Any:
    made = base.named("mnist", "")
    made.update(settings)
    return made.lock()


def plan(space: SearchSpace | None = None, **settings: Any) -> list[tuple[int, int]]:
    return [(own.study, own.trial) for own in study_plan.plan(config(**settings), space)]


def refusal(space: SearchSpace | None = None, **settings: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        study_plan.plan(config(**settings), space)
    return str(caught.value)


@pytest.mark.parametrize(
    ("settings", "studies", "trials"),
    [
        ({}, [1], [1, 2, 3, 4]),
        ({"num_trials": 2}, [1], [1, 2]),
        ({"num_trials": 4, "num_studies": 3}, [1, 2, 3], [1, 2, 3, 4]),
        ({"study": 3, "num_trials": 1}, [3], [1]),
        ({"study": 3, "num_studies": 2}, [3, 4], [1, 2, 3, 4]),
        ({"trials": "2:4", "num_studies": 2}, [1, 2], [2, 3, 4]),
        ({"trials": "3"}, [1], [3]),
        ({"trials": ":2"}, [1], [1, 2]),
        ({"trials": "3:"}, [1], [3, 4]),
        ({"trials": "2:2"}, [1], [2]),
    ],
)
def test_trials_of_a_search_space(settings: dict[str, Any], studies: list[int], trials: list[int]) -> None:
    expected = [(study, trial) for study in studies for trial in trials]
    assert plan(SPACE, search_space="space.json", **settings) == expected


def test_trials_without_a_search_space() -> None:
    assert plan(num_trials=2, num_studies=2) == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert plan(num_studies=2) == [(1, 1), (2, 1)]
    assert plan(num_studies=3, ruleset="self") == [(1, 1), (2, 1), (3, 1)]


def test_each_study_tries_the_same_points_in_the_order_of_their_names() -> None:
    trials = study_plan.plan(config(search_space="space.json", num_studies=2, hyperparameters={"c": 1}), SPACE)
    points = [own.hyperparameters.to_dict() for own in trials]
    assert points == [{**point, "c": 1} for point in SPACE.listed] * 2
    assert all(list(point) == ["b", "a", "c"] for point in points)


def test_trials_without_a_search_space_share_the_hyperparameters_of_the_configuration() -> None:
    trials = study_plan.plan(config(num_trials=2, hyperparameters={"learning_rate": 0.5}), None)
    assert [own.hyperparameters.to_dict() for own in trials] == [{"learning_rate": 0.5}] * 2


def test_a_trial_keeps_everything_else_of_the_configuration() -> None:
    whole = config(search_space="space.json", num_trials=2, trials="2", max_steps=7, seed=3)
    (own,) = study_plan.plan(whole, SPACE)
    replaced = {"trial": 2, "seed": study_plan.trial_seed(3, 1, 2), "hyperparameters": {"b": 2, "a": 0.5}}
    assert own.to_dict() == {**whole.to_dict(), **replaced}
    assert own.is_locked
    assert own.get_type("data_dir") is str
    assert (whole.seed, whole.trial, len(whole.hyperparameters)) == (3, 1, 0)


def test_seeds_of_the_largest_numbers_fit_32_bits() -> None:
    for seed in (0, 2**32 - 1):
        assert 0 <= study_plan.trial_seed(seed, 2**63 - 1, 2**63 - 1) < 2**31


def test_seeds_differ_and_follow_from_the_numbers_of_a_trial() -> None:
    numbers = [(seed, study, trial) for seed in range(4) for study in range(1, 5) for trial in range(1, 21)]
    seeds = [study_plan.trial_seed(*of) for of in numbers]
    assert len(set(seeds)) == len(numbers)
    assert all(0 <= seed < 2**31 for seed in seeds)
    # Fixed values: another way of drawing seeds would prevent started studies from resuming.
    assert study_plan.trial_seed(0, 1, 1) == 1806813825
    few = study_plan.plan(config(search_space="space.json", num_trials=4, trials="3"), SPACE)
    many = study_plan.plan(config(search_space="space.json", num_studies=2), SPACE)
    assert few[0].seed == many[2].seed == study_plan.trial_seed(0, 1, 3) != many[6].seed


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"trial": 2}, "config.trial: found 2; expected 1 when several trials are run. Set --config.trials=2"),
        ({"num_trials": 5}, "config.num_trials: found 5; expected at most 4, the number of points in space.json"),
        ({"hyperparameters": {"a": 1}}, "config.hyperparameters.a: found 1; expected no value, because space.json has"),
        ({"trials": "2-4"}, "config.trials: found '2-4'; expected numbers of trials, such as 3, 2:4, :2 or 4:"),
        ({"trials": ":"}, "config.trials: found ':'; expected numbers of trials"),
        ({"trials": "1:2:3"}, "config.trials: found '1:2:3'; expected numbers of trials"),
        ({"trials": "-1"}, "config.trials: found '-1'; expected numbers of trials"),
        ({"trials": "0"}, "config.trials: found '0'; expected trials from 1 to 4"),
        ({"trials": "5"}, "config.trials: found '5'; expected trials from 1 to 4"),
        ({"trials": "2:5"}, "config.trials: found '2:5'; expected trials from 1 to 4"),
        ({"trials": "3:2"}, "config.trials: found '3:2'; expected trials from 1 to 4"),
        ({"trials": "3:", "num_trials": 2}, "config.trials: found '3:'; expected trials from 1 to 2"),
        ({"ruleset": "self"}, "config.search_space: found 'space.json'; expected none with --config.ruleset=self"),
    ],
)
def test_contradictions(settings: dict[str, Any], expected: str) -> None:
    assert expected in refusal(SPACE, search_space="space.json", **settings)


def test_contradictions_without_a_search_space() -> None:
    assert "config.trial: found 3; expected 1" in refusal(num_trials=3, trial=3)
    line = refusal(num_trials=2, ruleset="self")
    assert line == (
        "config.num_trials: found 2; expected 1 with --config.ruleset=self. "
        "Set --config.num_studies to run it several times."
    )
