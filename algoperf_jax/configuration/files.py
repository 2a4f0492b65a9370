"""Finds and loads configuration files.

A configuration file is a Python module with `get_config()` or `get_config(variant)`, which returns a `ConfigDict` made
by `configs.base`.
"""

import pathlib
import sys
from importlib.machinery import SourceFileLoader
from types import ModuleType
from typing import Any

import configs
from algoperf_jax.errors import ConfigError, nearest

_SUFFIX = ".py"
_INSTALLED = pathlib.Path(str(configs.__file__)).parent
_MODULE = "configuration_file"
_NOT_OFFERED = ("base", "__init__")


def names() -> tuple[str, ...]:
    """The short names of the files included in the project, in alphabetical order."""
    return tuple(sorted(path.stem for path in _INSTALLED.glob(f"*{_SUFFIX}") if path.stem not in _NOT_OFFERED))


def installed(workload: str) -> pathlib.Path:
    """The file of a workload in the installed package, or that of the defaults if it has none."""
    own = _INSTALLED / f"{workload}{_SUFFIX}"
    return own if own.is_file() else _INSTALLED / f"base{_SUFFIX}"


def find(reference: str) -> pathlib.Path:
    """Finds the file that a reference (without variant) means.

    Args:
      reference: a path, or a name such as `mnist`, which is short for `configs/mnist.py`. Files that are not in the
        working folder are taken from the installed package `configs`.

    Raises:
      ConfigError: there is no such file.
    """
    path = pathlib.Path(reference).expanduser()
    if path.is_file():
        return path
    is_short = path.name == reference and path.suffix != _SUFFIX
    if is_short:
        path = pathlib.Path(_INSTALLED.name, f"{reference}{_SUFFIX}")
    for place in (path, _INSTALLED.parent / path):
        if place.is_file() and path.parts[0] == _INSTALLED.name:
            return place
    known = names() if is_short else [f"{_INSTALLED.name}/{name}{_SUFFIX}" for name in names()]
    here = pathlib.Path(_INSTALLED.name).glob(f"*{_SUFFIX}")
    own = [found.stem if is_short else str(found) for found in here if found.stem not in _NOT_OFFERED]
    guess = nearest(reference, {*known, *own})
    raise ConfigError(
        "no such configuration file",
        value=reference,
        expected=f"the path of a Python file with get_config(), or one of {', '.join(sorted({*known, *own}))}",
        remedy=f"Did you mean {guess!r}?" if guess else None,
    )


def load(path: pathlib.Path, variant: str | None) -> Any:
    """Calls `get_config` of a file, with the variant as argument if one is given.

    Raises:
      ConfigError: the file is not valid Python, or it raises an exception.
    """
    try:
        # Not imported under its own name, because another file of this name may be read next; writes no bytecode.
        module = sys.modules[_MODULE] = ModuleType(_MODULE)
        module.__file__ = str(path)
        code = SourceFileLoader(module.__name__, str(path)).source_to_code(path.read_bytes(), str(path))
        exec(code, module.__dict__)
        get_config: Any = module.get_config
        return get_config() if variant is None else get_config(variant)
    except (Exception, SystemExit) as error:  # the file is a program and may raise anything
        if isinstance(error, ConfigError):
            raise
        lines = str(error).strip().splitlines() or [""]
        raise ConfigError(
            f"the configuration file {path} cannot be used: {type(error).__name__}: {lines[-1]}",
            expected="a Python file whose get_config() returns a ConfigDict made by configs.base",
        ) from error
