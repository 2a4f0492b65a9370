"""Reading search spaces, and the points drawn from them."""

import json
import pathlib
import re
from typing import Any

import numpy as np
import pytest

from algoperf_jax.errors import ConfigError
from algoperf_jax.tuning import halton, search_space
from algoperf_jax.tuning.search_space import Choice, PointList, Range, Ranges, SearchSpace
from tests import golden_support

SPACES = golden_support.listing("halton")["spaces"]
LISTS = [name for name, golden in SPACES.items() if isinstance(golden["search_space"], list)]
RANGES = [name for name in SPACES if name not in LISTS]
LOG = '{"min": 1e-4, "max": 1e-2, "scaling": "log"}'


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "space.json"


def read(path: pathlib.Path, content: Any) -> SearchSpace:
    path.write_text(json.dumps(content))
    return search_space.read(str(path))


# --- what is accepted ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LISTS)
def test_published_lists(name: str, path: pathlib.Path) -> None:
    golden = SPACES[name]
    space = read(path, golden["search_space"])
    assert isinstance(space, PointList)
    for count in (5, 20):
        points = space.points(min(count, len(space.listed)), seed=0)
        # Compared as text, so that types and the order of names count.
        assert json.dumps(points) == json.dumps(golden[f"points_{count}"])
    assert list(space.points(None, seed=0)) == golden["search_space"]


@pytest.mark.parametrize("name", RANGES)
def test_published_ranges(name: str, path: pathlib.Path) -> None:
    golden = SPACES[name]
    space = read(path, golden["search_space"])
    assert isinstance(space, Ranges)
    shuffled = [match for key in golden if (match := re.fullmatch(r"points_(\d+)_np_random_seed_(\d+)", key))]
    assert len(shuffled) >= 2
    for match in shuffled:
        points = space.points(int(match[1]), seed=int(match[2]))
        assert json.dumps(points) == json.dumps(golden[match[0]])
    for count in (5, 20):
        expected = golden[f"points_{count}_generation_order"]
        corners = halton.unit_cube_points(count, len(space.dimensions))
        for point, corner in zip(expected, corners, strict=True):
            dimensions = space.dimensions.values()
            assert list(point.values()) == [d.at(fraction) for d, fraction in zip(dimensions, corner, strict=True)]
        points = space.points(count, seed=7)
        assert sorted(map(json.dumps, points)) == sorted(map(json.dumps, expected))
    assert len(space.points(None, seed=0)) == 5


def test_the_order_of_points_touches_no_other_random_numbers(path: pathlib.Path) -> None:
    space = read(path, {"x": {"min": 0, "max": 1, "scaling": "linear"}})
    np.random.seed(0)  # noqa: NPY002 -- the global generator is meant
    assert space.points(20, seed=1) == space.points(20, seed=1) != space.points(20, seed=2)
    assert np.random.random() == np.random.RandomState(0).random()  # noqa: NPY002 -- the global generator is meant


def test_values_of_ranges_and_choices() -> None:
    assert Range(2, 4, "linear").at(0.25) == 2.5
    assert Range(1.0, 100.0, "log").at(0.5) == pytest.approx(10.0)
    assert Range(3.0, 3.0, "log").at(0.7) == 3.0
    assert [Choice((1, "a", None)).at(fraction) for fraction in (0.0, 0.34, 0.99)] == [1, "a", None]


def test_values_keep_their_types_and_names_the_order_of_the_first_point(path: pathlib.Path) -> None:
    path.write_text(
        '[{"b": 1, "a": true, "c": "x", "d": null, "e": 1.0, "f": [1, 2.5]},'
        ' {"f": [], "e": 2, "d": null, "c": "", "a": false, "b": 3}]'
    )
    points = search_space.read(str(path)).points(None, seed=0)
    assert [list(point) for point in points] == [["b", "a", "c", "d", "e", "f"]] * 2
    assert [[type(value) for value in point.values()] for point in points] == [
        [int, bool, str, type(None), float, list],
        [int, bool, str, type(None), int, list],
    ]


def test_fewer_points_of_a_list_are_its_first(path: pathlib.Path) -> None:
    assert read(path, [{"x": 1}, {"x": 2}, {"x": 3}]).points(2, seed=5) == ({"x": 1}, {"x": 2})


# --- what is not -----------------------------------------------------------------------------------------------------


def ranges(entry: str) -> str:
    return f'{{"x": {entry}}}'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is not JSON: Expecting value"),
        ("{", "is not JSON: Expecting property name"),
        ("[1] 2", "is not JSON: Extra data"),
        ('[{"x": NaN}]', "is not JSON: NaN is not a JSON number"),
        (ranges('{"min": 0, "max": Infinity, "scaling": "linear"}'), "is not JSON: Infinity is not a JSON number"),
        ("[" * 100_000, "is not JSON: "),
        ("3", "its content: found 3; expected a list of points or an object of ranges"),
        ("null", "its content: found None; expected a list of points"),
        ("[]", "the list of points is empty"),
        ("{}", "number of hyperparameters: found 0; expected 1 to 166"),
        ("[{}, 3]", "point 2: found 3; expected an object with a value for each name"),
        ("[[]]", "point 1: found []"),
        ('[{"x": 1}, {"x": 2}, {"x": 3, "y": 4}]', "point 3 has 'y', point 1 does not; expected the same names"),
        ('[{"x": 1, "y": 2}, {"x": 2}]', "point 1 has 'y', point 2 does not; expected the same names"),
        (f"[{ranges(LOG)}]", "x of point 1: found {'min': 0.0001, 'max': 0.01, 'scaling': 'log'}; expected a number"),
        ('[{"x": [1, {}]}]', "x of point 1: found {}; expected a number"),
        ('[{"x": 1e999}]', "x of point 1: found inf; expected a finite number"),
        ('[{"x": 1, "x": 2}]', "the name 'x' occurs twice in one object"),
        (f'{{"x": {LOG}, "x": {LOG}}}', "the name 'x' occurs twice in one object"),
        ('[{"learning rate": 1}]', "a hyperparameter's name: found 'learning rate'; expected a valid Python name"),
        ('[{"lambda": 1}]', "a hyperparameter's name: found 'lambda'"),
        ('{"_x": {"feasible_points": [1]}}', "a hyperparameter's name: found '_x'"),
        ('{"": {"feasible_points": [1]}}', "a hyperparameter's name: found ''"),
        (ranges("3"), "x: found 3; expected an object with min, max and scaling, or with feasible_points"),
        (ranges('{"min": 1, "max": 2}'), "x lacks 'scaling'; expected min, max and scaling, or feasible_points"),
        (ranges('{"max": 2, "scaling": "log"}'), "x lacks 'min'"),
        (ranges("{}"), "x lacks 'min'"),
        (ranges('{"min": 1, "max": 2, "scale": "log"}'), "x has 'scale'; expected only min, max, scaling"),
        (ranges('{"feasible_points": [1], "scaling": "log"}'), "x has 'scaling'; expected only feasible_points"),
        (ranges('{"min": 1, "max": 2, "scaling": "logg"}'), "scaling of x: found 'logg'; expected 'log' or 'linear'"),
        (ranges('{"min": 1, "max": 2, "scaling": "logg"}'), "Did you mean 'log'?"),
        (ranges('{"min": 1, "max": 2, "scaling": ["log"]}'), "scaling of x: found ['log']; expected"),
        (ranges('{"min": "1", "max": 2, "scaling": "log"}'), "min of x: found '1'; expected a finite number"),
        (ranges('{"min": 1, "max": true, "scaling": "log"}'), "max of x: found True; expected a finite number"),
        (ranges('{"min": 1, "max": 1e999, "scaling": "log"}'), "max of x: found inf; expected a finite number"),
        (ranges('{"min": 3, "max": 2, "scaling": "linear"}'), "min of x: found 3; expected at most its max, 2"),
        (ranges('{"min": 0, "max": 2, "scaling": "log"}'), "min of x: found 0; expected more than 0"),
        (ranges('{"min": -2, "max": -1, "scaling": "log"}'), "min of x: found -2; expected more than 0"),
        (ranges('{"feasible_points": []}'), "feasible_points of x: found []; expected a list of at least one value"),
        (ranges('{"feasible_points": 3}'), "feasible_points of x: found 3; expected a list"),
        (ranges('{"feasible_points": [{}]}'), "feasible_points of x: found {}; expected a number"),
    ],
)
def test_file_is_refused(text: str, expected: str, path: pathlib.Path) -> None:
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        search_space.read(str(path))
    line = str(caught.value)
    assert line.startswith(f"search space {path}")
    assert expected in line
    assert "\n" not in line


def test_file_that_cannot_be_read(path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.search_space: No such file or directory: found '.*space\.json'"):
        search_space.read(str(path))
    with pytest.raises(ConfigError, match="Is a directory"):
        search_space.read(str(tmp_path))
    path.write_bytes(b"\xff\xfe[]")
    with pytest.raises(ConfigError, match=r"space\.json is not text: .*; expected JSON in UTF-8"):
        search_space.read(str(path))


def test_more_trials_than_points(path: pathlib.Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.num_trials: found 3; expected at most 2, the number of points"):
        read(path, [{"x": 1}, {"x": 2}]).points(3, seed=0)


def test_more_hyperparameters_than_bases(path: pathlib.Path) -> None:
    with pytest.raises(ConfigError, match="number of hyperparameters: found 167; expected 1 to 166"):
        read(path, {f"x{i}": {"feasible_points": [0]} for i in range(167)})


@pytest.mark.parametrize("seed", [2**32, -1])
def test_seed_of_the_order_that_does_not_fit_32_bits(path: pathlib.Path, seed: int) -> None:
    with pytest.raises(ConfigError, match=rf"config\.search_seed: found {seed}; expected 0 to 4294967295"):
        read(path, {"x": {"feasible_points": [0]}}).points(1, seed=seed)


@pytest.mark.parametrize(
    ("submission", "space"),
    [
        ("method/submission.py", "method/tuning_search_space.json"),
        ("method/jax/submission.py", "method/tuning_search_space.json"),
        ("method/method_pytorch/submission.py", "method/tuning_search_space.json"),
        ("method/other/submission.py", None),
    ],
)
def test_the_space_that_came_with_a_submission(tmp_path: pathlib.Path, submission: str, space: str | None) -> None:
    (tmp_path / submission).parent.mkdir(parents=True)
    (tmp_path / "method/tuning_search_space.json").write_text("[]")
    assert search_space.find_for(tmp_path / submission) == (tmp_path / space if space else None)
