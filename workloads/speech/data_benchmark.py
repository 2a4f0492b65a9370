"""How fast one core makes batches of utterances, and what it saves that they are no longer than they need to be.

`python -m workloads.speech.data_benchmark --data_dir=DATA`, or without prepared data for the built-in utterances.
Measures processor time, not wall time, so that other work on the machine matters little.
"""

import argparse
import time
from collections.abc import Sequence

from algoperf_jax.workload import Data, Placement, SplitName
from workloads.speech.data import open_data
from workloads.speech.sizes import FULL

SPLIT_SIZES = {"train": 2_048, "eval_train": 256, "validation": 256, "test": 256}
"""Of the built-in utterances."""
LEAST_UTTERANCES = 1_024


def utterances_per_second(data: Data, *, batch_size: int) -> float:
    """Utterances that one core puts into training batches in a second, once the index is read."""
    reader = data.open("train", batch_size=batch_size, seed=0, placement=Placement())
    reader.batch(0)
    num_batches = -(-LEAST_UTTERANCES // batch_size)
    begin = time.process_time()
    for k in range(1, num_batches + 1):
        reader.batch(k)
    return num_batches * batch_size / (time.process_time() - begin)


def saved(data: Data, split: SplitName, *, batch_size: int) -> float:
    """How many times as many samples batches would have if all were as long as the longest utterance may be."""
    reader = data.open(split, batch_size=batch_size, seed=0, placement=Placement())
    num_batches = reader.num_batches or -(-LEAST_UTTERANCES // batch_size)
    samples = [reader.batch(k)["inputs"].shape[1] for k in range(num_batches)]
    return FULL.max_samples * num_batches / sum(samples)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m workloads.speech.data_benchmark", description=__doc__)
    parser.add_argument("--data_dir", help="folder of prepared data sets; default: the built-in utterances")
    parser.add_argument("--batch_sizes", type=int, nargs="+", default=[8, 32, 256], help="utterances in a batch")
    options = parser.parse_args(arguments)
    data = open_data(options.data_dir, size=FULL, split_sizes=SPLIT_SIZES).data
    for batch_size in options.batch_sizes:
        rate = utterances_per_second(data, batch_size=batch_size)
        factors = (f"{split} {saved(data, split, batch_size=batch_size):.2f}" for split in ("train", "validation"))
        print(
            f"batch size {batch_size}: {rate:,.0f} utterances/s; longest batches would have {', '.join(factors)} times"
        )


if __name__ == "__main__":
    main()
