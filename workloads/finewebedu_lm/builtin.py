"""The built-in stand-in for FineWeb-Edu: documents in an invented language of known entropy; see `toy_grammar`."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import UInt16

from algoperf_jax.workload import Budget, Facts, Goal
from workloads.finewebedu_lm import toy_grammar
from workloads.finewebedu_lm.toy_grammar import ToyLanguage

VERSION = "1"
"""Changes whenever the documents change."""
SPLITS = ("train", "validation")
DOCUMENTS_PER_BLOCK = 256
_SEED = 20_261_128
"""Fixed: every run reads the same documents, whatever its own seed."""

FACTS = Facts(
    goal=Goal(metric="ppl", direction="minimize", validation=80.0),
    budget=Budget(max_runtime_sec=3_600, eval_period_sec=300, step_hint=4_000),
    batch_size=32,
    eval_batch_size=32,
    split_sizes={"train": 16_384, "eval_train": 256, "validation": 256},
)
SMALL_FACTS = Facts(
    goal=Goal(metric="ppl", direction="minimize", validation=30.0),
    budget=Budget(max_runtime_sec=300, eval_period_sec=10, step_hint=700),
    batch_size=32,
    eval_batch_size=64,
    split_sizes={"train": 32_768, "eval_train": 512, "validation": 512},
)


@dataclasses.dataclass(frozen=True)
class ToyText:
    """Generated text, cut into windows.

    Attributes:
      vocab_size: number of token ids.
      sequence_length: tokens that a window predicts; it has one more.
      split_sizes: number of windows of each of `SPLITS`.
    """

    vocab_size: int
    sequence_length: int
    split_sizes: Mapping[str, int]

    def describe(self) -> dict[str, Any]:
        """Facts for the log of a run, with the lowest possible perplexity."""
        lowest = float(np.exp(ToyLanguage(self.vocab_size).entropy))
        return {
            "version": VERSION,
            "split_sizes": dict(self.split_sizes),
            "vocab_size": self.vocab_size,
            "lowest_ppl": lowest,
        }

    def columns(self, split: str) -> dict[str, np.ndarray]:
        """The column `windows`, uint16 [windows, sequence_length + 1], the same at every call."""
        shape = self.split_sizes[split], self.sequence_length + 1
        return {"windows": stream(ToyLanguage(self.vocab_size), split, shape[0] * shape[1]).reshape(shape)}


def stream(language: ToyLanguage, split: str, count: int) -> UInt16[np.ndarray, " count"]:
    """The first `count` tokens of the endless stream of a split's documents."""
    blocks, missing = [], count
    while missing > 0:
        blocks.append(block(language, split, len(blocks)))
        missing -= len(blocks[-1])
    return np.concatenate(blocks)[:count]


def block(language: ToyLanguage, split: str, number: int) -> UInt16[np.ndarray, " tokens"]:
    """The tokens of `DOCUMENTS_PER_BLOCK` documents: block `number` of a split."""
    key = [_SEED, (int(VERSION) << 32) + SPLITS.index(split)]
    rng = np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, number]))
    return toy_grammar.documents(language, rng, DOCUMENTS_PER_BLOCK)
