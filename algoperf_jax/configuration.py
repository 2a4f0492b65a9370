"""Reading a configuration from the command line, and refusing what cannot be meant."""

import math
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags
from ml_collections import ConfigDict
from ml_collections.config_flags import config_flags

from algoperf_jax.devices.precision import PRECISIONS
from algoperf_jax.errors import ConfigError, did_you_mean, nearest
from algoperf_jax.submission.framework_names import TORCH_MODELS, WAYS_TO_RUN
from algoperf_jax.trial.rules import RULESET_BUDGET_FACTORS, TIMING_RULES

_HYPERPARAMETER = re.compile(r"^--config\.hyperparameters\.(\w+)(?:=.*)?$", re.DOTALL)
_CHOICES: Mapping[str, Sequence[str]] = {
    "ruleset": tuple(RULESET_BUDGET_FACTORS),
    "timing_rules": tuple(TIMING_RULES),
    "precision": tuple(PRECISIONS),
    "framework": tuple(WAYS_TO_RUN),
    "torch_model": TORCH_MODELS,
}
_POSITIVE = (
    "max_runtime_sec",
    "eval_period_sec",
    "step_hint",
    "max_steps",
    "batch_size",
    "eval_batch_size",
    "study",
    "trial",
    "num_trials",
    "num_studies",
    "checkpoints_kept",
    "progress_period_sec",
    "mesh.data",
    "distributed.num_processes",
)
_NOT_NEGATIVE = (
    "seed",
    "search_seed",
    "distributed.process_id",
    "input.workers",
    "input.threads",
    "input.batches_ahead",
    "evaluation.stage_bytes",
)
_NOT_EMPTY = ("workload", "submission", "data_dir", "experiment_dir", "experiment_name", "search_space", "trials")


def from_command_line(arguments: Sequence[str], base: ConfigDict) -> ConfigDict:
    """Parses `--config=FILE[:VARIANT]` and overrides `--config.key=value`.

    Args:
      arguments: the command line without the program's name.
      base: the defaults; its keys are the only ones there are (`hyperparameters` may hold any).

    Returns:
      The configuration, locked and checked.

    Raises:
      ConfigError: naming the argument, key or value at fault.
    """
    # The file comes first, wherever it is named.
    arguments = sorted(_joined(arguments), key=lambda argument: not argument.startswith("--config="))
    path = _check_file(arguments)
    values = flags.FlagValues()
    # Names of hyperparameters are the submission's business, so an override may introduce one.
    given = [argument for argument in arguments if _HYPERPARAMETER.match(argument)]
    unset = [argument for argument in arguments if _unsets(argument, base)]
    # Set afterwards, so that the file's own choice is known.
    submission = [argument for argument in arguments if argument.startswith("--config.submission=")]
    plain = [argument for argument in arguments if argument not in (*given, *unset, *submission)]
    command_line = ["main", *plain]
    try:
        config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=command_line)
        rest = values(command_line)
        config: Any = values["config"].value
    except (Exception, SystemExit) as error:  # the file is a program: anything may come out of it
        raise _explained(error, path, plain, base) from error
    if len(rest) > 1:
        raise ConfigError("unexpected argument", value=rest[1], expected="--config=FILE and --config.KEY=VALUE")
    _check_keys(config, base, path)
    with config.unlocked():
        for argument in unset:
            config.update_from_flattened_dict({argument.removeprefix("--config.").removesuffix("=None"): None})
        # The file's hyperparameters were chosen for the file's submission.
        from_file = config.hyperparameters.to_dict()
        for argument in submission:
            chosen = argument.partition("=")[2]
            from_file = from_file if chosen == config.submission else {}
            config.submission = chosen
        # They were chosen for a single trial, too.
        if config.search_space is not None:
            from_file = {}
        # Replaced as a whole: the types of the file's values do not bind the overrides, the submission judges them.
        config.hyperparameters = ConfigDict(from_file | dict(_hyperparameter(argument) for argument in given))
    check(config)
    if config.ruleset == "self" and given:
        raise ConfigError(
            f"{given[0].partition('=')[0].removeprefix('--')} is given to a self-tuning submission",
            expected="no hyperparameters with --config.ruleset=self",
        )
    config.lock()
    return config


def check(config: ConfigDict) -> None:
    """Checks values that the types alone do not.

    Raises:
      ConfigError: naming the key.
    """
    for key, choices in _CHOICES.items():
        if config[key] is not None and config[key] not in choices:
            raise ConfigError(
                f"config.{key}",
                value=config[key],
                expected=f"one of {', '.join(choices)}",
                remedy=None if (guess := nearest(str(config[key]), choices)) is None else f"Did you mean {guess!r}?",
            )
    for keys, least, words in ((_POSITIVE, None, "a positive number"), (_NOT_NEGATIVE, 0, "0 or more")):
        for key in keys:
            value = _lookup(config, key)
            if value is not None and not (math.isfinite(value) and (value > 0 or value == least)):
                raise ConfigError(f"config.{key}", value=value, expected=words)
    for key in _NOT_EMPTY:
        if config[key] == "":
            raise ConfigError(f"config.{key} is empty", remedy=f"Set --config.{key}=..., or leave the argument away.")
    if config.trials is not None and not means_study(config):
        raise ConfigError(
            "config.trials",
            value=config.trials,
            expected="config.search_space or config.num_trials with it",
            remedy="Set --config.trial to number a single trial.",
        )


def means_study(config: ConfigDict) -> bool:
    """Whether a configuration describes a run of several trials, rather than one trial."""
    return any(config[key] is not None for key in ("search_space", "num_trials", "num_studies"))


def as_dict(config: ConfigDict) -> dict[str, Any]:
    """The configuration as plain nested dicts, JSON-able."""
    return config.to_dict()


def _joined(arguments: Sequence[str]) -> list[str]:
    """The same arguments with two dashes, and `--config.KEY VALUE` in one piece."""
    joined: list[str] = []
    for argument in arguments:
        argument = f"-{argument}" if argument.startswith("-config") else argument
        if joined and re.fullmatch(r"--config(\.[\w.]+)?", joined[-1]) and not argument.startswith("-"):
            joined[-1] = f"{joined[-1]}={argument}"
        else:
            joined.append(argument)
    return joined


def _unsets(argument: str, base: ConfigDict) -> bool:
    """Whether it is `--config.KEY=None` for a key that is unset by default."""
    leaves = dict(_flat(base))
    name = argument.removeprefix("--config.").removesuffix("=None")
    return argument == f"--config.{name}=None" and name in leaves and leaves[name] is None


def _check_file(arguments: Sequence[str]) -> str:
    """The path of the configuration file."""
    files = [argument.partition("=")[2] for argument in arguments if argument.startswith("--config=")]
    if len(files) != 1:
        raise ConfigError(
            "the configuration file is missing" if not files else "several configuration files are given",
            expected="one --config=FILE, for instance --config=configs/ogbg.py",
        )
    path = files[0].partition(":")[0]
    if not pathlib.Path(path).is_file():
        known = sorted(str(found) for found in pathlib.Path("configs").glob("*.py") if found.stem[0] != "_")
        raise ConfigError(
            "no such configuration file",
            value=path,
            expected="the path of a Python file with get_config()",
            remedy=did_you_mean(path, known) if known else "Run the command in the project's folder.",
        )
    return path


def _check_keys(config: Any, base: Any, path: str, prefix: str = "") -> None:
    """Whether the file gave each key, and no other, a value of its type."""
    if not isinstance(config, ConfigDict):
        found = type(config).__name__
        raise ConfigError(f"get_config() in {path}", value=found, expected="a ConfigDict made by configs.base")
    for key in config:
        if key not in base:
            raise _unknown_key(f"{prefix}{key}", base, prefix)
    for key in base:
        name = f"config.{prefix}{key}"
        if key not in config:
            raise ConfigError(f"{path} does not set {name}", expected="a ConfigDict made by configs.base")
        if key == "hyperparameters":
            continue
        if isinstance(base[key], ConfigDict):
            _check_keys(config[key], base[key], path, f"{prefix}{key}.")
            continue
        value, wanted = config[key], base.get_type(key)
        fits = isinstance(value, int | float if wanted is float else wanted) and (wanted is bool) == isinstance(
            value, bool
        )
        if not fits and not (value is None and base[key] is None):
            raise ConfigError(f"{name} in {path}", value=value, expected=f"a value of type {wanted.__name__}")


def _unknown_key(name: str, base: ConfigDict, prefix: str = "") -> ConfigError:
    guess = nearest(name, [f"{prefix}{known}" for known, _ in _flat(base)])
    return ConfigError(
        f"unknown config key config.{name}",
        remedy=f"Did you mean config.{guess}?"
        if guess
        else f"The keys are listed in configs/base.py; a hyperparameter is --config.hyperparameters.{name}.",
    )


def _explained(error: BaseException, path: str, arguments: Sequence[str], base: ConfigDict) -> ConfigError:
    """Turns what absl and ml_collections raise into one line about the argument at fault."""
    known = dict(_flat(base))
    for argument in arguments:
        key, has_value, value = argument.partition("=")
        if not key.startswith("--config"):
            return ConfigError("unknown argument", value=argument, expected="--config=FILE and --config.KEY=VALUE")
        name = key.removeprefix("--config").removeprefix(".")
        if not name:
            continue
        if name not in known:
            return _unknown_key(name, base)
        if isinstance(known[name], ConfigDict):
            return ConfigError(f"config.{name} is a group of keys", expected=f"--config.{name}.KEY=VALUE")
        wanted = _type_of(base, name)
        if not has_value or not _parses(value, wanted):
            return ConfigError(f"config.{name}", value=value, expected=f"a value of type {wanted.__name__}")
    lines = str(error).strip().splitlines() or [""]
    return ConfigError(
        f"the configuration file {path} cannot be used: {type(error).__name__}: {lines[-1]}",
        expected="a Python file whose get_config() returns a ConfigDict made by configs.base",
    )


def _flat(config: ConfigDict, prefix: str = "") -> list[tuple[str, Any]]:
    leaves = []
    for key, value in config.items():
        if isinstance(value, ConfigDict):
            leaves += [(f"{prefix}{key}", value), *_flat(value, f"{prefix}{key}.")]
        else:
            leaves.append((f"{prefix}{key}", value))
    return leaves


def _type_of(config: ConfigDict, name: str) -> type:
    parent, _, key = name.rpartition(".")
    return _lookup(config, parent).get_type(key) if parent else config.get_type(key)


def _parses(text: str, wanted: type) -> bool:
    if wanted is bool:
        return text.lower() in ("true", "false", "1", "0")
    try:
        wanted(text)
    except (TypeError, ValueError):
        return False
    return True


def _lookup(config: ConfigDict, name: str) -> Any:
    value: Any = config
    for part in name.split("."):
        value = value[part]
    return value


def _hyperparameter(argument: str) -> tuple[str, Any]:
    """The name in `--config.hyperparameters.NAME=VALUE`, and the value as number, None, bool or text."""
    key, has_value, text = argument.partition("=")
    name = key.rpartition(".")[2]
    if not has_value:
        raise ConfigError(f"config.hyperparameters.{name} has no value", expected=f"{key}=VALUE")
    return name, _literal(text)


def _literal(text: str) -> Any:
    if text in ("None", "True", "False"):
        return {"None": None, "True": True, "False": False}[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
