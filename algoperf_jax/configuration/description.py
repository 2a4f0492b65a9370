"""Describes a configuration as text: the meaning of each key, and its value."""

import shlex
import textwrap
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from algoperf_jax.configuration.checks import HYPERPARAMETERS, leaves
from algoperf_jax.configuration.values import literal
from configs.base import GROUPS, KEYS, Key

_WIDTH = 100
_TYPE_WORDS = {int: "INT", float: "FLOAT", bool: "BOOL", str: "TEXT", ConfigDict: "VALUE"}


def keys_text(config: ConfigDict | None = None) -> str:
    """Every key with type, default and meaning, in groups, and values of `config` that differ from the default."""
    values = {} if config is None else dict(leaves(config))
    lines = ["Keys of the configuration:"]
    for group in GROUPS:
        lines += ["", f"{group.title}:"]
        if group.note:
            lines += _wrapped(group.note, "  ")
        for key in group.keys:
            lines += [f"  {_heading(key)}{_other_value(key, values)}", *_wrapped(key.meaning, "      ")]
    return "\n".join(lines)


def settings_text(config: ConfigDict) -> str:
    """Every key and hyperparameter of a configuration as a command-line argument, one per line."""
    lines, found = [], dict(leaves(config))
    for name, key in KEYS.items():
        if name == HYPERPARAMETERS:
            lines += [f"--config.{name}.{own}={_as_argument(value)}" for own, value in found[name].items()]
        else:
            default = "" if found[name] == key.default else f"  # default: {key.default!r}"
            lines.append(f"--config.{name}={shlex.quote(str(found[name]))}{default}")
    return "\n".join(lines)


def _as_argument(value: Any) -> str:
    """Formats a hyperparameter as the command line reads it; text that looks like another type is quoted."""
    text = str(value)
    return shlex.quote(repr(value) if isinstance(value, str) and literal(text) != value else text)


def _heading(key: Key) -> str:
    if key.name == HYPERPARAMETERS:
        return f"--config.{key.name}.NAME=VALUE"
    default = "unset" if key.default is None else repr(key.default)
    return f"--config.{key.name}={_TYPE_WORDS[key.type]}  (default: {default})"


def _other_value(key: Key, values: Mapping[str, Any]) -> str:
    if key.name == HYPERPARAMETERS:
        own = values.get(key.name) or {}
        return f"  (here: {', '.join(f'{name}={value}' for name, value in own.items())})" if own else ""
    return f"  (here: {values[key.name]!r})" if values.get(key.name, key.default) != key.default else ""


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
