"""What the commands share: options, exit codes, errors and reports.

A command is a module with `main(arguments) -> exit code`, which makes a `Parser` and calls `execute`. An error is one
line on stderr; a traceback is a bug in this project.
"""

import argparse
import os
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from rich.console import Console

from algoperf_jax.errors import ConfigError, UserError

EXIT_OK = 0
EXIT_FOUND_ERRORS = 1
"""The command ran and found errors in its subject."""
EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130

_HELP = ("-h", "--help")
_TABLE_WIDTH = 120


class Parser(argparse.ArgumentParser):
    """Parses the options of a command; raises `ConfigError` for invalid ones."""

    def __init__(self, module: str, *, usage: str, description: str | None) -> None:
        """Makes the parser of `python -m MODULE USAGE`; --help shows the description without reformatting it."""
        super().__init__(
            prog=f"python -m {module}",
            usage=f"%(prog)s {usage}",
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        """Raises a `ConfigError` for invalid arguments."""
        raise ConfigError(message, remedy=f"{self.prog} --help shows the options.")


def execute(
    run: Callable[[Sequence[str]], int],
    arguments: Sequence[str],
    help_text: Callable[[Sequence[str]], str],
    *,
    when_interrupted: str = "nothing is written",
) -> int:
    """Runs a command and returns its exit code.

    Args:
      run: does the work and returns the exit code.
      arguments: the command line without the program's name.
      help_text: makes the text of --help from the other arguments. It is also shown when there are no arguments.
      when_interrupted: tells the user what state Ctrl-C leaves behind.
    """
    rest = [argument for argument in arguments if argument not in _HELP]
    try:
        if not arguments or len(rest) < len(arguments):
            print_text(help_text(rest))
            return EXIT_OK
        return run(arguments)
    except UserError as error:
        print_error(error)
        return EXIT_USER_ERROR
    except KeyboardInterrupt:
        print_error(f"interrupted; {when_interrupted}")
        return EXIT_INTERRUPTED


def print_text(text: str) -> None:
    """Writes to stdout; the reader, such as `head`, may close it early."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # Flushing the rest of the buffer would raise again when Python exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_error(message: object) -> None:
    """Writes an error as one line to stderr."""
    print(f"error: {message}", file=sys.stderr)


def table_console() -> Console:
    """A console for tables, wide enough for them without a terminal."""
    return Console(width=None if sys.stdout.isatty() else _TABLE_WIDTH)


def check_report(option: str, path: pathlib.Path | None) -> None:
    """Checks that a report can be written, before the minutes spent on its content.

    Raises:
      ConfigError: it cannot; the message names the option.
    """
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise ConfigError(option, value=str(path), expected="a file in a folder that exists")


def write_report(path: pathlib.Path | None, text: str) -> None:
    """Writes a report, if `path` is given.

    Raises:
      ConfigError: the file cannot be written.
    """
    if path is None:
        return
    from algoperf_jax.outputs.run_directory import write_text

    try:
        if path.is_symlink() or (path.exists() and not path.is_file()):  # /dev/stdout or a pipe: must not be replaced
            path.write_text(text)
        else:
            write_text(path, text)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from error
