"""The command lines that documents show: found, and handed to the parsers of the commands that they name."""

import argparse
import dataclasses
import functools
import importlib
import itertools
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from algoperf_jax import configuration
from algoperf_jax.__main__ import COMMANDS
from algoperf_jax.submission.locate import locate
from algoperf_jax.tuning import search_space

ROOT = pathlib.Path(__file__).parents[1]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`((?:python -m|algoperf|make|torchrun|pip|ruff|pytest|apt|docker|\.venv/bin/\w+) [^`\n]+)`")
_PLACEHOLDER = re.compile(r"\.\.\.|KEY|<\w+>")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*=")
"""What sets an environment variable for one command."""
_UNCHECKED = (".", "apt", "docker", "make", "mkdocs", "pre-commit", "pytest", "pyright", "python3", "ruff")
"""Programs that are not the project's, where a name is all that could be wrong."""
_INSTALLED = ("installed", "installed-test", "installed-docs")
"""What the Makefile touches in `.venv` after an installation."""


@dataclasses.dataclass(frozen=True)
class Command:
    """A module that a document runs, and its arguments."""

    module: str
    arguments: tuple[str, ...]


def shown(document: pathlib.Path, *, inline: bool = True) -> list[str]:
    """The command lines of a document, each in one line; those within sentences last.

    Cells of a notebook are `text`, and their commands begin with an exclamation mark.
    """
    text = document.read_text()
    lines = [line for language, body in FENCE.findall(text) for line in block_lines(language, body)]
    prose = FENCE.sub("", text)
    found = _INLINE.findall(prose) if inline else []
    return [line for line in [*lines, *found] if not _PLACEHOLDER.search(line)]


def block_lines(language: str, body: str) -> list[str]:
    """The command lines of a block, without those that only join others."""
    lines = body.replace("\\\n", " ").splitlines()
    if language == "text":
        lines = [line[1:] for line in lines if line.startswith("!")]
    elif language != "sh":
        return []
    return [part.strip() for line in lines for part in line.split(" && ") if part.strip()]


def words(line: str) -> list[str]:
    """The words of a command line, without variables in front and comments."""
    return list(itertools.dropwhile(_VARIABLE.match, shlex.split(line, comments=True)))


@functools.cache
def expanded(line: str) -> tuple[str, ...]:
    """What a line runs: the commands of the targets of `make`, as make itself prints them, or the line.

    Raises:
      AssertionError: there is no such target.
    """
    program, *rest = words(line)
    if program != "make":
        return (line,)
    installed = [f"--assume-old=.venv/{name}" for name in _INSTALLED]
    done = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", *installed, *rest],
        cwd=ROOT,
        # The tests may run under make themselves, whose variables and messages would come along.
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    variables = {one.partition("=")[0] for one in rest if "=" in one}
    makefile = (ROOT / "Makefile").read_text()
    assert all(re.search(rf"^{name} \?=", makefile, re.MULTILINE) for name in variables), line
    return tuple(line for line in done.stdout.splitlines() if not line.startswith("make: "))


def command(line: str) -> Command | None:
    """The module of the project that a line runs; None for what is checked to be there and no more.

    Raises:
      AssertionError: what it names does not exist.
    """
    program, *rest = words(line)
    program = program.removeprefix(".venv/bin/")
    if program in ("python", "torchrun"):
        if "-m" in rest:
            module, *arguments = rest[rest.index("-m") + 1 :]
            if module == "pytest":
                assert all((ROOT / one).exists() for one in arguments if one.startswith("tests/")), line
            return None if module in ("pytest", "mkdocs", "pip") else Command(module, tuple(arguments))
        assert rest[0] == "-c" or (ROOT / rest[0]).is_file(), line
        return None
    if program == "algoperf":
        if not rest:
            return None
        assert rest[0] in COMMANDS, line
        return Command(COMMANDS[rest[0]][0], tuple(rest[1:]))
    if program == "pip":
        _check_extras(rest)
        return None
    if program == "docker" and rest[0] == "run":
        (image,) = (position for position, word in enumerate(rest) if word.startswith("algoperf-jax"))
        return Command("algoperf_jax.main", tuple(rest[image + 1 :]))
    if (ROOT / program).is_file():
        return None
    assert program in _UNCHECKED, f"{line}: a program that is not known here"
    return None


def _check_extras(arguments: Sequence[str]) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = [name for one in arguments for match in re.findall(r"\[(.*)\]", one) for name in match.split(",")]
    assert set(named) <= set(extras), named


def parse(shown_command: Command) -> None:
    """Has the command's own parser read the arguments, and looks for the files that they name.

    Raises:
      UserError, ScoringError, AssertionError: they are refused.
    """
    arguments = [one for one in shown_command.arguments if one not in ("--help", "-h")]
    found = module(shown_command.module)
    if not arguments:  # only named, or asked for help
        return
    _PARSERS.get(shown_command.module, _parsed_as_a_whole)(found, arguments)


def module(name: str) -> Any:
    """What `python -m NAME` runs."""
    package = ROOT / name.replace(".", "/")
    return importlib.import_module(f"{name}.__main__" if (package / "__main__.py").is_file() else name)


def _parsed_as_a_whole(command_module: Any, arguments: Sequence[str]) -> None:
    """Any command with a parser of its own; one without has no options that could be wrong but these."""
    make: Callable[[], argparse.ArgumentParser] | None = getattr(command_module, "_parser", None)
    if make is not None:
        make().parse_args(arguments)
        return
    source = pathlib.Path(str(sys.modules[getattr(command_module, "__name__", "")].__file__)).read_text()
    options = [one.partition("=")[0] for one in arguments if one.startswith("--")]
    assert all(f'"{option}"' in source for option in options), (command_module, options)


def _trained(command_module: Any, arguments: Sequence[str]) -> None:
    options, rest = command_module._parser().parse_known_args(arguments)
    if getattr(options, "list", False):
        return
    _check_configuration(rest)


def _check_configuration(arguments: Sequence[str]) -> None:
    config = configuration.from_command_line(arguments)
    assert locate(config.submission, config.framework).files is not None, config.submission
    if config.search_space is not None:
        search_space.read(config.search_space)


def _tried(command_module: Any, arguments: Sequence[str]) -> None:
    options, rest = command_module._parser().parse_known_args(arguments)
    names = command_module._workloads(options)
    config = command_module._configuration(names[0], rest)
    assert locate(config.submission, config.framework).files is not None, config.submission


_PARSERS: Mapping[str, Callable[[Any, Sequence[str]], None]] = {
    "algoperf_jax.main": _trained,
    "algoperf_jax.bench": _trained,
    "algoperf_jax.dry_run": _tried,
}
