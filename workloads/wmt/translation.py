"""Translations by beam search, at a fraction of the cost of a plain implementation.

What makes it fast:

- Sources are padded to a few lengths. The cache grows with the search through the same lengths.
- Keys and values of the source are computed once, and the beams of a sentence share them.
- The search ends as soon as the best beam is final. Rows of padding do not keep it going.
- Sentences of similar length are translated together, so they end together (`sorted_batches`).
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from algoperf_jax.workload import Parameters
from workloads.wmt.architecture import row_lengths
from workloads.wmt.beam_search import Found, Stages, beam_search
from workloads.wmt.incremental import Cache, Decoder


def translate(decoder: Decoder, params: Parameters, inputs: jax.Array, *, max_length: int | None = None) -> jax.Array:
    """The best translation of each sentence.

    Args:
      decoder: the model.
      params: its parameters.
      inputs: token ids, one sentence to a row, padded with 0, [B, N]. Rows without any token are no sentences.
      max_length: of a translation, the start token included; None for that of the model.

    Returns:
      Token ids, int32 [B, max_length]: those of a translation, EOS, then 0. One that is cut off has no EOS.
    """
    return best_tokens(search(decoder, params, inputs, max_length=max_length))


def search(decoder: Decoder, params: Parameters, inputs: jax.Array, *, max_length: int | None = None) -> Found:
    """The search behind `translate`: its best beam is that of `plain_search`, its other beams may differ."""
    max_length = max_length or decoder.architecture.size.max_length
    lengths = row_lengths(max_length)
    source = decoder.read_source(params, inputs)
    return beam_search(
        lambda cache, tokens, position: decoder.step(params, source, cache, tokens, position),
        decoder.start_cache(params, len(inputs), lengths[0]),
        len(inputs),
        max_length=max_length,
        settled=1,
        counts=source.is_token.any(axis=1),
        stages=Stages(lengths, _resized),
    )


def plain_search(decoder: Decoder, params: Parameters, inputs: jax.Array, *, max_length: int | None = None) -> Found:
    """The search as the benchmark describes it, for comparison: full length everywhere, until all beams are final."""
    longest_row = decoder.architecture.size.max_length
    max_length = max_length or longest_row
    source = decoder.read_source(params, jnp.pad(inputs, ((0, 0), (0, longest_row - inputs.shape[1]))))
    return beam_search(
        lambda cache, tokens, position: decoder.step(params, source, cache, tokens, position),
        decoder.start_cache(params, len(inputs), longest_row),
        len(inputs),
        max_length=max_length,
    )


def best_tokens(found: Found) -> jax.Array:
    """The best beam of each sentence without its start token, and a 0 in the end that keeps its length: [B, L]."""
    return jnp.pad(found.tokens[:, -1, 1:], ((0, 0), (0, 1)))


def sorted_batches(
    sentences: Sequence[Sequence[int]], batch_size: int, max_length: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Sentences of similar length together, the longest ones first, so that lack of memory shows at once.

    Returns:
      For each batch which sentences are in it, [n], and their tokens, int32 [batch_size, one of `row_lengths`], padded
      with 0. Only the last batch may have less than `batch_size` of them.
    """
    order = np.argsort([-len(sentence) for sentence in sentences], kind="stable")
    batches = []
    for start in range(0, len(order), batch_size):
        members = order[start : start + batch_size]
        longest = max(len(sentences[member]) for member in members)
        length = next(length for length in row_lengths(max_length) if length >= longest)
        rows = np.zeros((batch_size, length), np.int32)
        for row, member in enumerate(members):
            rows[row, : len(sentences[member])] = sentences[member]
        batches.append((members, rows))
    return batches


def _resized(cache: Cache, length: int) -> Cache:
    """With places for so many tokens; places are along axis 2."""
    return jax.tree.map(lambda leaf: jnp.pad(leaf, ((0, 0), (0, 0), (0, length - leaf.shape[2]), (0, 0))), cache)
