"""A study of three real trials of the tiny workload in its own process, on the clock of `killable_run`.

Usage: python -m tests.algoperf_jax.tuning.killable_study SEARCH_SPACE EXPERIMENT_DIR
"""

import functools
import itertools
import sys

from rich.console import Console

import workloads
from algoperf_jax import configuration as configs
from algoperf_jax import run
from algoperf_jax.tuning import study
from tests.algoperf_jax import tiny_workload
from tests.algoperf_jax.killable_run import TICK_NANOSECONDS


def main(search_space: str, experiment_dir: str) -> None:
    config = configs.from_command_line(
        [
            "--config=tests/algoperf_jax/tiny_config.py",
            f"--config.search_space={search_space}",
            f"--config.experiment_dir={experiment_dir}",
            "--config.max_steps=40",
            "--config.eval_period_sec=0.1",
            "--config.tensorboard=False",
        ],
    )
    steps = itertools.count(1)
    nanoseconds = [0]

    def stop_requested() -> bool:
        nanoseconds[0] = next(steps) * TICK_NANOSECONDS
        return False

    run_trial = functools.partial(run.execute, now=lambda: nanoseconds[0])
    with workloads.registered("tiny", tiny_workload.ENTRY):
        study.execute(config, Console(), stop_requested=stop_requested, run_trial=run_trial)


if __name__ == "__main__":
    main(*sys.argv[1:])
