"""What the input costs an evaluation of click models: `python -m workloads.criteo1tb.evaluation_benchmark`.

Compares the evaluation of built-in rows, drawn, transferred and finished while the model works, with as many forward
passes over one batch that stays on the device. The two take turns. Prints wall time, and processor time, which other
work on the machine changes less.
"""

import argparse
import itertools
import time
from collections.abc import Iterable, Sequence
from typing import Any

import jax

from algoperf_jax.data.feed import DeviceFeed
from algoperf_jax.workload import Batch, Finish, Placement, SplitReader, Workload
from workloads.criteo1tb import builtin, data
from workloads.criteo1tb.workload import build

_QUEUED_BATCHES = 2
"""As in the evaluation of a trial."""


class Evaluation:
    """The sum of the losses of any number of batches, computed as in a trial: on the device, then in float64."""

    def __init__(self, workload: Workload) -> None:
        self._params, self._state = jax.jit(workload.init)(jax.random.key_data(jax.random.key(0)))
        self._step = jax.jit(workload.metrics.batch_step)
        self._key = jax.random.key_data(jax.random.key(1))

    def __call__(self, batches: Iterable[Batch]) -> float:
        partials: list[Any] = []
        for batch in batches:
            partials.append(self._step(self._params, self._state, batch, self._key))
            if len(partials) > _QUEUED_BATCHES:
                jax.block_until_ready(partials[-1 - _QUEUED_BATCHES])
        return sum(float(partial.sums["loss"]) for partial in partials)


def put_batch(batch: Batch, finish: Finish | None = None) -> Batch:
    """Puts a batch on the device and finishes it there."""
    arrays = jax.device_put(batch)
    return arrays if finish is None else _finished(arrays)


_finished = jax.jit(data.finish)


def feed(reader: SplitReader, first: int, count: int) -> DeviceFeed:
    """Batches `first` to `first + count - 1`, made ahead."""
    part = SplitReader(reader.num_examples, count, lambda k: reader.batch(first + k), reader.finish)
    return DeviceFeed(part, put_batch)


def measure(evaluation: Evaluation, reader: SplitReader, batches_per_turn: int) -> tuple[list[float], list[float]]:
    """Seconds of all turns, (wall, processor): with the batches of the split, and with as many constant ones."""
    assert reader.num_batches is not None
    constant = reader.put(0, put_batch)
    evaluation(itertools.repeat(constant, 2))
    totals = [0.0, 0.0], [0.0, 0.0]
    for first in range(0, reader.num_batches, batches_per_turn):
        count = min(batches_per_turn, reader.num_batches - first)
        for total, is_constant in zip(totals, (False, True), strict=True):
            start = time.perf_counter(), time.process_time()
            evaluation(itertools.repeat(constant, count) if is_constant else feed(reader, first, count))
            total[0] += time.perf_counter() - start[0]
            total[1] += time.process_time() - start[1]
    return totals


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(prog="python -m workloads.criteo1tb.evaluation_benchmark", description=__doc__)
    parser.add_argument("--size", default="full", help="full or small (default: %(default)s)")
    parser.add_argument("--vocab-size", type=int, default=65_536, help="default: %(default)s")
    parser.add_argument("--rows", type=int, default=10_000_000, help="default: %(default)s")
    parser.add_argument("--batch-size", type=int, default=8_192, help="default: %(default)s")
    parser.add_argument("--batches-per-turn", type=int, default=50, help="default: %(default)s")
    options = parser.parse_args(arguments)
    evaluation = Evaluation(build("criteo1tb", vocab_size=options.vocab_size, size=options.size))
    drawn = builtin.pieces(builtin.FULL, "validation", options.rows)
    reader = data.evaluation_split(drawn, batch_size=options.batch_size, placement=Placement())
    split, constant = measure(evaluation, reader, options.batches_per_turn)
    for number, kind in enumerate(("wall", "processor")):
        print(
            f"{kind + ' time':15} {split[number]:8.1f} s for {options.rows:,} rows, {constant[number]:8.1f} s for "
            f"constant batches: {split[number] / constant[number]:.3f} times"
        )


if __name__ == "__main__":
    main()
