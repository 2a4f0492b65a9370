"""Measures how long scoring takes (loading logs, scoring and resampling) and how much memory it needs.

python -m scoring.benchmark --logs=DIR [--targets=v0.5|v0.6|FILE] [--ruleset=external|self] [--resamples=1000]
  [--repeats=3]

Each repeat runs in its own process, so that it includes imports and inherits nothing from the previous one.
"""

import argparse
import dataclasses
import importlib.metadata
import itertools
import json
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

import scoring
from scoring.command_line import Parser
from scoring.errors import ScoringError
from scoring.logs import RULESETS
from scoring.resampling import bootstrap

STAGES = ("import", "load", "score", "bootstrap")
_ROOT = pathlib.Path(__file__).parents[1]
# The clocks start before anything is imported.
_PROGRAM = """
import time
start = time.perf_counter(), time.process_time()
import sys
import scoring.benchmark
sys.exit(scoring.benchmark.measure_here(start, sys.argv[1:]))
"""


@dataclasses.dataclass(frozen=True)
class Measurement:
    """What one process measured.

    Attributes:
      wall_sec: seconds of wall time of each of `STAGES`.
      cpu_sec: seconds of CPU time, of all threads.
      peak_bytes: peak memory of the process after scoring, and at the end.
      trials: number of trials read.
    """

    wall_sec: list[float]
    cpu_sec: list[float]
    peak_bytes: list[int]
    trials: int


def _peak_bytes() -> int:
    try:
        # The peak that `getrusage` reports may include that of the parent process.
        status = pathlib.Path("/proc/self/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _parser() -> Parser:
    parser = Parser(prog="python -m scoring.benchmark", description="Times the scoring of a folder of logs.")
    parser.add_argument("--logs", required=True, type=pathlib.Path, help="folder with one directory per submission")
    parser.add_argument("--targets", default="v0.6", help="version of the benchmark, or a JSON file (default: v0.6)")
    parser.add_argument("--ruleset", default="external", choices=RULESETS)
    parser.add_argument("--resamples", default=1000, type=int, help="resamples of the bootstrap (default: 1000)")
    parser.add_argument("--repeats", default=3, type=int, help="number of processes; medians are shown (default: 3)")
    return parser


def measure_here(start: tuple[float, float], arguments: Sequence[str]) -> int:
    """Runs one repeat in this process: loads, scores and resamples, and prints a `Measurement` as JSON.

    Args:
      start: readings of the wall and CPU clock before this module was imported, seconds.
      arguments: those of the command line.

    Returns:
      The exit code, 2 for errors that the user can fix.
    """
    clocks, peaks = [start, (time.perf_counter(), time.process_time())], []
    try:
        options = _parser().parse_args(arguments)
        logs = scoring.load(options.logs, options.targets, ruleset=options.ruleset)
        clocks.append((time.perf_counter(), time.process_time()))
        scoring.score(logs)
        clocks.append((time.perf_counter(), time.process_time()))
        peaks.append(_peak_bytes())
        bootstrap(logs, resamples=options.resamples)
        clocks.append((time.perf_counter(), time.process_time()))
        peaks.append(_peak_bytes())
    except ScoringError as error:
        print(error, file=sys.stderr)
        return 2
    wall, cpu = ([after[n] - before[n] for before, after in itertools.pairwise(clocks)] for n in (0, 1))
    print(json.dumps(dataclasses.asdict(Measurement(wall, cpu, peaks, len(logs.trials)))))
    return 0


def measure(arguments: Sequence[str]) -> Measurement:
    """Runs `measure_here` in its own process.

    Raises:
      ScoringError: the logs or the arguments cannot be used.
      RuntimeError: the process failed.
    """
    path = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *arguments],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 2:
        raise ScoringError(done.stderr)
    if done.returncode:
        raise RuntimeError(f"a repeat ended with exit code {done.returncode}:\n{done.stderr}")
    return Measurement(**json.loads(done.stdout))


def _cpu_model() -> str:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def report(options: argparse.Namespace, measurements: Sequence[Measurement]) -> str:
    """Medians over `measurements`, as lines of text."""
    wall, cpu = (
        [statistics.median(stage) for stage in zip(*(getattr(one, name) for one in measurements), strict=True)]
        for name in ("wall_sec", "cpu_sec")
    )
    totals = [
        [statistics.median(sum(getattr(one, name)[first:]) for one in measurements) for name in ("wall_sec", "cpu_sec")]
        for first in (0, 1)
    ]
    scored, ended = (statistics.median(one.peak_bytes[at] for one in measurements) / 2**20 for at in (0, 1))
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "pandas"))
    rows = [*zip(STAGES, wall, cpu, strict=True), ("all", *totals[0]), ("all but import", *totals[1])]
    return "\n".join(
        [
            f"{_cpu_model()}, {os.cpu_count()} logical CPUs; Python {platform.python_version()}, {versions}",
            f"{options.logs}: targets {options.targets}, ruleset {options.ruleset}, {measurements[0].trials} trials, "
            f"{options.resamples} resamples; medians of {len(measurements)} processes",
            "",
            f"{'stage':<14}  wall sec   CPU sec",
            *(f"{name:<14}  {wall_sec:8.3f}  {cpu_sec:8.3f}" for name, wall_sec, cpu_sec in rows),
            "",
            f"peak memory: {ended:.0f} MiB, {scored:.0f} MiB without the bootstrap",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code, 2 for errors that the user can fix."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        options = _parser().parse_args(given)
        if options.repeats < 1:
            raise ScoringError(f"repeats is {options.repeats}; expected 1 or more")
        print(report(options, [measure(given) for _ in range(options.repeats)]))
    except ScoringError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
