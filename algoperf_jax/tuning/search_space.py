"""Search spaces: the JSON files from which the trials of a study take their hyperparameters.

There are two forms, as in AlgoPerf. A list of points, used in order:

    [{"learning_rate": 1e-3, "weight_decay": 0.1}, {"learning_rate": 2e-3, "weight_decay": 0.05}]

Ranges, from which quasi-random points are drawn:

    {"learning_rate": {"min": 1e-4, "max": 1e-2, "scaling": "log"}, "dropout_rate": {"feasible_points": [0.0, 0.1]}}
"""

import dataclasses
import json
import keyword
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from algoperf_jax.errors import ConfigError, nearest
from algoperf_jax.submission.framework_names import ENTRIES
from algoperf_jax.submission.source_files import SEARCH_SPACE_FILE
from algoperf_jax.tuning import halton

Point = Mapping[str, Any]
"""Hyperparameter name -> value, with the types of the JSON file."""

_MAX_ORDER_SEED = 2**32 - 1
_DEFAULT_COUNT = 5
_SCALINGS = ("log", "linear")
_RANGE_KEYS, _CHOICE_KEYS = ("min", "max", "scaling"), ("feasible_points",)


@dataclasses.dataclass(frozen=True)
class Range:
    """Real numbers between two bounds, on a linear or logarithmic scale."""

    minimum: float
    maximum: float
    scaling: str

    def at(self, fraction: float) -> float:
        """The value at a fraction in [0, 1) of the way."""
        if self.scaling == "log":
            return self.minimum * math.exp(fraction * math.log(self.maximum / self.minimum))
        return fraction * (self.maximum - self.minimum) + self.minimum


@dataclasses.dataclass(frozen=True)
class Choice:
    """A choice among values, all equally likely."""

    values: tuple[Any, ...]

    def at(self, fraction: float) -> Any:
        """The value at a fraction in [0, 1) of the way."""
        return self.values[math.floor(fraction * len(self.values))]


@dataclasses.dataclass(frozen=True)
class PointList:
    """A space that lists its points.

    Attributes:
      path: the file.
      listed: the points.
    """

    path: str
    listed: tuple[Point, ...]

    def points(self, count: int | None, seed: int) -> tuple[Point, ...]:
        """The first `count` points, or all; the seed has no effect.

        Raises:
          ConfigError: there are fewer points.
        """
        del seed
        if count is not None and count > len(self.listed):
            raise ConfigError(
                "config.num_trials",
                value=count,
                expected=f"at most {len(self.listed)}, the number of points in {self.path}",
            )
        return self.listed[:count]


@dataclasses.dataclass(frozen=True)
class Ranges:
    """A space of ranges and choices.

    Attributes:
      dimensions: hyperparameter name -> its possible values.
    """

    dimensions: Mapping[str, Range | Choice]

    def points(self, count: int | None, seed: int) -> tuple[Point, ...]:
        """Quasi-random points in a random order.

        Args:
          count: number of points; None means 5. A larger number gives the same points and more, in another order.
          seed: determines the order.

        Raises:
          ConfigError: the seed does not fit into 32 bits.
        """
        if not 0 <= seed <= _MAX_ORDER_SEED:
            raise ConfigError("config.search_seed", value=seed, expected=f"0 to {_MAX_ORDER_SEED}")
        count = _DEFAULT_COUNT if count is None else count
        points: list[Any] = [
            {name: self.dimensions[name].at(fraction) for name, fraction in zip(self.dimensions, corner, strict=True)}
            for corner in halton.unit_cube_points(count, len(self.dimensions))
        ]
        np.random.RandomState(seed).shuffle(points)
        return tuple(points)


SearchSpace = PointList | Ranges


def read(path: str) -> SearchSpace:
    """Reads a search space.

    Raises:
      ConfigError: the file cannot be read or is invalid; the message names the file and the problem.
    """
    try:
        text = pathlib.Path(path).expanduser().read_bytes().decode()
    except OSError as error:
        raise ConfigError(
            f"config.search_space: {error.strerror or error}", value=path, expected="a readable JSON file"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"search space {path} is not text: {error}", expected="JSON in UTF-8") from error
    try:
        content = json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_no_constant)
    except _DuplicateKey as error:
        raise _refusal(path, f"the name {error.args[0]!r} occurs twice in one object") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"search space {path} is not JSON: {error}") from error
    if isinstance(content, list):
        return PointList(path, _read_points(path, content))
    if isinstance(content, dict):
        return Ranges(_read_dimensions(path, content))
    raise _refusal(path, "its content", value=content, expected="a list of points or an object of ranges")


def find_for(submission: pathlib.Path) -> pathlib.Path | None:
    """The search space included with a submission: in its folder or, if that is named for a framework, above it."""
    for_one_framework = submission.parent.name.rpartition("_")[2] in ENTRIES
    folders = [submission.parent, *([submission.parent.parent] if for_one_framework else [])]
    return next((path for folder in folders if (path := folder / SEARCH_SPACE_FILE).is_file()), None)


class _DuplicateKey(Exception):
    pass


def _without_duplicates(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise _DuplicateKey(name)
    return dict(pairs)


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not a JSON number")


def _refusal(path: str, what: str, **parts: Any) -> ConfigError:
    return ConfigError(f"search space {path}: {what}", **parts)


def _read_points(path: str, content: Sequence[Any]) -> tuple[Point, ...]:
    if not content:
        raise _refusal(path, "the list of points is empty", expected="one point for each trial")
    for number, point in enumerate(content, start=1):
        if not isinstance(point, dict):
            raise _refusal(path, f"point {number}", value=point, expected="an object with a value for each name")
        _check_names(path, point)
        for name, value in point.items():
            _check_value(path, f"{name} of point {number}", value)
        for name in sorted({*point} ^ {*content[0]}):
            has, lacks = (1, number) if name in content[0] else (number, 1)
            raise _refusal(
                path, f"point {has} has {name!r}, point {lacks} does not", expected="the same names in all points"
            )
    return tuple({name: point[name] for name in content[0]} for point in content)


def _read_dimensions(path: str, content: Mapping[str, Any]) -> Mapping[str, Range | Choice]:
    if not 1 <= len(content) <= len(halton.BASES):
        raise _refusal(path, "number of hyperparameters", value=len(content), expected=f"1 to {len(halton.BASES)}")
    _check_names(path, content)
    return {name: _read_dimension(path, name, entry) for name, entry in content.items()}


def _read_dimension(path: str, name: str, entry: Any) -> Range | Choice:
    if not isinstance(entry, dict):
        raise _refusal(path, name, value=entry, expected="an object with min, max and scaling, or with feasible_points")
    wanted = _CHOICE_KEYS if "feasible_points" in entry else _RANGE_KEYS
    for key in entry:
        if key not in wanted:
            raise _refusal(
                path, f"{name} has {key!r}", expected=f"only {', '.join(wanted)}", remedy=_guess(key, wanted)
            )
    for key in wanted:
        if key not in entry:
            raise _refusal(path, f"{name} lacks {key!r}", expected="min, max and scaling, or feasible_points")
    return _read_choice(path, name, entry) if wanted == _CHOICE_KEYS else _read_range(path, name, entry)


def _read_choice(path: str, name: str, entry: Mapping[str, Any]) -> Choice:
    values = entry["feasible_points"]
    if not isinstance(values, list) or not values:
        raise _refusal(path, f"feasible_points of {name}", value=values, expected="a list of at least one value")
    for value in values:
        _check_value(path, f"feasible_points of {name}", value)
    return Choice(tuple(values))


def _read_range(path: str, name: str, entry: Mapping[str, Any]) -> Range:
    low, high, scaling = entry["min"], entry["max"], entry["scaling"]
    for key in ("min", "max"):
        if isinstance(entry[key], bool) or not isinstance(entry[key], int | float) or not math.isfinite(entry[key]):
            raise _refusal(path, f"{key} of {name}", value=entry[key], expected="a finite number")
    # The benchmark's own reader treats any scaling except "log" as "linear".
    if scaling not in _SCALINGS:
        expected = " or ".join(map(repr, _SCALINGS))
        raise _refusal(
            path, f"scaling of {name}", value=scaling, expected=expected, remedy=_guess(str(scaling), _SCALINGS)
        )
    if low > high:
        raise _refusal(path, f"min of {name}", value=low, expected=f"at most its max, {high!r}")
    if scaling == "log" and low <= 0:
        raise _refusal(path, f"min of {name}", value=low, expected="more than 0, because its scaling is 'log'")
    return Range(low, high, scaling)


def _check_names(path: str, names: Mapping[str, Any]) -> None:
    for name in names:
        if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
            raise _refusal(path, "a hyperparameter's name", value=name, expected="a valid Python name")


def _check_value(path: str, what: str, value: Any) -> None:
    """Checks a value; lists may nest, but an object is an error: probably a range in a list of points."""
    if isinstance(value, dict):
        raise _refusal(path, what, value=value, expected="a number, text, true, false, null or a list of these")
    if isinstance(value, float) and not math.isfinite(value):  # 1e999
        raise _refusal(path, what, value=value, expected="a finite number")
    for element in value if isinstance(value, list) else ():
        _check_value(path, what, element)


def _guess(name: str, known: Sequence[str]) -> str | None:
    guess = nearest(name, known)
    return guess and f"Did you mean {guess!r}?"
