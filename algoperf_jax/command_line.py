"""What the commands have in common: options, exit codes, errors, reports.

A command is a module with `main(arguments) -> exit code`, which makes a `Parser` and calls `execute`. Errors are one
line on stderr; a traceback means a defect of this project.
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
"""The command did its work, and found errors in what it was given."""
EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130

_HELP = ("-h", "--help")
_TABLE_WIDTH = 120


class Parser(argparse.ArgumentParser):
    """The options of a command; a mistake in them raises a `ConfigError`."""

    def __init__(self, module: str, *, usage: str, description: str | None) -> None:
        """Makes the parser of `python -m MODULE USAGE`; the description is shown by --help as it is written."""
        super().__init__(
            prog=f"python -m {module}",
            usage=f"%(prog)s {usage}",
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        """Refuses the arguments."""
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
      help_text: what --help shows, made from the other arguments. Without any argument it is shown too.
      when_interrupted: what Ctrl-C has left, for the user to read.
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
    """Writes to stdout, of which a reader such as `head` may take only a part."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # What is left in the buffer would raise again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_error(message: object) -> None:
    """Writes the line about an error to stderr."""
    print(f"error: {message}", file=sys.stderr)


def table_console() -> Console:
    """A console for tables, wide enough for them where there is no terminal."""
    return Console(width=None if sys.stdout.isatty() else _TABLE_WIDTH)


def check_report(option: str, path: pathlib.Path | None) -> None:
    """Refuses the file of a report that cannot be written, before the minutes that its content takes.

    Raises:
      ConfigError: naming the option.
    """
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise ConfigError(option, value=str(path), expected="a file in a folder that exists")


def write_report(path: pathlib.Path | None, text: str) -> None:
    """Writes a report, if a file for it is given.

    Raises:
      ConfigError: the disk refuses.
    """
    if path is None:
        return
    from algoperf_jax.outputs.run_directory import write_text

    try:
        if path.is_symlink() or (path.exists() and not path.is_file()):  # /dev/stdout, a pipe: not to be replaced
            path.write_text(text)
        else:
            write_text(path, text)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from error
