"""How fast one core packs sentences, and what finding the pairs of a batch of WMT takes after a resume.

`python -m workloads.wmt.packing_benchmark`. Measures processor time, not wall time, so that other work on the machine
matters little.
"""

import argparse
import time
import tracemalloc
from collections.abc import Sequence

import numpy as np

from algoperf_jax.data import shuffle
from algoperf_jax.data.packing import BinStream
from algoperf_jax.data.sequences import Sequences
from algoperf_jax.workload import Placement
from workloads.wmt.builtin import ToyPairs
from workloads.wmt.data import FIELDS, training_split

NUM_PAIRS, LENGTH, BATCH_SIZE = 5_906_184, 256, 128


def random_lengths(count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Lengths of pairs as WMT has them, about 29 pieces on average, int32 [count] for each side."""
    common = rng.lognormal(3.2, 0.6, count)
    return [np.clip(common * rng.lognormal(0, 0.15, count), 2, LENGTH).astype(np.int32) for _ in range(2)]


def find_pairs(lengths: Sequence[np.ndarray], k: int) -> None:
    """Finds the pairs of batch k with nothing known of those before it."""
    stream = BinStream(
        lengths, [LENGTH] * 2, shuffle.endless_indices(len(lengths[0]), 0), most=2 * LENGTH, group=LENGTH
    )
    stream.bins(k * BATCH_SIZE, (k + 1) * BATCH_SIZE)


def peak_bytes(lengths: Sequence[np.ndarray], k: int) -> int:
    """The most memory that `find_pairs` has at once, besides the lengths."""
    tracemalloc.start()
    find_pairs(lengths, k)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def tokens_per_second(count: int, num_batches: int) -> float:
    """Tokens of both languages that one core puts into batches, in a second, once an epoch's rows are found."""
    columns = ToyPairs(32_000, LENGTH, {"train": count}).columns("train")
    pairs = {name: Sequences(columns[name], columns[f"{name}_lengths"]) for name in FIELDS}
    reader = training_split(pairs, batch_size=BATCH_SIZE, seed=0, max_length=LENGTH, placement=Placement())
    reader.batch(0)
    begin = time.process_time()
    batches = [reader.batch(k) for k in range(1, num_batches + 1)]
    seconds = time.process_time() - begin
    return sum(int((batch[name] > 0).sum()) for batch in batches for name in FIELDS) / seconds


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m workloads.wmt.packing_benchmark", description=__doc__)
    parser.add_argument("--pairs", type=int, default=NUM_PAIRS, help="pairs of an epoch (default: those of WMT 2017)")
    parser.add_argument(
        "--steps",
        type=int,
        nargs="+",
        default=[0, 6_000, 120_000],
        help="where training resumes (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    print(f"packing: {tokens_per_second(16_384, 30):,.0f} tokens/s")
    lengths = random_lengths(options.pairs, np.random.default_rng(0))
    print(f"{options.pairs:,} pairs, {np.mean(lengths):.1f} tokens on average")
    for step in options.steps:
        begin = time.process_time()
        find_pairs(lengths, step)
        print(f"batch {step:,}: {time.process_time() - begin:.2f} s to find its pairs")
    # Counting memory makes it several times as slow, and all epochs take the same.
    print(f"memory for that: {peak_bytes(lengths, min(6_000, max(options.steps))) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
