"""Greedy decoding against the reference's numbers, without the reference's defect."""

import jax
import numpy as np

from tests import golden_support
from workloads.speech.decoding import greedy_decode


def test_reference_numbers() -> None:
    numbers = golden_support.numbers("librispeech_greedy")
    ids = greedy_decode(numbers["logits"], numbers["logit_paddings"])
    assert ids.dtype == np.int32
    np.testing.assert_array_equal(ids, numbers["ids"])
    np.testing.assert_array_equal(ids == 0, numbers["paddings"])


def test_an_empty_first_row_stays_empty() -> None:
    """In the reference it gets the first token of the next row that has any."""
    numbers = golden_support.numbers("librispeech_greedy")
    logits = numbers["logits"].copy()
    logits[0] = 0
    logits[0, :, 0] = 1
    ids = greedy_decode(logits, numbers["logit_paddings"])
    assert not ids[0].any()
    np.testing.assert_array_equal(ids[1:], numbers["row0_all_blank/ids"][1:])


def test_a_blank_separates_equal_tokens_and_padding_ends_them() -> None:
    best = [3, 3, 0, 3, 2, 2, 0, 0, 1, 1]
    logits = jax.nn.one_hot(np.asarray([best, best]), 4)
    paddings = np.zeros((2, 10))
    paddings[1, 5:] = 1
    np.testing.assert_array_equal(greedy_decode(logits, paddings)[:, :5], [[3, 3, 2, 1, 0], [3, 3, 2, 0, 0]])
