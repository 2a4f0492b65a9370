"""How many tokens one core puts into training batches in a second: `python -m workloads.finewebedu_lm.data_benchmark`.

Writes the built-in text into a temporary folder as prepared data, and reads it while the system still has it in memory:
once, when each block is verified, and again. Measures processor time, not wall time, so that other work on the machine
matters little; the best of several passes.
"""

import argparse
import pathlib
import tempfile
import time
from collections.abc import Sequence

import numpy as np

from algoperf_jax.data import continued
from algoperf_jax.data.continued import Written
from algoperf_jax.workload import Data, Placement
from workloads.finewebedu_lm import builtin, tokens
from workloads.finewebedu_lm.data import open_data
from workloads.finewebedu_lm.toy_grammar import ToyLanguage

VOCAB_SIZE, SEQUENCE_LENGTH = 50_257, 1_024
_PASSES = 3


def write(data_dir: pathlib.Path, count: int) -> None:
    """Prepares `count` tokens for training, in four files."""
    own = continued.begin(data_dir, tokens.DATASET, force=True)
    parts = np.array_split(builtin.stream(ToyLanguage(VOCAB_SIZE), "train", count), 4)
    names = [f"train-{number}" for number in range(len(parts))]
    for name, part in zip(names, parts, strict=True):
        with tokens.writer(own, name, source={}) as append:
            append(part, np.array([len(part)], np.uint32))
    splits = {"train": tokens.manifest_split(own, names)}
    facts = {"tokenizer": {"vocab_size": VOCAB_SIZE}}
    continued.finish(data_dir, tokens.DATASET, Written(splits, facts), source="the built-in text")


def tokens_per_second(data: Data, *, batch_size: int) -> tuple[float, float]:
    """Tokens that one core puts into the batches of the first epoch in a second, and into those of the second one."""
    reader = data.open("train", batch_size=batch_size, seed=0, placement=Placement())
    num_batches = reader.num_examples // batch_size
    rates = []
    for epoch in range(2):
        begin = time.process_time()
        for k in range(epoch * num_batches, (epoch + 1) * num_batches):
            reader.batch(k)
        rates.append(num_batches * batch_size * SEQUENCE_LENGTH / (time.process_time() - begin))
    return rates[0], rates[1]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m workloads.finewebedu_lm.data_benchmark", description=__doc__)
    parser.add_argument("--tokens", type=int, default=1 << 24, help="tokens of text (default: %(default)s)")
    parser.add_argument("--batch_sizes", type=int, nargs="+", default=[8, 64], help="windows in a batch")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        write(pathlib.Path(folder), options.tokens)
        for batch_size in options.batch_sizes:
            passes = [
                tokens_per_second(
                    open_data(folder, sequence_length=SEQUENCE_LENGTH, vocab_size=VOCAB_SIZE, split_sizes={}),
                    batch_size=batch_size,
                )
                for _ in range(_PASSES)
            ]
            first, again = (max(rates) for rates in zip(*passes, strict=True))
            rates = f"{first / 1e6:,.0f} million tokens/s with blocks to verify, {again / 1e6:,.0f} again"
            print(f"batch size {batch_size}: {rates}")


if __name__ == "__main__":
    main()
