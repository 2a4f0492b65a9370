"""Beam search with a length penalty (Wu et al. 2016, https://arxiv.org/abs/1609.08144, section 7), for any model.

Each step takes the best `2 * beam_size` continuations of the live beams of a sentence. Those that end compete with the
finished beams; the best `beam_size` of the others stay live. A finished beam of `t` tokens, its last one included,
scores `log_probability / ((5 + t) / 6) ** alpha`.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

BEAM_SIZE = 4
ALPHA = 0.6

_IMPOSSIBLE = -1.0e7
"""What is added to a log probability that must not win."""
Cache = Any
"""A tree of arrays with a leading axis of sentences, or of beams: what the model keeps of the tokens so far."""
DecodeStep = Callable[[Cache, jax.Array, jax.Array], tuple[jax.Array, Cache]]
"""`(cache, tokens [N], position) -> (logits [N, V], cache)`: the next token's logits after tokens at a position."""


class Stages(NamedTuple):
    """A cache that grows with the search, so that early steps do not work on the empty places of a full one.

    Attributes:
      lengths: how many tokens the cache can hold, in ascending order.
      resize: `(cache, length) -> cache`, with room for so many tokens.
    """

    lengths: Sequence[int]
    resize: Callable[[Cache, int], Cache]


class Found(NamedTuple):
    """What a search has found.

    Attributes:
      tokens: int32 [B, beams, L], the start token first, the best beam last; 0 after the end.
      scores: float32 [B, beams], ascending. Log probabilities without penalty where no beam of a sentence has ended:
        its live beams are returned.
      steps: how many steps the search took; int32.
    """

    tokens: jax.Array
    scores: jax.Array
    steps: jax.Array


class _State(NamedTuple):
    position: jax.Array
    live_tokens: jax.Array
    live_log_probabilities: jax.Array
    finished_tokens: jax.Array
    finished_scores: jax.Array
    is_finished: jax.Array
    cache: Cache


def beam_search(
    decode_step: DecodeStep,
    cache: Cache,
    batch_size: int,
    *,
    max_length: int,
    beam_size: int = BEAM_SIZE,
    alpha: float = ALPHA,
    eos_id: int = 2,
    start_id: int = 0,
    settled: int | None = None,
    counts: jax.Array | None = None,
    stages: Stages | None = None,
) -> Found:
    """The most likely continuations of each sentence of a batch, as AlgoPerf's reference finds them.

    The search ends when the beams are full, or when every sentence has all its finished beams and the worst of them
    beats what its best live beam could still reach. What a sentence finds does not depend on the others.

    With `settled`, fewer of the finished beams must be out of reach, so the search ends earlier. These beams are
    exactly those of the full search: the log probability of a live beam only falls, and no score is better than with
    the penalty of the greatest length, so nothing can overtake them. The other beams may differ.

    Args:
      decode_step: the model. It sees the beams as rows, `batch_size * beam_size` of them, those of a sentence in line.
      cache: what the model knows before the first token, with an axis [batch_size] first; each beam gets a copy. What
        the beams of a sentence share belongs into `decode_step`, where it is not moved from beam to beam.
      batch_size: number of sentences.
      max_length: number of tokens of a beam, the start token included.
      beam_size: number of beams of a sentence.
      alpha: strength of the length penalty.
      eos_id: the token that ends a sentence.
      start_id: the token that begins one.
      settled: how many of the best finished beams must be final; None for all.
      counts: bool [B], the sentences that keep the search going. None for all.
      stages: how the cache grows, if it does; the last length is at least `max_length - 1`.
    """
    settled = beam_size if settled is None else settled
    longest_penalty = _length_penalty(max_length, alpha)
    merge, split = _merge_axes(batch_size, beam_size), _split_axes(batch_size, beam_size)

    def is_settled(state: _State) -> jax.Array:
        reachable = state.live_log_probabilities[:, -1:] / longest_penalty
        best = slice(beam_size - settled, None)
        worst = state.finished_scores[:, beam_size - settled, None]
        # Also where nothing is a number, as after a training that diverged.
        return ~jnp.any(reachable >= jnp.where(state.is_finished[:, best], worst, _IMPOSSIBLE), axis=1)

    def goes_on(state: _State) -> jax.Array:
        open_sentences = ~is_settled(state)
        if counts is not None:
            open_sentences &= counts
        return (state.position < max_length - 1) & jnp.any(open_sentences)

    def step(state: _State) -> _State:
        position = state.position
        tokens = jax.lax.dynamic_index_in_dim(state.live_tokens, position, axis=2, keepdims=False)
        logits, cache = decode_step(jax.tree.map(merge, state.cache), merge(tokens), position)
        log_probabilities = split(jax.nn.log_softmax(logits)) + state.live_log_probabilities[..., None]
        best, beams, tokens = _best_continuations(log_probabilities, 2 * beam_size)
        sequences = _of_beams(state.live_tokens, beams)
        sequences = jax.lax.dynamic_update_index_in_dim(sequences, tokens, position + 1, axis=2)
        ends = tokens == eos_id

        live_log_probabilities, kept = _top(best + ends * _IMPOSSIBLE, beam_size)
        live_beams = _of_beams(beams, kept)

        scores = best / _length_penalty(position + 1, alpha) + ~ends * _IMPOSSIBLE
        finished_scores, chosen = _top(jnp.concatenate([state.finished_scores, scores], axis=1), beam_size)
        return _State(
            position=position + 1,
            live_tokens=_of_beams(sequences, kept),
            live_log_probabilities=live_log_probabilities,
            finished_tokens=_of_beams(jnp.concatenate([state.finished_tokens, sequences], axis=1), chosen),
            finished_scores=finished_scores,
            is_finished=_of_beams(jnp.concatenate([state.is_finished, ends], axis=1), chosen),
            cache=jax.tree.map(lambda leaf: _of_beams(split(leaf), live_beams), cache),
        )

    shape = (batch_size, beam_size)
    state = _State(
        position=jnp.int32(0),
        live_tokens=jnp.zeros((*shape, max_length), jnp.int32).at[..., 0].set(start_id),
        # The beams are equal at first: only one of them counts.
        live_log_probabilities=jnp.full(shape, _IMPOSSIBLE).at[:, 0].set(0.0),
        finished_tokens=jnp.zeros((*shape, max_length), jnp.int32),
        finished_scores=jnp.full(shape, _IMPOSSIBLE),
        is_finished=jnp.zeros(shape, bool),
        cache=jax.tree.map(lambda leaf: jnp.repeat(leaf[:, None], beam_size, axis=1), cache),
    )
    if stages is None:
        state = jax.lax.while_loop(goes_on, step, state)
    else:
        for length in stages.lengths:
            grown = jax.tree.map(split, stages.resize(jax.tree.map(merge, state.cache), length))
            state = jax.lax.while_loop(
                lambda state, length=length: goes_on(state) & (state.position < length),
                step,
                state._replace(cache=grown),
            )
    any_finished = state.is_finished.any(axis=1)
    return Found(
        tokens=jnp.where(any_finished[:, None, None], state.finished_tokens, state.live_tokens),
        scores=jnp.where(any_finished[:, None], state.finished_scores, state.live_log_probabilities),
        steps=state.position,
    )


def _length_penalty(length: jax.Array | int, alpha: float) -> jax.Array:
    return jnp.power((5.0 + length) / 6.0, alpha)


def _top(values: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
    """The largest values of each row in ascending order, and where they are: [B, N] -> two of [B, count]."""
    values, places = _largest(values, count)
    return values[:, ::-1], places[:, ::-1]


def _best_continuations(log_probabilities: jax.Array, count: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The best continuations [B, count] in descending order, the beams that they continue, and their tokens.

    Where values of [B, beams, V] are equal, the lower beam comes first, then the lower token.

    The values are cut into chunks. All that is sought is in the `count` chunks whose largest values are the largest.
    """
    batch_size, _, vocab_size = log_probabilities.shape
    flat = log_probabilities.reshape(batch_size, -1)
    # As many chunks as there are values in the chosen ones, about.
    size = 2 ** round(math.log2(flat.shape[1] / count) / 2)
    missing = -flat.shape[1] % size
    chunks = jnp.pad(flat, ((0, 0), (0, missing)), constant_values=-jnp.inf).reshape(batch_size, -1, size)
    _, chosen = _largest(chunks.max(axis=2), min(count, chunks.shape[1]))
    chosen = jnp.sort(chosen, axis=1)
    best, places = _largest(_of_beams(chunks, chosen).reshape(batch_size, -1), count)
    places = jnp.take_along_axis(chosen, places // size, axis=1) * size + places % size
    return best, places // vocab_size, places % vocab_size


def _largest(values: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
    """`jax.lax.top_k` of [B, N], one value after another.

    Of a batch that is divided over devices, `top_k` would send all values to each of them
    (findings/jax_top_k_gathers.sh).
    """
    places = jax.lax.broadcasted_iota(jnp.int32, values.shape, 1)
    found = []
    for _ in range(count):
        place = jnp.argmax(values, axis=1, keepdims=True).astype(jnp.int32)
        found.append((jnp.take_along_axis(values, place, axis=1), place))
        values = jnp.where(places == place, -jnp.inf, values)
    largest, at = zip(*found, strict=True)
    return jnp.concatenate(largest, axis=1), jnp.concatenate(at, axis=1)


def _of_beams(leaf: jax.Array, beams: jax.Array) -> jax.Array:
    """Those beams of each sentence: [B, N, ...] and [B, M] -> [B, M, ...]."""
    return jax.vmap(lambda of_sentence, chosen: of_sentence[chosen])(leaf, beams)


def _merge_axes(batch_size: int, beam_size: int) -> Callable[[jax.Array], jax.Array]:
    return lambda leaf: leaf.reshape(batch_size * beam_size, *leaf.shape[2:])


def _split_axes(batch_size: int, beam_size: int) -> Callable[[jax.Array], jax.Array]:
    return lambda leaf: leaf.reshape(batch_size, beam_size, *leaf.shape[1:])
