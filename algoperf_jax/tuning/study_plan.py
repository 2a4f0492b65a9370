"""Plans the trials of studies, and their configurations."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from algoperf_jax.errors import ConfigError
from algoperf_jax.tuning.search_space import Point, SearchSpace

_SELECTION = re.compile(r"(\d*)(:?)(\d*)")


def plan(config: Any, space: SearchSpace | None) -> tuple[Any, ...]:
    """The configurations of the trials of studies, in the order in which they run.

    Args:
      config: a checked configuration for which `means_study` is true.
      space: the search space that `config.search_space` names, or None if unset.

    Returns:
      The configuration of each trial, with its own study, trial, seed and hyperparameters.

    Raises:
      ConfigError: settings contradict each other or the space.
    """
    if config.trial != 1:
        raise ConfigError(
            "config.trial",
            value=config.trial,
            expected="1 when several trials are run",
            remedy=f"Set --config.trials={config.trial} to run that trial only.",
        )
    if config.ruleset == "self":
        _check_self_tuning(config)
    points = _points(config, space)
    trials = _selection(config.trials, len(points))
    studies = range(config.study, config.study + (config.num_studies or 1))
    return tuple(_of_trial(config, study, trial, points[trial - 1]) for study in studies for trial in trials)


def trial_seed(seed: int, study: int, trial: int) -> int:
    """The seed of a trial, 31 bits that depend only on `seed` and the numbers of study and trial."""
    return int(np.random.SeedSequence(seed, spawn_key=(study, trial)).generate_state(1)[0]) >> 1


def _check_self_tuning(config: Any) -> None:
    if config.search_space is not None:
        raise ConfigError(
            "config.search_space",
            value=config.search_space,
            expected="none with --config.ruleset=self, because such a submission tunes itself",
        )
    if (config.num_trials or 1) > 1:
        raise ConfigError(
            "config.num_trials",
            value=config.num_trials,
            expected="1 with --config.ruleset=self",
            remedy="Set --config.num_studies to run it several times.",
        )


def _points(config: Any, space: SearchSpace | None) -> Sequence[Point]:
    given = config.hyperparameters.to_dict()
    if space is None:
        return [given] * (config.num_trials or 1)
    points = space.points(config.num_trials, config.search_seed)
    for name in given:
        if name in points[0]:
            raise ConfigError(
                f"config.hyperparameters.{name}",
                value=given[name],
                expected=f"no value, because {config.search_space} has values for it",
            )
    return [{**point, **given} for point in points]


def _selection(text: str | None, count: int) -> range:
    """The numbers of the trials that `config.trials` selects among 1 to `count`."""
    if text is None:
        return range(1, count + 1)
    match = _SELECTION.fullmatch(text)
    if match is None or not (match[1] or match[3]):
        raise ConfigError("config.trials", value=text, expected="numbers of trials, such as 3, 2:4, :2 or 4:")
    first = int(match[1] or 1)
    last = int(match[3] or count) if match[2] else first
    if not 1 <= first <= last <= count:
        raise ConfigError(
            "config.trials", value=text, expected=f"trials from 1 to {count}, the number of trials of each study"
        )
    return range(first, last + 1)


def _of_trial(config: Any, study: int, trial: int, point: Point) -> Any:
    own = ConfigDict(config)
    with own.unlocked():
        own.update(study=study, trial=trial, seed=trial_seed(config.seed, study, trial))
        # Unsorted: submissions see the names in the file's order.
        own.hyperparameters = ConfigDict(dict(point), sort_keys=False)
    return own
