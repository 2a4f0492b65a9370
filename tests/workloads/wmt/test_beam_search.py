"""Beam search against reference numbers and a plain version, its stop rule, and what a caller may change about it."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import golden_support
from tests.workloads.wmt.table_model import BEAMS, EOS, decode_step, random_table, search
from workloads.wmt.beam_search import Found, Stages, _best_continuations, beam_search


@functools.partial(jax.jit, static_argnames=("max_length", "settled"))
def found(table: jax.Array, max_length: int, settled: int | None = None, counts: Any = None) -> Found:
    sentences = len(table)
    return beam_search(
        decode_step(table), jnp.arange(sentences), sentences, max_length=max_length, settled=settled, counts=counts
    )


@pytest.mark.parametrize("case", ["a", "long", "never_eos", "fast_eos"])
def test_reference_beams_of_a_table(case: str) -> None:
    golden = golden_support.numbers("wmt_beam_search_table")
    table, length = golden[f"{case}/logit_table"], int(golden[f"{case}/max_decode_len"])
    assert (golden["beam_size"], golden["eos_id"]) == (BEAMS, EOS)
    ours = found(table, length)
    # Scores are float32 sums of up to 24 terms; unoccupied beams have the filler, to which any log probability may add.
    np.testing.assert_allclose(ours.scores, golden[f"{case}/scores"], rtol=2e-6)
    np.testing.assert_array_equal(ours.tokens[:, -1], golden[f"{case}/sequences"][:, -1])


@pytest.mark.parametrize("seed", range(4))
def test_beams_and_steps_are_those_of_a_plain_search(seed: int) -> None:
    tables = random_table(seed, sentences=3, vocab_size=11, eos=1.0)
    ours = found(tables, 14)
    plain = [search(table, 14) for table in tables]
    for sentence, (beams, scores, _) in enumerate(plain):
        np.testing.assert_array_equal(ours.tokens[sentence, -len(beams) :], beams)
        np.testing.assert_allclose(ours.scores[sentence, -len(beams) :], scores, rtol=1e-5)
    assert int(ours.steps) == max(steps for *_, steps in plain)


@pytest.mark.parametrize("eos", [2.0, 3.0, 4.0])
def test_the_best_beam_alone_is_found_in_fewer_steps(eos: float) -> None:
    tables = random_table(7, sentences=6, vocab_size=12, eos=eos)
    whole, best = found(tables, 40), found(tables, 40, settled=1)
    np.testing.assert_array_equal(best.tokens[:, -1], whole.tokens[:, -1])
    np.testing.assert_array_equal(best.scores[:, -1], whole.scores[:, -1])
    assert int(best.steps) < int(whole.steps)


def test_a_sentence_does_not_depend_on_the_others() -> None:
    tables = random_table(3, sentences=4, vocab_size=12, eos=1.5)
    together = found(tables, 20)
    for sentence in range(4):
        alone = found(tables[sentence : sentence + 1], 20)
        np.testing.assert_array_equal(alone.tokens[0], together.tokens[sentence])
        np.testing.assert_array_equal(alone.scores[0], together.scores[sentence])
        assert int(alone.steps) <= int(together.steps)


def test_the_search_does_not_go_on_for_sentences_that_do_not_count() -> None:
    ending = random_table(0, sentences=2, vocab_size=9, eos=6.0)
    endless = random_table(1, sentences=1, vocab_size=9, eos=-1e4)
    both = found(np.concatenate([ending, endless]), 30, counts=np.array([True, True, False]))
    assert int(both.steps) == int(found(ending, 30).steps) < 29
    np.testing.assert_array_equal(both.tokens[:2], found(ending, 30).tokens)


def test_the_search_ends_at_once_where_nothing_is_a_number() -> None:
    assert int(found(np.full((2, 9, 9), np.nan, np.float32), 30).steps) == 1


def test_live_beams_are_returned_with_plain_log_probabilities_where_none_ends() -> None:
    table = np.zeros((1, 9, 9), np.float32)
    table[:, :, EOS] = -1e9
    table[:, :, 5] = 1.0
    ours = found(table, 6)
    np.testing.assert_array_equal(ours.tokens[0, -1], [0, 5, 5, 5, 5, 5])
    each = 1.0 - np.log(np.e + 7.0)
    np.testing.assert_allclose(ours.scores[0, -1], 5 * each, rtol=1e-6)


@pytest.mark.parametrize("lengths", [(13,), (4, 8, 16), (1, 2, 13)])
def test_a_growing_cache_finds_the_same_beams(lengths: tuple[int, ...]) -> None:
    """The model adds up the table's rows of all tokens so far, so that the cache matters, and its order of beams."""
    sentences, vocab_size, length = 3, 11, 14
    table = jnp.asarray(random_table(5, sentences=sentences, vocab_size=vocab_size, spread=1.0))

    def step(cache: Any, tokens: jax.Array, position: jax.Array) -> tuple[jax.Array, Any]:
        kept = cache["tokens"].at[:, position].set(tokens)
        past = jnp.arange(kept.shape[1]) <= position
        logits = (table[cache["sentence"][:, None], kept] * past[None, :, None]).sum(1)
        return logits, cache | {"tokens": kept}

    def resize(cache: Any, size: int) -> Any:
        return cache | {"tokens": jnp.pad(cache["tokens"], ((0, 0), (0, size - cache["tokens"].shape[1])))}

    def run(size: int, stages: Stages | None) -> Found:
        cache = {"tokens": jnp.zeros((sentences, size), jnp.int32), "sentence": jnp.arange(sentences)}
        return jax.jit(lambda: beam_search(step, cache, sentences, max_length=length, stages=stages))()

    whole, grown = run(length, None), run(lengths[0], Stages(lengths, resize))
    np.testing.assert_array_equal(grown.tokens, whole.tokens)
    np.testing.assert_allclose(grown.scores, whole.scores, rtol=1e-6)
    assert int(grown.steps) == int(whole.steps) > 4


def test_beams_stay_on_the_devices_of_their_sentences() -> None:
    """A batch shared out over devices finds what it finds on one, and no cache is sent from device to device."""
    tables = random_table(2, sentences=8, vocab_size=12, eos=1.0)
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:8]), ("data",))
    rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))

    def step(cache: Any, tokens: jax.Array, position: jax.Array) -> Any:
        return jnp.take_along_axis(cache, tokens[:, None, None], axis=1)[:, 0] + 0 * position, cache

    searched = jax.jit(lambda cache: beam_search(step, cache, 8, max_length=16), in_shardings=rows, out_shardings=None)
    compiled = searched.lower(tables).compile()
    shared_out = compiled(jax.device_put(tables, rows))
    np.testing.assert_array_equal(shared_out.tokens, found(tables, 16).tokens)
    program = str(compiled.as_text())
    assert "while" in program
    assert "all-gather" not in program


@pytest.mark.parametrize("vocab_size", [32, 300, 4096])
def test_continuations_are_those_of_one_sort_and_equal_ones_keep_their_order(vocab_size: int) -> None:
    values = np.random.default_rng(0).integers(-12, 0, (3, BEAMS, vocab_size)).astype(np.float32)
    best, beams, tokens = jax.jit(_best_continuations, static_argnums=1)(values, 8)
    flat = values.reshape(3, -1)
    places = np.argsort(-flat, axis=1, kind="stable")[:, :8]
    np.testing.assert_array_equal(beams * vocab_size + tokens, places)
    np.testing.assert_array_equal(best, np.take_along_axis(flat, places, axis=1))
