"""The command line: prints the leaderboard of a folder of logs, and writes a report.

python -m scoring --logs=DIR [--targets=v0.5|v0.6|v0.6-a100|FILE] [--relax=X] [--ruleset=external|self]
  [--rule=documented|official] [--ties=fastest|name] [--clock=seconds|steps] [--builtin] [--strict] [--calibrated]
  [--interval=METHOD] [--resamples=N] [--seed=N] [--baseline=SUBMISSION] [--devices=N] [--price-per-device-hour=X]
  [--out=DIR]
"""

import dataclasses
import pathlib
import sys
from collections.abc import Sequence

from scoring.command_line import Parser
from scoring.errors import ScoringError
from scoring.intervals import DEFAULT, METHODS
from scoring.logs import RULESETS, load
from scoring.machines import calibrated
from scoring.reports import leaderboard_text, make_report
from scoring.resampling import bootstrap
from scoring.scores import score
from scoring.summaries import require_complete
from scoring.targets import relaxed
from scoring.times import RULES, TIES, UNITS


def _parser() -> Parser:
    parser = Parser(prog="python -m scoring", description="Prints the leaderboard of a folder of logs.")
    parser.add_argument("--logs", required=True, type=pathlib.Path, help="folder with one directory per submission")
    parser.add_argument("--targets", default="v0.6", help="version of the benchmark, or a JSON file (default: v0.6)")
    parser.add_argument(
        "--relax", type=float, default=0.0, help="make every target easier by this share of its value, such as 0.1"
    )
    parser.add_argument("--ruleset", default="external", choices=RULESETS)
    parser.add_argument("--rule", default="documented", choices=RULES, help="how a study's trial is chosen")
    parser.add_argument("--ties", default="fastest", choices=TIES, help="how the official rule breaks ties")
    parser.add_argument("--clock", default=UNITS[0], choices=UNITS, help="what times to target are counted in")
    parser.add_argument("--builtin", action="store_true", help="score only the runs on built-in data")
    parser.add_argument("--strict", action="store_true", help="refuse incomplete logs")
    parser.add_argument(
        "--calibrated",
        action="store_true",
        help="convert times to the benchmark's hardware, with the logs' calibrations",
    )
    parser.add_argument(
        "--interval", default=DEFAULT, choices=METHODS, help=f"method of score intervals (default: {DEFAULT})"
    )
    parser.add_argument("--resamples", type=int, help="draws for score intervals (default: 1000 with --out, else none)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draws (default: 0)")
    parser.add_argument("--baseline", help="submission that speedups are relative to (default: baseline)")
    parser.add_argument("--devices", type=float, help="number of devices per run (default: as logged)")
    parser.add_argument("--price-per-device-hour", type=float, help="price for the cost of the runs, in any currency")
    parser.add_argument("--out", type=pathlib.Path, help="folder for scores.csv, report.html, tables and figures")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code, 2 for errors that the user can fix."""
    try:
        options = _parser().parse_args(arguments)
        logs = load(options.logs, options.targets, ruleset=options.ruleset, builtin=options.builtin)
        if options.relax:
            logs = dataclasses.replace(logs, targets=relaxed(logs.targets, options.relax))
        if options.strict:
            require_complete(logs)
        if options.calibrated:
            logs = calibrated(logs)
        scores = score(logs, rule=options.rule, ties=options.ties, unit=options.clock)
        by_steps = options.clock == "steps"
        if by_steps and options.resamples:
            raise ScoringError(
                "--resamples with --clock=steps: intervals are those of scores in seconds; leave out one"
            )
        if options.out is None:
            uncertainty = None
            if options.resamples:
                uncertainty = bootstrap(
                    logs,
                    rule=options.rule,
                    ties=options.ties,
                    interval=options.interval,
                    resamples=options.resamples,
                    seed=options.seed,
                )
            print(leaderboard_text(logs, scores, uncertainty))
            return 0
        report = make_report(
            logs,
            scores,
            ties=options.ties,
            interval=options.interval,
            resamples=options.resamples if options.resamples is not None else 0 if by_steps else 1000,
            seed=options.seed,
            baseline=options.baseline,
            devices=options.devices,
            price_per_device_hour=options.price_per_device_hour,
        )
        # Only reports need matplotlib, which takes a while to load.
        from scoring.report_files import write_report

        write_report(report, options.out)
        print(leaderboard_text(logs, scores, report.uncertainty, report.findings))
    except ScoringError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
