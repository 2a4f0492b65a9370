"""The command line: tries a submission on every workload for a few steps, so that minutes tell what breaks.

    python -m algoperf_jax.dry_run --config.submission=PATH_OR_NAME [--config.KEY=VALUE ...]
        [--workloads=mnist,ogbg] [--variants] [--steps=2] [--timeout_sec=600] [--json=FILE]

Each workload is trained on its built-in data, with its own file in configs/, for a few steps, and evaluated once, in a
process of its own; a large one is represented by its small variant. The table tells times, recompilations, reads of
arrays on the host and memory; a line below it tells what failed and where. Nothing is written but FILE. --variants
tries the variants of workloads too, --timeout_sec is per workload. Hyperparameters are the first point of
config.search_space, or of a tuning_search_space.json beside the file.

Exit codes: 0 when all workloads passed, 1 when some failed, 2 with one line on stderr when something is to be mended by
the user before anything can be tried, or 130 after Ctrl-C.
"""

import argparse
import datetime
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Never

from rich.console import Console

from algoperf_jax.errors import ConfigError, UserError
from algoperf_jax.main import EXIT_OK, EXIT_USER_ERROR

EXIT_FAILED = 1
_EXIT_INTERRUPTED = 130
_TABLE_WIDTH = 120
_SET_BY_THE_COMMAND = {
    "": "one file of configs/ for each workload, by itself",
    ".workload": "--workloads=NAME,NAME",
    ".max_steps": "--steps=N",
    ".data_dir": "nothing: the built-in data is used",
    ".timing_rules": "nothing: the standard rules are used",
    **dict.fromkeys((".num_trials", ".num_studies", ".trials"), "nothing: each workload is tried once"),
}


def main(arguments: Sequence[str]) -> int:
    """Runs the command and returns the exit code."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        return EXIT_OK
    try:
        options, rest = _options(arguments)
        return _run(options, rest, Console(width=None if sys.stdout.isatty() else _TABLE_WIDTH))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USER_ERROR
    except KeyboardInterrupt:
        print("error: interrupted; nothing is written", file=sys.stderr)
        return _EXIT_INTERRUPTED


def _run(options: argparse.Namespace, config_arguments: Sequence[str], console: Console) -> int:
    # Imported here so that `--help` answers at once.
    from algoperf_jax.dry_run import apart, reports
    from algoperf_jax.outputs import environment

    # Whatever can be refused is refused before the minutes that the rest takes.
    if options.json is not None and (options.json.is_dir() or not options.json.absolute().parent.is_dir()):
        raise ConfigError("--json", value=str(options.json), expected="a file in a folder that exists")
    configurations = [_configuration(name, config_arguments) for name in _workloads(options)]
    attempts = []
    for number, config in enumerate(configurations, 1):
        progress = f"trying: {config.workload} ({number} of {len(configurations)})"
        print(progress, file=sys.stderr, flush=True)
        attempts.append(apart.attempt_apart(config, steps=options.steps, timeout_sec=options.timeout_sec))
    report = reports.Report(
        submission=configurations[0].submission,
        steps=options.steps,
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        versions=environment.versions(),
        attempts=attempts,
    )
    if options.json:
        _write(options.json, reports.to_json(report))
    console.print(reports.table(report))
    for line in reports.lines(report):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return EXIT_FAILED if any(attempt.failure for attempt in attempts) else EXIT_OK


def _workloads(options: argparse.Namespace) -> Sequence[str]:
    import workloads

    if options.workloads is None:
        return workloads.names() if options.variants else workloads.light_names()
    names = list(dict.fromkeys(options.workloads.split(",")))
    for name in names:
        workloads.base_name(name)  # raises when there is none of this name
    variants = [name for name in workloads.names() if workloads.base_name(name) in names]
    return list(dict.fromkeys([*names, *variants])) if options.variants else names


def _configuration(workload: str, arguments: Sequence[str]) -> Any:
    """The workload's own configuration, or the defaults where it has none, with the overrides."""
    from ml_collections import ConfigDict

    import workloads
    from algoperf_jax import configuration as configs
    from configs import base

    for key, instead in _SET_BY_THE_COMMAND.items():
        given = [argument for argument in arguments if argument.partition("=")[0] == f"--config{key}"]
        if given:
            raise ConfigError(f"{given[0]} cannot be given to this command", expected=instead)
    file = pathlib.Path(str(base.__file__))
    own = file.with_name(f"{workloads.base_name(workload)}.py")
    own = own if own.is_file() else file
    config: Any = configs.from_command_line(
        [f"--config={own}", *arguments, f"--config.workload={workload}"], base.get_config()
    )
    if any(value is not None for value in config.distributed.values()):
        raise ConfigError("config.distributed is set", expected="nothing: this command starts its own processes")
    with config.unlocked():
        config.hyperparameters = ConfigDict({**_first_point(config), **config.hyperparameters.to_dict()})
        config.search_space = None
    return config


def _first_point(config: Any) -> Mapping[str, Any]:
    """Of the search space that is given or that came with the submission."""
    from algoperf_jax.submission import source_files
    from algoperf_jax.tuning import search_space

    file = source_files.find(config.submission)
    path = config.search_space or (search_space.beside(file) if file is not None else None)
    if path is None or config.ruleset == "self":
        return {}
    return search_space.read(str(path)).points(1, config.search_seed)[0]


def _options(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The command's own options, and the arguments that are left for the configuration."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--workloads")
    parser.add_argument("--variants", action="store_true")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--timeout_sec", type=float, default=600.0)
    parser.add_argument("--json", type=pathlib.Path)
    options, rest = parser.parse_known_args(arguments)
    if options.steps < 2:
        raise ConfigError("--steps", value=options.steps, expected="2 or more: the first step compiles")
    if not options.timeout_sec > 0:
        raise ConfigError("--timeout_sec", value=options.timeout_sec, expected="a positive number")
    return options, rest


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Never:
        raise ConfigError(message)


def _write(path: pathlib.Path, text: str) -> None:
    from algoperf_jax.outputs.run_directory import write_text

    try:
        write_text(path, text)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
