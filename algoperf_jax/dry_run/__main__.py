"""Runs a few steps of a submission on every workload, to show in minutes what fails.

Each workload is trained for a few steps on its built-in data, with its own file in configs/, and evaluated once, in a
separate process; a large workload is represented by its small variant. The table shows times, recompilations, reads of
arrays on the host and memory; lines below it say what failed and where. Nothing is written except the report.
Hyperparameters are the first point of config.search_space, or of a tuning_search_space.json in the submission's folder.

Exit codes: 0 when all workloads passed; 1 when some failed; 2 with one line on stderr when the command itself must be
fixed; 130 after Ctrl-C.
"""

import argparse
import datetime
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from algoperf_jax import command_line
from algoperf_jax.devices import huge_pages
from algoperf_jax.errors import ConfigError

_SET_BY_THE_COMMAND = {
    "": "nothing: each workload uses its own file in configs/",
    ".workload": "--workloads=NAME,NAME",
    ".max_steps": "--steps=N",
    ".data_dir": "nothing: the built-in data is used",
    ".timing_rules": "nothing: the standard rules are used",
    **dict.fromkeys((".num_trials", ".num_studies", ".trials"), "nothing: each workload is run once"),
}


def main(arguments: Sequence[str]) -> int:
    """Runs the command and returns the exit code."""
    return command_line.execute(_run, arguments, lambda _: _parser().format_help())


def _parser() -> command_line.Parser:
    parser = command_line.Parser(
        "algoperf_jax.dry_run",
        usage="--config.submission=PATH_OR_NAME [--config.KEY=VALUE ...] [options]",
        description=__doc__,
    )
    parser.add_argument("--workloads", metavar="NAME,NAME", help="run only these workloads")
    parser.add_argument("--variants", action="store_true", help="also run the variants of workloads")
    parser.add_argument("--steps", type=int, default=2, help="steps per workload (%(default)s)")
    parser.add_argument("--timeout_sec", type=float, default=600.0, help="time limit per workload (%(default)g)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the report as JSON")
    return parser


def _run(arguments: Sequence[str]) -> int:
    # Imported here to keep `--help` fast.
    from algoperf_jax.dry_run import isolation, reports
    from algoperf_jax.outputs import environment

    # Everything that may be invalid is checked before the rest, which takes minutes.
    options, config_arguments = _parser().parse_known_args(arguments)
    if options.steps < 2:
        raise ConfigError("--steps", value=options.steps, expected="2 or more: the first step compiles")
    if not options.timeout_sec > 0:
        raise ConfigError("--timeout_sec", value=options.timeout_sec, expected="a positive number")
    command_line.check_report("--json", options.json)
    configurations = [_configuration(name, config_arguments) for name in _workloads(options)]
    attempts = []
    for number, config in enumerate(configurations, 1):
        progress = f"running: {config.workload} ({number} of {len(configurations)})"
        print(progress, file=sys.stderr, flush=True)
        attempts.append(isolation.attempt_isolated(config, steps=options.steps, timeout_sec=options.timeout_sec))
    report = reports.Report(
        submission=configurations[0].submission,
        steps=options.steps,
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        versions=environment.versions(),
        attempts=attempts,
    )
    command_line.write_report(options.json, reports.to_json(report))
    console = command_line.table_console()
    console.print(reports.table(report))
    for line in reports.lines(report):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    failed = any(attempt.failure for attempt in attempts)
    return command_line.EXIT_FOUND_ERRORS if failed else command_line.EXIT_OK


def _workloads(options: argparse.Namespace) -> Sequence[str]:
    import workloads

    if options.workloads is None:
        return workloads.names() if options.variants else workloads.light_names()
    names = list(dict.fromkeys(options.workloads.split(",")))
    for name in names:
        workloads.base_name(name)  # raises for unknown names
    variants = [name for name in workloads.names() if workloads.base_name(name) in names]
    return list(dict.fromkeys([*names, *variants])) if options.variants else names


def _configuration(workload: str, arguments: Sequence[str]) -> ConfigDict:
    """The workload's configuration, or the defaults if it has none, with the overrides."""
    import workloads
    from algoperf_jax import configuration as configs
    from algoperf_jax.configuration import files

    for key, instead in _SET_BY_THE_COMMAND.items():
        given = [argument for argument in arguments if argument.partition("=")[0] == f"--config{key}"]
        if given:
            raise ConfigError(f"{given[0]} is not an option of this command", expected=instead)
    file = files.installed(workloads.base_name(workload))
    config = configs.from_command_line([f"--config={file}", *arguments, f"--config.workload={workload}"])
    if any(value is not None for value in config.distributed.values()):
        raise ConfigError("config.distributed is set", expected="nothing: this command starts its own processes")
    with config.unlocked():
        config.hyperparameters = ConfigDict({**_first_point(config), **config.hyperparameters.to_dict()})
        config.search_space = None
    return config


def _first_point(config: ConfigDict) -> Mapping[str, Any]:
    """The first point of the given search space or of the submission's own."""
    from algoperf_jax.submission import source_files
    from algoperf_jax.tuning import search_space

    file = source_files.find(config.submission)
    path = config.search_space or (search_space.find_for(file) if file is not None else None)
    if path is None or config.ruleset == "self":
        return {}
    return search_space.read(str(path)).points(1, config.search_seed)[0]


if __name__ == "__main__":
    huge_pages.restart_with_them()
    sys.exit(main(sys.argv[1:]))
