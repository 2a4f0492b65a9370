"""The command line: measures where the time of a trial goes.

    python -m algoperf_jax.bench --config=configs/ogbg.py [--config.KEY=VALUE ...]
        [--steps=N] [--json=FILE] [--csv=FILE] [--compare=FILE]

Measures the time to the first step, the step time with the real input pipeline and with a constant batch, the input
pipeline alone, evaluation, the harness's own time per step, and memory. To compare two revisions, keep a report of the
first with --json=FILE and run the second with --compare=FILE on the same idle machine.

Exit codes: 0, 2 with one line on stderr when something is to be mended by the user, or 130 after Ctrl-C.
"""

import argparse
import contextlib
import datetime
import io
import pathlib
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Never

from rich.console import Console

from algoperf_jax.errors import ConfigError, UserError
from algoperf_jax.main import EXIT_OK, EXIT_USER_ERROR

DEFAULT_STEPS = 100
_TABLE_WIDTH = 120
_EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    """Runs the command and returns the exit code."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        return EXIT_OK
    try:
        options, rest = _options(arguments)
        _run(options, rest, Console(width=None if sys.stdout.isatty() else _TABLE_WIDTH))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USER_ERROR
    except KeyboardInterrupt:
        print("error: interrupted; nothing is written", file=sys.stderr)
        return _EXIT_INTERRUPTED
    return EXIT_OK


def _run(options: argparse.Namespace, config_arguments: Sequence[str], console: Console) -> None:
    # Imported here so that `--help` answers at once.
    import jax

    from algoperf_jax import configuration as configs
    from algoperf_jax.assembly import assemble, load_workload
    from algoperf_jax.bench import measurements, reports, tables
    from algoperf_jax.devices.compile_watch import CompileWatch
    from algoperf_jax.framework.framework import load_framework
    from algoperf_jax.outputs import environment
    from algoperf_jax.outputs.scalar_log import ScalarLog
    from algoperf_jax.submission.imports import submission_imports
    from algoperf_jax.submission.load import load_submission
    from algoperf_jax.submission.locate import locate
    from algoperf_jax.trial.rules import TIMING_RULES
    from configs import base

    # Whatever can be refused is refused before the minutes that measuring takes.
    for path in (options.json, options.csv):
        _check_writable(path)
    config: Any = configs.from_command_line(config_arguments, base.get_config())
    if any(value is not None for value in config.distributed.values()):
        raise ConfigError("config.distributed is set", expected="one process: this command measures no others")
    earlier = reports.from_json(_read(options.compare), name=str(options.compare)) if options.compare else None
    located = locate(config.submission, config.framework)
    framework = load_framework(located.framework)
    framework.start(config)
    if jax.process_count() > 1:
        raise ConfigError("several processes were started", expected="one: this command measures no others")
    with submission_imports(located):
        workload = load_workload(config)
        submission = load_submission(located, workload)
        scalars = ScalarLog()
        with _temporary_recorder(config, workload, scalars) as recorder:
            parts = assemble(config, framework, workload, submission, scalars)
            machine = environment.meta_data({}, config.seed, config.precision, parts.backend.devices())
            subject = _subject(parts, machine)
            if earlier is not None:
                reports.check_comparable(earlier.subject, subject, name=str(options.compare))
            quantities = measurements.measure(
                parts,
                TIMING_RULES[config.timing_rules],
                steps=options.steps,
                compile_watch=CompileWatch(),
                tick=recorder.tick,
                say=lambda line: print(f"measuring: {line}", file=sys.stderr, flush=True),
            )
    report = reports.Report(
        subject=subject,
        submission=submission.name,
        steps=options.steps,
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        commit=machine["git_commit_hash"],
        versions=machine["versions"],
        config=configs.as_dict(config),
        quantities=quantities,
    )
    if options.json:
        _write(options.json, reports.to_json(report))
    if options.csv:
        _write(options.csv, reports.to_csv(report))
    console.print(tables.report_table(report))
    if earlier is not None:
        console.print(tables.comparison_table(earlier, report))
        for line in reports.differences(earlier, report):
            console.print(f"differs: {line}", markup=False, highlight=False, soft_wrap=True)


@contextlib.contextmanager
def _temporary_recorder(config: Any, workload: Any, scalars: Any) -> Iterator[Any]:
    """What a trial would write, for its time counts; it is deleted at the end, and its progress not shown."""
    from algoperf_jax.outputs.event_log import EventLog
    from algoperf_jax.outputs.progress import Progress
    from algoperf_jax.outputs.recorder import Recorder
    from algoperf_jax.outputs.tensorboard import TensorBoardLog

    progress = Progress(
        Console(file=io.StringIO()),
        title=workload.name,
        goal=workload.goal,
        budget_sec=workload.budget.max_runtime_sec,
        max_steps=None,
        period_sec=config.progress_period_sec,
    )
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        with contextlib.closing(TensorBoardLog(folder)) as board:
            yield Recorder([EventLog(folder), *([board] if config.tensorboard else [])], progress, scalars)


def _subject(parts: Any, machine: Mapping[str, Any]) -> Any:
    from algoperf_jax.bench.reports import Subject

    workload, devices = parts.workload, machine["devices"]
    return Subject(
        workload=workload.name,
        data=workload.data.origin,
        framework=parts.submission.framework,
        batch_size=parts.batch_size,
        eval_batch_size=workload.eval_batch_size,
        platform=devices["platform"],
        device=devices["kind"],
        device_count=devices["count"],
        processor=machine["cpu_model_name"],
        processor_count=machine["cpu_count"],
    )


def _options(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The command's own options, and the arguments that are left for the configuration."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--steps", type=int, default=DEFAULT_STEPS)
    for name in ("--json", "--csv", "--compare"):
        parser.add_argument(name, type=pathlib.Path)
    options, rest = parser.parse_known_args(arguments)
    if options.steps < 1:
        raise ConfigError("--steps", value=options.steps, expected="a positive number")
    return options, rest


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Never:
        raise ConfigError(message)


def _check_writable(path: pathlib.Path | None) -> None:
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise ConfigError("a report cannot be written", value=str(path), expected="a file in a folder that exists")


def _read(path: pathlib.Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"--compare={path} cannot be read ({error})", expected="a file that --json=FILE wrote"
        ) from error


def _write(path: pathlib.Path, text: str) -> None:
    from algoperf_jax.outputs.run_directory import write_text

    try:
        write_text(path, text)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
