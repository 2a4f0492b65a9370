"""Translations of real models against reference numbers, and of the fast search against the plain one."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import pytest

from tests.workloads.wmt import golden_model
from workloads.wmt.architecture import row_lengths
from workloads.wmt.incremental import Decoder
from workloads.wmt.translation import best_tokens, plain_search, search, translate
from workloads.wmt.translation_benchmark import sorted_batches


@functools.cache
def model(kind: str) -> tuple[Decoder, Any, Mapping[str, np.ndarray]]:
    loaded = golden_model.load(kind)
    return Decoder(loaded.architecture), loaded.params, loaded.golden


@pytest.mark.parametrize("kind", golden_model.KINDS)
def test_reference_translations(kind: str) -> None:
    decoder, params, golden = model(kind)
    length = int(golden["max_decode_len"])
    plain = jax.jit(lambda inputs: plain_search(decoder, params, inputs, max_length=length))(golden["inputs"])
    np.testing.assert_array_equal(best_tokens(plain)[:, :-1], golden["decoded"])
    np.testing.assert_array_equal(plain.tokens, golden["sequences"])
    np.testing.assert_allclose(plain.scores, golden["scores"], rtol=1e-5)
    fast = jax.jit(lambda inputs: translate(decoder, params, inputs, max_length=length))(golden["inputs"])
    np.testing.assert_array_equal(fast[:, :-1], golden["decoded"])


def random_sentences(count: int, longest: int, vocab_size: int) -> list[list[int]]:
    rng = np.random.default_rng(0)
    return [[*rng.integers(3, vocab_size, rng.integers(1, longest)).tolist(), 2] for _ in range(count)]


def test_sorted_batches_give_the_translations_of_the_plain_search() -> None:
    decoder, params, _ = model("pre_ln")
    size = decoder.architecture.size
    sentences = random_sentences(14, 40, size.vocab_size)
    rows = np.zeros((len(sentences), size.max_length), np.int32)
    for row, sentence in zip(rows, sentences, strict=True):
        row[: len(sentence)] = sentence
    plain = jax.jit(lambda inputs: plain_search(decoder, params, inputs))(rows)
    found, steps = np.zeros_like(rows), []
    fast = jax.jit(lambda inputs: search(decoder, params, inputs))
    for members, inputs in sorted_batches(sentences, 4, size.max_length):
        batch = fast(inputs)
        found[members] = best_tokens(batch)[: len(members)]
        steps.append(int(batch.steps))
    np.testing.assert_array_equal(found, best_tokens(plain))
    assert min(steps) < int(plain.steps)


def test_rows_have_no_more_than_the_greatest_length() -> None:
    assert row_lengths(256) == (32, 64, 128, 256)
    assert row_lengths(64) == (32, 64)
    assert row_lengths(20) == (20,)
