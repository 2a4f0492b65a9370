"""BLEU against reference numbers, and what is text of a row of tokens."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests import golden_support
from workloads.wmt.bleu import corpus_bleu, texts, until_end

GOLDEN: dict[str, Any] = golden_support.listing("wmt_bleu")


@pytest.mark.parametrize(
    ("case", "score"), [("default", 52.79451), ("first4", 74.16327), ("pair4_exact", 100.0), ("short", 0.0)]
)
def test_reference_bleu(case: str, score: float) -> None:
    """Both the reference's own code and `sacrebleu` gave these numbers; `short` has no sequence of four words."""
    rows = slice(*GOLDEN.get(f"rows_{case}", (None,)))
    found = corpus_bleu(GOLDEN["hypotheses"][rows], GOLDEN["references"][rows])
    for name in ("upstream_default_exp_13a" if case == "default" else f"upstream_{case}", f"sacrebleu_{case}"):
        assert found == pytest.approx(GOLDEN[name]["score"], abs=1e-9)
    assert found == pytest.approx(score, abs=1e-4)


def test_bleu_of_nothing_is_not_a_number() -> None:
    assert np.isnan(corpus_bleu([], []))


def test_tokens_after_the_end_are_no_text() -> None:
    np.testing.assert_array_equal(until_end(np.array([7, 0, 2, 9, 2, 0])), [7, 0, 2])
    np.testing.assert_array_equal(until_end(np.array([2, 7, 2])), [2])


def test_a_translation_without_an_end_keeps_its_first_token() -> None:
    np.testing.assert_array_equal(until_end(np.array([7, 8, 9])), [7])


def test_detokenizers_get_plain_numbers() -> None:
    given: list[Sequence[int]] = []

    def detokenize(ids: Sequence[int]) -> str:
        given.append(ids)
        return " ".join(map(str, ids))

    assert texts(np.array([[5, 2, 0], [6, 7, 8]], np.int32), detokenize) == ["5 2", "6"]
    assert all(type(one) is int for ids in given for one in ids)
