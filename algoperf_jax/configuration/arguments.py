"""Sets the keys of a configuration from `--config=FILE[:VARIANT]` and `--config.KEY=VALUE`, or from Python values."""

import dataclasses
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from algoperf_jax.configuration import files, values
from algoperf_jax.configuration.checks import HYPERPARAMETERS, check, check_keys, lookup, means_study, unknown_key
from algoperf_jax.errors import ConfigError
from configs.base import KEYS, Key

_OPTION = re.compile(r"--?config(?:\.(.*))?", re.DOTALL)
_NEGATIVE_NUMBER = re.compile(r"-\.?\d")


@dataclasses.dataclass(frozen=True)
class _Overrides:
    """Overrides from the command line: typed values of keys, and hyperparameters with types guessed from their text."""

    keys: Mapping[str, Any]
    hyperparameters: Mapping[str, Any]


def from_command_line(arguments: Sequence[str]) -> ConfigDict:
    """Reads `--config=FILE[:VARIANT]` and overrides `--config.KEY=VALUE` in any order; of equal keys the last counts.

    A value may follow its key as a separate argument, and a single dash works like two.

    Args:
      arguments: the command line without the program's name.

    Returns:
      The configuration, locked and checked, except for hyperparameters, which are checked against the submission later.

    Raises:
      ConfigError: an argument, key or value is invalid; the message names it.
    """
    given = _pairs(arguments)
    config = _from_file([text for name, text in given if name is None])
    overrides = _overrides(given)
    with config.unlocked():
        _apply(overrides, config)
    check(config)
    if config.ruleset == "self" and overrides.hyperparameters:
        raise ConfigError(
            f"config.{HYPERPARAMETERS}.{next(iter(overrides.hyperparameters))} is given to a self-tuning submission",
            expected="no hyperparameters with --config.ruleset=self",
        )
    config.lock()
    return config


def from_values(workload: str, given: Mapping[str, Any]) -> ConfigDict:
    """The configuration of a workload, with keys set from Python values.

    Args:
      workload: base name, which selects the configuration file; the defaults are used if there is none.
      given: key -> value. A group of keys is a mapping.

    Returns:
      The configuration of one trial, locked and checked.

    Raises:
      ConfigError: a key or value is invalid; the message names it.
    """
    path = files.installed(workload)
    config = files.load(path, None)
    check_keys(config, path)
    hyperparameters = dict(given.get(HYPERPARAMETERS) or {})
    flat = dict(_flat({name: value for name, value in given.items() if name != HYPERPARAMETERS}))
    keys = {}
    for name, value in flat.items():
        if name not in KEYS:
            raise unknown_key(name)
        keys[name] = _fitted(KEYS[name], value)
    with config.unlocked():
        _apply(_Overrides(keys, hyperparameters), config)
    check(config)
    if means_study(config):
        raise ConfigError(
            "the keys describe a study", expected="one trial", remedy="python -m algoperf_jax.main runs studies."
        )
    config.lock()
    return config


def _flat(given: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in given.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _fitted(key: Key, value: Any) -> Any:
    if value is None and key.default is None:
        return None
    try:
        return values.fit(os.fspath(value) if isinstance(value, os.PathLike) else value, key.type())
    except ValueError as error:
        raise ConfigError(f"config.{key.name}", value=value, expected=f"a value of type {key.type.__name__}") from error


def _pairs(arguments: Sequence[str]) -> list[tuple[str | None, str | None]]:
    """Key and text of each argument; the key is None for the configuration file."""
    pairs: list[tuple[str | None, str | None]] = []
    may_follow = False  # whether the next argument may be the value of the last
    for argument in arguments:
        option, has_value, text = argument.partition("=")
        match = _OPTION.fullmatch(option)
        if match is not None:
            pairs.append((match[1], text if has_value else None))
            may_follow = not has_value
        elif may_follow and (not argument.startswith("-") or _NEGATIVE_NUMBER.match(argument)):
            pairs[-1] = (pairs[-1][0], argument)
            may_follow = False
        else:
            what = "unknown argument" if argument.startswith("-") else "unexpected argument"
            raise ConfigError(what, value=argument, expected="--config=FILE and --config.KEY=VALUE")
    return pairs


def _from_file(references: Sequence[str | None]) -> ConfigDict:
    if len(references) != 1 or not references[0]:
        raise ConfigError(
            "several configuration files are given" if len(references) > 1 else "the configuration file is missing",
            expected=f"one --config=FILE, for instance --config=ogbg (of {', '.join(files.names())})",
        )
    reference, has_variant, variant = references[0].partition(":")
    path = files.find(reference)
    config = files.load(path, variant if has_variant else None)
    check_keys(config, path)
    return config


def _overrides(pairs: Sequence[tuple[str | None, str | None]]) -> _Overrides:
    keys, hyperparameters = {}, {}
    for name, text in pairs:
        if name is None:
            continue
        group, _, rest = name.partition(".")
        if any(known.startswith(f"{name}.") for known in KEYS) or name == HYPERPARAMETERS:
            raise ConfigError(f"config.{name} is a group of keys", expected=f"--config.{name}.KEY=VALUE")
        is_hyperparameter = group == HYPERPARAMETERS and rest != "" and "." not in rest
        if name not in KEYS and not is_hyperparameter:
            raise unknown_key(name)
        if text is None:
            raise ConfigError(f"config.{name} has no value", expected=f"--config.{name}=VALUE")
        if is_hyperparameter:
            hyperparameters[rest] = values.literal(text)
        else:
            keys[name] = _value(KEYS[name], text)
    return _Overrides(keys, hyperparameters)


def _value(key: Key, text: str) -> Any:
    if text == "None" and key.default is None:
        return None
    try:
        return values.parse(text, key.type)
    except ValueError as error:
        raise ConfigError(f"config.{key.name}", value=text, expected=f"a value of type {key.type.__name__}") from error


def _apply(overrides: _Overrides, config: ConfigDict) -> None:
    # The file's hyperparameters are for the file's submission and a single trial.
    keeps_submission = overrides.keys.get("submission", config.submission) == config.submission
    for name, value in overrides.keys.items():
        group, _, key = name.rpartition(".")
        (lookup(config, group) if group else config)[key] = value
    from_file = config.hyperparameters.to_dict() if keeps_submission and config.search_space is None else {}
    # Replaced as a whole, so that overrides need not have the types of the file's values.
    config.hyperparameters = ConfigDict(from_file | dict(overrides.hyperparameters))
