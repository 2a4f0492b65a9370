"""Measures where the time of a trial goes.

Measures the time to the first step, the step time with the real input pipeline and with a constant batch, the input
pipeline alone, evaluation, the harness's own time per step, and memory. To compare two revisions, save a report of
the first with --json=FILE and run the second with --compare=FILE on the same idle machine.

Exit codes: 0; 2 with one line on stderr when the user must fix something; 130 after Ctrl-C.
"""

import contextlib
import datetime
import io
import pathlib
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict
from rich.console import Console

from algoperf_jax import command_line
from algoperf_jax.devices import huge_pages
from algoperf_jax.errors import ConfigError

DEFAULT_STEPS = 100


def main(arguments: Sequence[str]) -> int:
    """Runs the command and returns the exit code."""
    return command_line.execute(_run, arguments, lambda _: _parser().format_help())


def _parser() -> command_line.Parser:
    parser = command_line.Parser(
        "algoperf_jax.bench",
        usage="--config=FILE[:VARIANT] [--config.KEY=VALUE ...] [options]",
        description=__doc__,
    )
    parser.add_argument("--steps", type=int, default=DEFAULT_STEPS, help="steps per measurement (%(default)s)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the report as JSON")
    parser.add_argument("--csv", type=pathlib.Path, metavar="FILE", help="write the report as CSV")
    parser.add_argument(
        "--compare", type=pathlib.Path, metavar="FILE", help="an earlier report, written with --json=FILE"
    )
    parser.add_argument("--beside", metavar="FRAMEWORK", help="time steps in this framework, too, in turns")
    return parser


def _run(arguments: Sequence[str]) -> int:
    # Imported here to keep `--help` fast.
    import jax

    from algoperf_jax import configuration as configs
    from algoperf_jax.assembly import Parts, assemble, load_workload
    from algoperf_jax.bench import measurements, reports, tables
    from algoperf_jax.bench.beside import Side, measure_beside
    from algoperf_jax.devices.compile_watch import CompileWatch
    from algoperf_jax.devices.precision import chosen_precision
    from algoperf_jax.framework.framework import load_framework
    from algoperf_jax.outputs import environment
    from algoperf_jax.outputs.scalar_log import ScalarLog
    from algoperf_jax.submission.imports import submission_imports
    from algoperf_jax.submission.load import load_submission
    from algoperf_jax.submission.locate import Located, locate
    from algoperf_jax.trial.rules import TIMING_RULES

    # Everything that may be invalid is checked before measuring, which takes minutes.
    options, config_arguments = _parser().parse_known_args(arguments)
    if options.steps < 1:
        raise ConfigError("--steps", value=options.steps, expected="a positive number")
    command_line.check_report("--json", options.json)
    command_line.check_report("--csv", options.csv)
    config = configs.from_command_line(config_arguments)
    if any(value is not None for value in config.distributed.values()):
        raise ConfigError("config.distributed is set", expected="one process; several are not supported")
    earlier = reports.from_json(_read(options.compare), name=str(options.compare)) if options.compare else None
    located = locate(config.submission, config.framework)
    framework = load_framework(located.framework)
    framework.start(config)
    if jax.process_count() > 1:
        raise ConfigError("several processes were started", expected="one process; several are not supported")
    beside = _beside(options.beside, located)
    if beside is not None:
        load_framework(beside.framework).start(config)
    with contextlib.ExitStack() as stack:
        stack.enter_context(submission_imports(located))
        workload = load_workload(config)
        scalars = ScalarLog()
        recorder = stack.enter_context(_temporary_recorder(config, workload, scalars))

        def assembled(located: Located) -> Parts:
            submission = load_submission(located, workload)
            return assemble(config, load_framework(located.framework), workload, submission, scalars)

        parts = assembled(located)
        submission = parts.submission
        precision = chosen_precision(config)
        machine = environment.meta_data({}, config.seed, config.edition, precision, parts.backend.devices())
        subject = _subject(parts, machine)
        if earlier is not None:
            reports.check_comparable(earlier.subject, subject, name=str(options.compare))
        measured = {"steps": options.steps, "say": _say}
        rules = TIMING_RULES[config.timing_rules]
        if beside is None:
            quantities = measurements.measure(
                parts, rules, compile_watch=CompileWatch(), tick=recorder.tick, **measured
            )
        else:
            sides = {
                each.framework: Side(made, load_framework(each.framework).watch_compilations(), recorder.tick)
                for each, made in ((located, parts), (beside, assembled(beside)))
            }
            quantities = measure_beside(sides, rules, **measured)
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
    command_line.write_report(options.json, reports.to_json(report))
    command_line.write_report(options.csv, reports.to_csv(report))
    console = command_line.table_console()
    console.print(tables.report_table(report))
    if earlier is not None:
        console.print(tables.comparison_table(earlier, report))
        for line in reports.differences(earlier, report):
            console.print(f"differs: {line}", markup=False, highlight=False, soft_wrap=True)
    return command_line.EXIT_OK


def _beside(framework: str | None, located: Any) -> Any:
    """The same algorithm in another framework, or None if none was asked for."""
    from algoperf_jax.submission.framework_names import ENTRIES, algorithm_names
    from algoperf_jax.submission.locate import locate

    if framework is None:
        return None
    both = [name for name in ENTRIES if located.is_ready_made and located.reference in algorithm_names(name)]
    others = [name for name in both if name != located.framework]
    if framework not in others:
        raise ConfigError(
            f"--beside: {located.reference} in {located.framework} cannot be timed beside {framework}",
            expected=f"--beside={others[0]}" if others else "a ready-made algorithm that exists in both frameworks",
            remedy="" if others else "For instance --config.submission=adamw.",
        )
    return locate(located.reference, framework)


def _say(line: str) -> None:
    print(f"measuring: {line}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _temporary_recorder(config: ConfigDict, workload: Any, scalars: Any) -> Iterator[Any]:
    """A recorder that writes as in a trial, because its time counts; the files are deleted and no progress is shown."""
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


def _read(path: pathlib.Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"--compare={path} cannot be read ({error})", expected="a file written with --json=FILE"
        ) from error


if __name__ == "__main__":
    huge_pages.restart_with_them()
    sys.exit(main(sys.argv[1:]))
