"""How fast sentences are translated.

    python -m workloads.wmt.translation_benchmark --size=full --count=64 --batch_size=16

Times two ways to the same translations in one run: the search of `translation.py` over sorted sentences, and the plain
one over sentences in their own order, every row of full length. Compilation is not counted.

Sentences are random tokens whose number is distributed like that of German newstest sentences. Parameters are those of
an untrained model; what the model makes of them is changed so that it ends like a trained one (`EndingDecoder`).
"""

import argparse
import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from algoperf_jax.data.sequences import Sequences
from algoperf_jax.workload import Parameters, Placement
from workloads.sentence_pieces import END_ID
from workloads.wmt.architecture import FULL, SMALL, Architecture, Size
from workloads.wmt.beam_search import Found
from workloads.wmt.data import evaluation_split
from workloads.wmt.incremental import Cache, Decoder, Source
from workloads.wmt.model import Transformer
from workloads.wmt.translation import best_tokens, plain_search, search

SIZES = {"full": FULL, "small": SMALL}
MEAN_TOKENS, DEVIATION = 30.0, 17.0
"""Of a sentence of newstest2013 in German: 21 words, and one and a half pieces to a word."""
_SHARPNESS = 8.0
"""Multiplies logits, whose standard deviation is 1 before training: the best of 32,000 tokens then has a probability of
about a half.
"""


@dataclasses.dataclass(frozen=True)
class EndingDecoder(Decoder):
    """Translations that are about as long as their source: the odds of the end grow by e with each token."""

    def step(
        self, params: Parameters, source: Source, cache: Cache, tokens: jax.Array, position: Any
    ) -> tuple[jax.Array, Cache]:
        """As of `Decoder`, with sharper logits and another one of the end."""
        logits, cache = super().step(params, source, cache, tokens, position)
        logits = _SHARPNESS * logits
        lengths = source.is_token.sum(axis=1)
        late = position - jnp.repeat(lengths, len(tokens) // len(lengths))
        return logits.at[:, END_ID].set(logits.max(axis=1) + late), cache


def random_sentences(count: int, size: Size, seed: int = 0) -> list[list[int]]:
    """Token ids of sentences, EOS last; their lengths have a log-normal distribution."""
    rng = np.random.default_rng(seed)
    scale = size.max_length / FULL.max_length
    variance = np.log1p((DEVIATION / MEAN_TOKENS) ** 2)
    lengths = rng.lognormal(np.log(MEAN_TOKENS * scale) - variance / 2, np.sqrt(variance), count)
    # Translations may be longer than their source, and must not be cut off.
    lengths = np.clip(np.rint(lengths), 2, size.max_length * 3 // 4).astype(int)
    return [[*rng.integers(3, size.vocab_size, length - 1).tolist(), END_ID] for length in lengths]


@dataclasses.dataclass(frozen=True)
class Timing:
    """What translating all sentences took.

    Attributes:
      seconds: of wall time, without compilation; the best of the repetitions.
      processor_seconds: of the processors, in which other work on the machine matters less; also the best.
      steps: of the search, over all batches.
      tokens: the translations, [sentences, L].
    """

    seconds: float
    processor_seconds: float
    steps: int
    tokens: np.ndarray


Batches = Sequence[tuple[np.ndarray, np.ndarray]]
"""Which sentences, [n], and rows of tokens, int32 [at least n, L]."""
Search = Callable[[Decoder, Parameters, jax.Array], Found]


class Translator:
    """Translates the same batches again and again, and keeps the times."""

    def __init__(self, searched: Search, decoder: Decoder, params: Parameters, batches: Batches) -> None:
        """Compiles the search for every shape of a batch."""
        self._params, self._batches = params, batches
        run = jax.jit(lambda params, inputs: searched(decoder, params, inputs))
        shapes = {rows.shape for _, rows in batches}
        self._compiled = {shape: run.lower(params, jax.ShapeDtypeStruct(shape, np.int32)).compile() for shape in shapes}
        self._times: list[tuple[float, float]] = []
        self._found: list[tuple[np.ndarray, np.ndarray]] = []

    def run(self) -> None:
        """Translates all batches; what was found goes to the host at the end."""
        start = time.perf_counter(), time.process_time()
        found = [self._compiled[rows.shape](self._params, rows) for _, rows in self._batches]
        self._found = jax.device_get([(best_tokens(one), one.steps) for one in found])
        self._times.append((time.perf_counter() - start[0], time.process_time() - start[1]))

    def timing(self) -> Timing:
        """The best times, and the translations."""
        tokens = np.zeros((sum(len(members) for members, _ in self._batches), self._found[0][0].shape[1]), np.int32)
        for (members, _), (rows, _) in zip(self._batches, self._found, strict=True):
            tokens[members] = rows[: len(members)]
        wall, processor = (min(seconds) for seconds in zip(*self._times, strict=True))
        return Timing(wall, processor, sum(int(steps) for _, steps in self._found), tokens)


def sorted_batches(sentences: Sequence[Sequence[int]], batch_size: int, max_length: int) -> Batches:
    """The batches that an evaluation has; each sentence's target is its number."""
    count = len(sentences)
    pairs = {
        "inputs": Sequences(np.concatenate(sentences), np.array([len(sentence) for sentence in sentences])),
        "targets": Sequences(np.arange(1, count + 1), np.ones(count, np.int64)),
    }
    chosen = np.arange(count)
    split = evaluation_split(pairs, chosen, batch_size=batch_size, max_length=max_length, placement=Placement())
    batches = [split.batch(k) for k in range(split.num_batches or 0)]
    numbers = [batch["targets"][:, 0] for batch in batches]
    return [(of_batch[of_batch > 0] - 1, batch["inputs"]) for of_batch, batch in zip(numbers, batches, strict=True)]


def batches_in_order(sentences: Sequence[Sequence[int]], batch_size: int, max_length: int) -> Batches:
    """Sentences in their own order, every row of the greatest length."""
    batches = []
    for start in range(0, len(sentences), batch_size):
        members = np.arange(start, min(start + batch_size, len(sentences)))
        rows = np.zeros((batch_size, max_length), np.int32)
        for row, sentence in zip(rows, sentences[start : start + batch_size], strict=False):
            row[: len(sentence)] = sentence
        batches.append((members, rows))
    return batches


def compare(size: Size, *, count: int, batch_size: int, repetitions: int = 1) -> tuple[Timing, Timing]:
    """The fast search and the plain one over the same sentences, by turns."""
    decoder = EndingDecoder(Architecture(size))
    example = dict.fromkeys(("inputs", "targets"), jnp.ones((1, 4), jnp.int32))
    init = jax.jit(Transformer(decoder.architecture, deterministic=True).init)
    params = init(jax.random.PRNGKey(0), example, 0.0)["params"]
    sentences = random_sentences(count, size)
    fast = Translator(search, decoder, params, sorted_batches(sentences, batch_size, size.max_length))
    plain = Translator(plain_search, decoder, params, batches_in_order(sentences, batch_size, size.max_length))
    for _ in range(repetitions):
        fast.run()
        plain.run()
    return fast.timing(), plain.timing()


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m workloads.wmt.translation_benchmark", description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="small", help="of the model (default: small)")
    parser.add_argument("--count", type=int, default=256, help="number of sentences (default: 256)")
    parser.add_argument("--batch_size", type=int, default=32, help="sentences at a time (default: 32)")
    parser.add_argument("--repetitions", type=int, default=3, help="the best of so many is shown (default: 3)")
    options = parser.parse_args(arguments)
    fast, plain = compare(
        SIZES[options.size], count=options.count, batch_size=options.batch_size, repetitions=options.repetitions
    )
    print(f"{options.count} sentences in batches of {options.batch_size}, {options.size} model, {jax.devices()[0]}")
    for name, timing in (("fast", fast), ("plain", plain)):
        print(
            f"{name:<6}{timing.seconds:9.2f} s, {timing.processor_seconds:9.2f} s of the processors"
            f"{options.count / timing.seconds:10.2f} sentences/s{timing.steps:8d} steps"
        )
    same = int((fast.tokens == plain.tokens).all(axis=1).sum())
    print(f"{plain.seconds / fast.seconds:.1f} times as fast; {same} of {options.count} translations are the same")


if __name__ == "__main__":
    main()
