"""A model that is a table, and a beam search over it in float64, written from the rules sentence by sentence."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

BEAMS = 4
EOS = 2


def decode_step(table: Any) -> Any:
    """The next token's logits are `table[sentence, token]`; the cache is the number of the sentence."""

    def step(sentences: jax.Array, tokens: jax.Array, position: jax.Array) -> tuple[jax.Array, jax.Array]:
        del position
        return jnp.asarray(table)[sentences, tokens], sentences

    return step


def random_table(seed: int, *, sentences: int, vocab_size: int, spread: float = 2.0, eos: float = 0.0) -> np.ndarray:
    table = spread * np.random.default_rng(seed).standard_normal((sentences, vocab_size, vocab_size), np.float32)
    table[:, :, EOS] += eos
    return table


def search(table: np.ndarray, max_length: int, *, alpha: float = 0.6) -> tuple[list[list[int]], list[float], int]:
    """Beams and scores of one sentence's table [V, V] in ascending order, and the number of steps."""
    logits = table.astype(np.float64)
    log_probabilities = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    live: list[tuple[float, list[int]]] = [(0.0, [0])]
    finished: list[tuple[float, list[int]]] = []
    steps = 0
    while steps < max_length - 1:
        reachable = live[0][0] / ((5 + max_length) / 6) ** alpha
        if len(finished) == BEAMS and finished[-1][0] > reachable:
            break
        steps += 1
        continued = [
            (value + added, [*tokens, token])
            for value, tokens in live
            for token, added in enumerate(log_probabilities[tokens[-1]])
        ]
        best = sorted(continued, key=lambda beam: -beam[0])[: 2 * BEAMS]
        live = [beam for beam in best if beam[1][-1] != EOS][:BEAMS]
        ended = [(value / ((5 + steps) / 6) ** alpha, tokens) for value, tokens in best if tokens[-1] == EOS]
        finished = sorted(finished + ended, key=lambda beam: -beam[0])[:BEAMS]
    beams = (finished or live)[::-1]
    padded = [tokens + [0] * (max_length - len(tokens)) for _, tokens in beams]
    return padded, [score for score, _ in beams], steps
