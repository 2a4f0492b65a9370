"""A real run in its own process, on a clock that advances by a fixed amount with each step.

(A clock that ran while a checkpoint is written could not be the same after a resume: what the writing takes is not
known before it is over, so it is not in the checkpoint.)

Usage: python -m tests.algoperf_jax.killable_run EXPERIMENT_DIR [CONFIG OVERRIDES]
"""

import dataclasses
import itertools
import sys

from rich.console import Console

from algoperf_jax import configuration as configs
from algoperf_jax.main import StopOnSignal
from algoperf_jax.outputs import summary
from algoperf_jax.run import execute
from algoperf_jax.workload import EVALUATION_SPLITS
from workloads.mnist import builtin

TICK_NANOSECONDS = 10_000_000
# To draw all digits would take longer than the training.
FACTS = dataclasses.replace(
    builtin.FACTS,
    eval_batch_size=256,
    split_sizes={"train": 2_048, **dict.fromkeys(EVALUATION_SPLITS, 256)},
)


def main(arguments: list[str]) -> None:
    experiment_dir, *rest = arguments
    builtin.FACTS = FACTS
    # Importing Matplotlib would take as long as the training, too.
    summary.draw_learning_curve = lambda *_, **__: None
    config = configs.from_command_line(
        [
            "--config=configs/mnist.py",
            f"--config.experiment_dir={experiment_dir}",
            "--config.max_steps=300",
            "--config.max_runtime_sec=1000",
            "--config.eval_period_sec=0.3",
            "--config.tensorboard=False",
            *rest,
        ],
    )
    steps = itertools.count(1)
    nanoseconds = [0]
    stop_on_signal = StopOnSignal()

    def stop_requested() -> bool:
        nanoseconds[0] = next(steps) * TICK_NANOSECONDS
        return stop_on_signal()

    result = execute(config, Console(), stop_requested=stop_requested, now=lambda: nanoseconds[0])
    print("ended:", result.status, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
