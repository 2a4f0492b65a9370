"""Translations by beam search, at a fraction of the cost of a plain implementation.

What makes it fast:

- Sources are padded to a few lengths. The cache grows with the search through the same lengths.
- Keys and values of the source are computed once, and the beams of a sentence share them.
- The search ends as soon as the best beam is final. Rows of padding do not keep it going.
- Evaluation batches hold sentences of similar length, so they end together (`data.evaluation_split`).
"""

import jax
import jax.numpy as jnp

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


def _resized(cache: Cache, length: int) -> Cache:
    """With places for so many tokens; places are along axis 2."""
    return jax.tree.map(lambda leaf: jnp.pad(leaf, ((0, 0), (0, 0), (0, length - leaf.shape[2]), (0, 0))), cache)
