"""The command line: runs one trial, or the trials of studies.

    python -m algoperf_jax.main --config=configs/ogbg.py [--config.KEY=VALUE ...]
    python -m algoperf_jax.main --config=configs/ogbg.py --config.search_space=FILE.json --config.num_studies=3
    python -m algoperf_jax.main --list

Exit codes: 0 when the trial ended or was interrupted in an orderly way, 2 with one line on stderr when something is to
be mended by the user or the trial failed. Studies go on when a trial fails: 2 only if all of their trials did.
"""

import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING

from rich.console import Console

from algoperf_jax.errors import UserError

if TYPE_CHECKING:
    from algoperf_jax.outputs.result import TrialResult

EXIT_OK = 0
EXIT_USER_ERROR = 2


class StopOnSignal:
    """Turns the first SIGTERM or SIGINT into a request to stop after the current step; a second one acts at once."""

    def __init__(self) -> None:
        self._requested = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)

    def __call__(self) -> bool:
        """Whether to stop."""
        return self._requested

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        self._requested = True
        signal.signal(number, signal.SIG_DFL)


def main(arguments: Sequence[str]) -> int:
    """Runs the command and returns the exit code."""
    # Imported here so that `--help` answers at once.
    import workloads
    from algoperf_jax import configuration as configs
    from algoperf_jax.submission.framework_names import ENTRIES, algorithm_names
    from configs import base

    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        return EXIT_OK
    if arguments[0] == "--list":
        print("workloads: ", ", ".join(workloads.names()))
        for framework in ENTRIES:
            print(f"{framework} algorithms:", ", ".join(algorithm_names(framework)))
        return EXIT_OK
    try:
        config = configs.from_command_line(arguments, base.get_config())
        from algoperf_jax import run
        from algoperf_jax.tuning import study

        console, stop_requested = Console(), StopOnSignal()
        with study.compilation(config, console):
            if configs.means_study(config):
                failure = study.execute(config, console, stop_requested=stop_requested).failure
            else:
                failure = _failure(run.execute(config, console, stop_requested=stop_requested))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USER_ERROR
    if failure is not None:
        print(f"error: {failure}", file=sys.stderr)
        return EXIT_USER_ERROR
    return EXIT_OK


def _failure(result: "TrialResult") -> str | None:
    """The line about a trial that failed."""
    if result.status != "failed":
        return None
    return f"{result.reason} (Logs: {result.directory}; --config.overwrite=True runs the trial again.)"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
