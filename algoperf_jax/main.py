"""Runs one trial, or the trials of studies.

    python -m algoperf_jax.main --config=ogbg                 # configs/ogbg.py, on the built-in data
    python -m algoperf_jax.main --config=configs/ogbg.py:gelu --config.submission=my_optimizer.py --config.seed=3
    python -m algoperf_jax.main --config=ogbg --config.search_space=FILE.json --config.num_studies=3

The same command resumes an interrupted trial and skips finished ones. FILE is the path of a configuration file, or the
name of one that is included in the project (see --list).

Exit codes: 0 when the trial finished or was interrupted by a signal and saved; 2 with one line on stderr when the user
must fix something or the trial failed; 130 after Ctrl-C before the trial began. Studies continue when a trial fails;
they exit with 2 only if all their trials failed.
"""

import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING

from ml_collections import ConfigDict

from algoperf_jax import command_line
from algoperf_jax.devices import huge_pages

if TYPE_CHECKING:
    from algoperf_jax.outputs.result import TrialResult


class StopOnSignal:
    """Turns a signal into a request to stop after the current step; the same signal a second time acts at once.

    SIGTERM and SIGHUP end a process, SIGINT is Ctrl-C, and schedulers send SIGUSR1 or SIGUSR2 before they end a job.
    """

    NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

    def __init__(self) -> None:
        self._requested = False
        for number in self.NUMBERS:
            # `nohup` ignores SIGHUP, so that the run outlives its terminal.
            if not (number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN):
                signal.signal(number, self._handle)

    def __call__(self) -> bool:
        """Whether a signal asked to stop."""
        return self._requested

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        self._requested = True
        signal.signal(number, signal.SIG_DFL)


def main(arguments: Sequence[str]) -> int:
    """Runs the command and returns the exit code."""
    return command_line.execute(_run, arguments, _help)


def _parser() -> command_line.Parser:
    parser = command_line.Parser(
        "algoperf_jax.main",
        usage="--config=FILE[:VARIANT] [--config.KEY=VALUE ...] [--show]\n       %(prog)s --list",
        description=__doc__,
    )
    parser.add_argument("--show", action="store_true", help="print the final configuration and exit")
    parser.add_argument("--list", action="store_true", help="print workloads, algorithms and configurations, and exit")
    return parser


def _help(arguments: Sequence[str]) -> str:
    from algoperf_jax.configuration import from_command_line
    from algoperf_jax.configuration.description import keys_text

    _, config_arguments = _parser().parse_known_args(arguments)
    config = from_command_line(config_arguments) if config_arguments else None
    return f"{_parser().format_help()}\n{keys_text(config)}"


def _run(arguments: Sequence[str]) -> int:
    # Imported here to keep `--help` fast.
    from algoperf_jax import configuration as configs

    options, config_arguments = _parser().parse_known_args(arguments)
    if options.list:
        from algoperf_jax.listing import listing

        command_line.print_text(listing())
        return command_line.EXIT_OK
    config = configs.from_command_line(config_arguments)
    if options.show:
        from algoperf_jax.configuration.description import settings_text

        command_line.print_text(settings_text(config))
        return command_line.EXIT_OK
    failure = _train(config, config_arguments)
    if failure is not None:
        command_line.print_error(failure)
        return command_line.EXIT_USER_ERROR
    return command_line.EXIT_OK


def _train(config: ConfigDict, arguments: Sequence[str]) -> str | None:
    """Runs the configured trial or studies; returns the error line if they failed, else None."""
    import jax

    from algoperf_jax import configuration as configs
    from algoperf_jax import run
    from algoperf_jax.devices.distributed import is_leader
    from algoperf_jax.outputs import summary, terminal
    from algoperf_jax.tuning import study

    console, stop_requested = terminal.console(sys.stdout), StopOnSignal()
    with study.compilation(config, console):
        if configs.means_study(config):
            found = study.execute(config, console, stop_requested=stop_requested)
            failure, interrupted = found.failure, found.interrupted
        else:
            result = run.execute(config, console, stop_requested=stop_requested)
            failure, interrupted = _failure(result), result.status == "interrupted"
    if failure is None and is_leader():
        processes = jax.process_count()
        summary.print_next_steps(console, config, arguments, interrupted=interrupted, processes=processes)
    return failure


def _failure(result: "TrialResult") -> str | None:
    """The error line of a failed trial, or None."""
    if result.status != "failed":
        return None
    return f"{result.reason} (Logs: {result.directory}; --config.overwrite=True runs the trial again.)"


if __name__ == "__main__":
    huge_pages.restart_with_them()
    sys.exit(main(sys.argv[1:]))
