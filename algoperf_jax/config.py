"""Reading a configuration from the command line, and refusing what cannot be meant."""

import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags
from ml_collections import ConfigDict
from ml_collections.config_flags import config_flags

from algoperf_jax.errors import ConfigError, did_you_mean
from algoperf_jax.rules import RULESET_BUDGET_FACTORS, TIMING_RULES

_HYPERPARAMETER = re.compile(r"^--config\.hyperparameters\.(\w+)(?:=.*)?$")
_CHOICES: Mapping[str, Sequence[str]] = {
    "ruleset": tuple(RULESET_BUDGET_FACTORS),
    "timing_rules": tuple(TIMING_RULES),
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
    "checkpoints_kept",
    "progress_period_sec",
    "mesh.data",
    "distributed.num_processes",
)
_NOT_NEGATIVE = (
    "seed",
    "distributed.process_id",
    "input.threads",
    "input.host_batches",
    "input.device_batches",
    "evaluation.stage_bytes",
)


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
    _check_file(arguments)
    values = flags.FlagValues()
    # Names of hyperparameters are the submission's business, so an override may introduce one.
    introduced = [match[1] for argument in arguments if (match := _HYPERPARAMETER.match(argument))]
    plain = [argument for argument in arguments if not _HYPERPARAMETER.match(argument)]
    given = [argument for argument in arguments if _HYPERPARAMETER.match(argument)]
    command_line = ["main", *plain]
    try:
        config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=command_line)
        rest = values(command_line)
        config: Any = values["config"].value
    except (flags.Error, KeyError, AttributeError, TypeError, ValueError, ImportError, SyntaxError) as error:
        raise _explained(error, arguments, base) from error
    if len(rest) > 1:
        raise ConfigError("unexpected argument", value=rest[1], expected="--config=FILE and --config.KEY=VALUE")
    _check_keys(config, base)
    with config.unlocked():
        if any(argument.startswith("--config.submission=") for argument in arguments):
            # The file's hyperparameters were chosen for the file's submission.
            config.hyperparameters = ConfigDict()
        for name, argument in zip(introduced, given, strict=True):
            config.hyperparameters[name] = _literal(argument)
    check(config)
    config.lock()
    return config


def check(config: ConfigDict) -> None:
    """Checks values that the types alone do not.

    Raises:
      ConfigError: naming the key.
    """
    for key, choices in _CHOICES.items():
        if config[key] not in choices:
            raise ConfigError(
                f"config.{key}",
                value=config[key],
                expected=f"one of {', '.join(choices)}",
                remedy=did_you_mean(str(config[key]), choices),
            )
    for keys, least, words in ((_POSITIVE, None, "a positive number"), (_NOT_NEGATIVE, 0, "0 or more")):
        for key in keys:
            value = _lookup(config, key)
            if value is not None and (value < 0 or (least is None and value == 0)):
                raise ConfigError(f"config.{key}", value=value, expected=words)
    if not config.workload:
        raise ConfigError("config.workload is empty", expected="the name of a workload")


def as_dict(config: ConfigDict) -> dict[str, Any]:
    """The configuration as plain nested dicts, JSON-able."""
    return config.to_dict()


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any], prefix: str = "") -> list[str]:
    """One line per key in which two configurations differ."""
    lines = []
    for key in sorted({*ours, *theirs}):
        a, b = ours.get(key), theirs.get(key)
        name = f"{prefix}{key}"
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            lines += differences(a, b, f"{name}.")
        elif a != b:
            lines.append(f"config.{name}: {b!r} there, {a!r} now")
    return lines


def _check_file(arguments: Sequence[str]) -> None:
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


def _check_keys(config: Any, base: Any, prefix: str = "") -> None:
    for key in config:
        if key not in base:
            known = [f"{prefix}{name}" for name in base]
            raise ConfigError(f"unknown config key config.{prefix}{key}", remedy=did_you_mean(f"{prefix}{key}", known))
        if isinstance(base[key], ConfigDict) and key != "hyperparameters":
            _check_keys(config[key], base[key], f"{prefix}{key}.")


def _explained(error: Exception, arguments: Sequence[str], base: ConfigDict) -> ConfigError:
    """Turns what absl and ml_collections raise into one line about the argument at fault."""
    known = {name for name, _ in _flat(base)}
    for argument in arguments:
        key, has_value, value = argument.partition("=")
        if not key.startswith("--config.") or _HYPERPARAMETER.match(argument):
            continue
        name = key.removeprefix("--config.")
        if name not in known:
            return ConfigError(f"unknown config key config.{name}", remedy=did_you_mean(name, known))
        wanted = base.get_type(name) if "." not in name else _type_of(base, name)
        if not has_value or not _parses(value, wanted):
            return ConfigError(f"config.{name}", value=value, expected=f"a value of type {wanted.__name__}")
    for argument in arguments:
        if not argument.startswith("--config"):
            return ConfigError("unknown argument", value=argument, expected="--config=FILE and --config.KEY=VALUE")
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return ConfigError(f"the configuration cannot be read: {lines[-1]}")


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
    if text == "None":
        return True
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


def _literal(argument: str) -> Any:
    """The number, None, bool or text after `=`."""
    text = argument.partition("=")[2]
    if text in ("None", "True", "False"):
        return {"None": None, "True": True, "False": False}[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
