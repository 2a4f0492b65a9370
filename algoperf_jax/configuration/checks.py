"""Checks configurations, whether their values come from a file, the command line or a program."""

import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from algoperf_jax.errors import ConfigError, nearest
from configs.base import KEYS

HYPERPARAMETERS = "hyperparameters"


def check(config: ConfigDict) -> None:
    """Checks values beyond their types.

    Raises:
      ConfigError: a value is invalid; the message names the key.
    """
    for name, choices in _choices().items():
        if config[name] is not None and config[name] not in choices:
            raise ConfigError(
                f"config.{name}",
                value=config[name],
                expected=f"one of {', '.join(choices)}",
                remedy=None if (guess := nearest(str(config[name]), choices)) is None else f"Did you mean {guess!r}?",
            )
    for name, key in KEYS.items():
        value = lookup(config, name)
        if key.range is not None and value is not None and value not in key.range:
            raise ConfigError(f"config.{name}", value=value, expected=key.range.words)
    for name, key in KEYS.items():
        if key.type is str and lookup(config, name) == "":
            raise ConfigError(f"config.{name} is empty", remedy=f"Set --config.{name}=..., or omit the argument.")
    if config.trials is not None and not means_study(config):
        raise ConfigError(
            "config.trials",
            value=config.trials,
            expected="config.search_space or config.num_trials too",
            remedy="Set --config.trial to number a single trial.",
        )


def means_study(config: ConfigDict) -> bool:
    """Whether a configuration describes studies rather than a single trial."""
    return any(config[name] is not None for name in ("search_space", "num_trials", "num_studies"))


def check_keys(config: Any, path: pathlib.Path) -> None:
    """Checks that a file sets every key, and no others, to a value of its type.

    Raises:
      ConfigError: it does not; the message names the key and the file.
    """
    if not isinstance(config, ConfigDict):
        found = type(config).__name__
        raise ConfigError(f"get_config() in {path}", value=found, expected="a ConfigDict made by configs.base")
    found = dict(leaves(config))
    for name in found:
        if name not in KEYS:
            raise unknown_key(name)
    for name, key in KEYS.items():
        if name not in found:
            raise ConfigError(f"{path} does not set config.{name}", expected="a ConfigDict made by configs.base")
        value = found[name]
        fits = isinstance(value, int | float if key.type is float else key.type)
        if not (fits and (key.type is bool) == isinstance(value, bool)) and not (value is None and key.default is None):
            raise ConfigError(f"config.{name} in {path}", value=value, expected=f"a value of type {key.type.__name__}")


def leaves(config: ConfigDict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields dotted names and values; the hyperparameters are one value."""
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, ConfigDict) and name != HYPERPARAMETERS:
            yield from leaves(value, f"{name}.")
        else:
            yield name, value


def lookup(config: ConfigDict, name: str) -> Any:
    """The value of a dotted name."""
    value: Any = config
    for part in name.split("."):
        value = value[part]
    return value


def unknown_key(name: str) -> ConfigError:
    """The error about an unknown key, which suggests the closest known one."""
    guess = nearest(name, KEYS)
    return ConfigError(
        f"unknown config key config.{name}",
        remedy=f"Did you mean config.{guess}?"
        if guess
        else f"--help lists the keys; a hyperparameter is --config.{HYPERPARAMETERS}.{name}.",
    )


def _choices() -> Mapping[str, Sequence[str]]:
    # Imported here because it imports JAX, which would slow down --help.
    from algoperf_jax.devices.precision import PRECISIONS
    from algoperf_jax.submission.framework_names import TORCH_MODELS, WAYS_TO_RUN
    from algoperf_jax.trial.rules import RULESET_BUDGET_FACTORS, TIMING_RULES

    return {
        "ruleset": tuple(RULESET_BUDGET_FACTORS),
        "timing_rules": tuple(TIMING_RULES),
        "precision": tuple(PRECISIONS),
        "framework": tuple(WAYS_TO_RUN),
        "torch_model": TORCH_MODELS,
    }
