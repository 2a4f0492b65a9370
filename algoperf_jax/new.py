"""Starts a training algorithm from a copy of a ready-made one: `python -m algoperf_jax.new FILE --like=ALGORITHM`."""

import argparse
import pathlib
import shlex
import sys
from collections.abc import Sequence

from algoperf_jax import command_line
from algoperf_jax.errors import ConfigError, did_you_mean
from algoperf_jax.submission import source_files
from algoperf_jax.submission.framework_names import ENTRIES, JAX, algorithm_names

DEFAULT = "nadamw"


def write_copy(path: pathlib.Path, like: str, framework: str) -> None:
    """Writes a copy of a ready-made algorithm.

    Args:
      path: the file to write, which must not exist.
      like: name of the algorithm to copy.
      framework: key of `ENTRIES`.

    Raises:
      ConfigError: the file cannot be created, or there is no such algorithm; the message names the argument.
    """
    names = algorithm_names(framework)
    if like not in names:
        others = [name for name in ENTRIES if like in algorithm_names(name)]
        here = f"It exists for --framework={others[0]}." if others else did_you_mean(like, names)
        raise ConfigError("--like", value=like, expected=f"a ready-made {framework} algorithm", remedy=here)
    if path.suffix != ".py" or not path.stem.isidentifier():
        raise ConfigError(
            "FILE", value=str(path), expected="a name that Python can import, for instance my_optimizer.py"
        )
    if not path.absolute().parent.is_dir():
        raise ConfigError("FILE", value=str(path), expected="a file in a folder that exists")
    entry = source_files.find(f"{ENTRIES[framework].algorithms}.{like}")
    assert entry is not None, like
    try:
        with path.open("x") as file:
            file.write(entry.read_text())
    except FileExistsError as error:
        raise ConfigError(f"{path} already exists", remedy="Choose another name, or remove the file.") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from error


def main(arguments: Sequence[str]) -> int:
    """Runs the command and returns the exit code."""
    return command_line.execute(_run, arguments, lambda _: _parser().format_help())


def _parser() -> command_line.Parser:
    algorithms = [f"  {framework}: {', '.join(algorithm_names(framework))}" for framework in ENTRIES]
    parser = command_line.Parser(
        "algoperf_jax.new",
        usage="FILE [options]",
        description="\n".join(["Starts a training algorithm from a copy of a ready-made one:", *algorithms]),
    )
    parser.add_argument("file", metavar="FILE", help="the file to write, for instance my_optimizer.py")
    parser.add_argument(
        "--like", default=DEFAULT, metavar="ALGORITHM", help=f"the algorithm to copy; default: {DEFAULT}"
    )
    parser.add_argument(
        "--framework", default=JAX, choices=tuple(ENTRIES), help=f"framework of the algorithm; default: {JAX}"
    )
    return parser


def _run(arguments: Sequence[str]) -> int:
    options: argparse.Namespace = _parser().parse_args(arguments)
    path = pathlib.Path(options.file).expanduser()
    write_copy(path, options.like, options.framework)
    command = f"python -m algoperf_jax.main --config=mnist --config.submission={shlex.quote(str(path))}"
    command_line.print_text(f"{path} is a copy of {options.like} ({options.framework}). To train with it:\n{command}")
    return command_line.EXIT_OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
