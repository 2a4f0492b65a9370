"""Checks a submission before it is run.

PATH is a submission's file, a folder with a submission.py, the name of a ready-made algorithm, or a dotted module.

Its source is searched for what the rules forbid: branching on the name of the workload, environment variables, files,
threads, private attributes and the like. Then its functions are called: for two steps on the smallest workload, and on
each other workload for one step, which is traced with abstract arrays or taken with a small batch. Hyperparameters are
the first point of --search_space, or of a tuning_search_space.json in the same folder, or the submission's defaults.

--format=json writes {"submission": file, "framework": name, "files": [names], "findings": [{"severity": "error",
"warning" or "note", "rule", "message", "file", "line"}], "workloads": [{"workload", "result": "pass", "fail" or
"skipped", "detail"}], "versions": {library: version}}.

Exit codes: 0 when no finding is an error; 1 when one is; 2 with one line on stderr when the command itself must be
fixed; 130 after Ctrl-C.
"""

import argparse
import contextlib
import json
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from algoperf_jax import command_line
from algoperf_jax.errors import ConfigError, did_you_mean
from algoperf_jax.rule_check import requirements
from algoperf_jax.rule_check.findings import SEVERITIES, Finding, Report, as_dicts, count, in_order
from algoperf_jax.rule_check.static import static_report
from algoperf_jax.submission.locate import Located, locate


def main(arguments: Sequence[str]) -> int:
    """Runs the command and returns the exit code."""
    return command_line.execute(_run, arguments, lambda _: _parser().format_help())


def _parser() -> command_line.Parser:
    parser = command_line.Parser("algoperf_jax.check_submission", usage="PATH [options]", description=__doc__)
    parser.add_argument("submission", metavar="PATH", help="the submission")
    parser.add_argument("--ruleset", choices=("external", "self"), default="external", help="(%(default)s)")
    parser.add_argument("--framework", help="jax or pytorch, if it cannot be detected from the files")
    parser.add_argument("--search_space", metavar="FILE", help="JSON file with the hyperparameters")
    parser.add_argument("--workloads", metavar="NAME,NAME", help="check only these workloads")
    parser.add_argument("--static", action="store_true", help="only read the source")
    parser.add_argument("--real_steps", action="store_true", help="take a real step on every workload")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="format of the report (%(default)s)")
    parser.add_argument("--output", type=pathlib.Path, metavar="FILE", help="write the report to a file")
    return parser


def _run(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    located = locate(options.submission, options.framework)
    report = static_report(located)
    findings, rows = report.findings, []
    if not options.static:
        # Output of the submission is not part of the report.
        with contextlib.redirect_stdout(sys.stderr):
            found, rows = _examined(options, located, report)
        findings = in_order([*findings, *found])
    if options.format == "json":
        text = json.dumps(
            {
                "submission": report.submission,
                "framework": report.framework,
                "files": list(report.files),
                "findings": as_dicts(findings),
                "workloads": rows,
                "versions": requirements.versions(),
            },
            indent=2,
        )
    else:
        text = _as_text(report, findings, rows)
    if options.output is None:
        print(text)
    else:
        command_line.write_report(options.output, f"{text}\n")
        print(_closing_line(findings))
    return command_line.EXIT_FOUND_ERRORS if count(findings, "error") else command_line.EXIT_OK


def _examined(
    options: argparse.Namespace, located: Located, report: Report
) -> tuple[Sequence[Finding], list[dict[str, Any]]]:
    """The findings, and the report's row for each workload."""
    import dataclasses

    import workloads
    from algoperf_jax.check_submission.dynamic import examine
    from algoperf_jax.configuration import defaults

    names = options.workloads.split(",") if options.workloads else list(workloads.light_names())
    for name in names:
        if name not in workloads.names():
            raise ConfigError("--workloads", value=name, remedy=did_you_mean(name, workloads.names()))
    point, problems = _point(options, pathlib.Path(report.submission))

    def make_config(workload: str, overrides: Mapping[str, Any]) -> ConfigDict:
        config = defaults()
        config.workload, config.submission = workload, options.submission
        config.framework, config.ruleset = report.framework, options.ruleset
        config.hyperparameters = ConfigDict(point)
        config.update(overrides)
        return config

    examination = examine(report, located, names, make_config, real_steps=options.real_steps)
    return [*problems, *examination.findings], [dataclasses.asdict(row) for row in examination.rows]


def _point(options: argparse.Namespace, file: pathlib.Path) -> tuple[Mapping[str, Any], list[Finding]]:
    """The hyperparameters to use, and findings about the submission's own search space."""
    from algoperf_jax.tuning import search_space

    if options.search_space is not None:
        return search_space.read(options.search_space).points(1, 0)[0], []
    path = search_space.find_for(file)
    if options.ruleset == "self" or path is None:
        return {}, []
    try:
        return search_space.read(str(path)).points(1, 0)[0], []
    except ConfigError as error:
        return {}, [Finding("error", "hyperparameters", str(error).replace(str(path), path.name), path.name)]


def _as_text(report: Report, findings: Sequence[Finding], rows: Sequence[Mapping[str, Any]]) -> str:
    """Formats the report as text."""
    others = len(report.files) - 1
    with_others = f" and {others} other file{'' if others == 1 else 's'}" if others > 0 else ""
    lines = [f"{report.submission}{with_others} ({report.framework})"]
    rules = max((len(finding.rule) for finding in findings), default=0)
    for severity in SEVERITIES:
        group = [finding for finding in findings if finding.severity == severity]
        lines += ["", *(f"{severity:<8} {f.rule:<{rules}}  {f.place}  {f.message}" for f in group)] if group else []
    names = max((len(row["workload"]) for row in rows), default=0)
    lines += ["", *(f"{row['result']:<8} {row['workload']:<{names}}  {row['detail']}" for row in rows)] if rows else []
    return "\n".join([*lines, "", _closing_line(findings)])


def _closing_line(findings: Sequence[Finding]) -> str:
    numbers = ((count(findings, severity), severity) for severity in SEVERITIES)
    return ", ".join(f"{number} {severity}{'' if number == 1 else 's'}" for number, severity in numbers)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    options = _parser().parse_args(arguments)
    from algoperf_jax.submission.framework_names import WAYS_TO_RUN

    if options.framework not in (None, *WAYS_TO_RUN):
        raise ConfigError("--framework", value=options.framework, expected=f"one of {', '.join(WAYS_TO_RUN)}")
    if options.search_space is not None and options.ruleset == "self":
        raise ConfigError("--search_space is given with --ruleset=self", expected="--ruleset=external")
    command_line.check_report("--output", options.output)
    return options


if __name__ == "__main__":
    # Compiling takes minutes, says nothing about a submission, and needs a compiler that not every machine has.
    os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
    sys.exit(main(sys.argv[1:]))
