"""Word error rates against the reference's counts, and where libraries disagree."""

import math
from typing import Any

import numpy as np
import pytest

from tests import golden_support
from workloads.speech.wer import printed_tensor, published_word_error_rate, word_error_rate

CASES: dict[str, Any] = golden_support.listing("librispeech_wer")
HYPOTHESES = [row["hypothesis"] for row in CASES["rows"]]
REFERENCES = [row["reference"] for row in CASES["rows"]]


@pytest.mark.parametrize("index", range(len(REFERENCES)))
def test_each_utterance_has_the_errors_of_the_reference(index: int) -> None:
    row = CASES["rows"][index]
    pair = [row["hypothesis"]], [row["reference"]]
    assert word_error_rate(*pair) == row["plain_word_errors"] / row["plain_num_words"]
    assert published_word_error_rate(*pair) == row["upstream_word_errors"] / row["upstream_num_words"]
    printed = [printed_tensor(row["hypothesis"]), printed_tensor(row["reference"])]
    assert printed == row["string_compared"]
    assert len(printed[1].split()) == row["upstream_num_words"]


def test_a_split_has_the_errors_of_all_its_words() -> None:
    """Not the mean over utterances; without the rows of padding that the reference counts."""
    assert word_error_rate(HYPOTHESES, REFERENCES) == CASES["plain_total"]["wer"]
    assert published_word_error_rate(HYPOTHESES, REFERENCES) == CASES["upstream_total"]["wer"]


@pytest.mark.parametrize("case", CASES["edit_distance"])
def test_edit_distances(case: dict[str, Any]) -> None:
    for one, other in ((case["a"], case["b"]), (case["b"], case["a"])):
        found, num_words = word_error_rate([one], [other]), len(other.split())
        assert math.isnan(found) if num_words == 0 else found == case["distance"] / num_words


def distance(one: list[str], other: list[str]) -> int:
    """The table of Wagner and Fischer (1974)."""
    table = np.add.outer(np.arange(len(one) + 1), np.arange(len(other) + 1))
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            table[i + 1, j + 1] = min(table[i, j] + (a != b), table[i, j + 1] + 1, table[i + 1, j] + 1)
    return int(table[-1, -1])


def test_distances_of_random_texts() -> None:
    """Some of more than 64 words, where libraries change their algorithm."""
    rng = np.random.default_rng(0)
    texts = [[f"W{word}" for word in rng.integers(0, 5, length)] for length in (0, 1, 3, 20, 63, 64, 65, 130) * 2]
    for one, other in zip(texts, reversed(texts), strict=True):
        if other:
            assert word_error_rate([" ".join(one)], [" ".join(other)]) == distance(one, other) / len(other)


def test_words_are_split_at_any_white_space() -> None:
    assert word_error_rate(["a\tb  c"], [" a b\nc "]) == 0


def test_what_is_said_where_nothing_should_be_counts() -> None:
    assert word_error_rate(["a b", "c d"], ["", "c d"]) == 1.0
    # The two words beside an empty text count as words; both other words are wrong, and one more is missing.
    assert published_word_error_rate(["a b"], [""]) == 2 / 3


def test_an_apostrophe_that_is_missing_changes_the_first_and_the_last_word() -> None:
    assert word_error_rate(["IT S LATE NOW"], ["IT'S LATE NOW"]) == 2 / 3
    assert published_word_error_rate(["IT S LATE NOW"], ["IT'S LATE NOW"]) == 3 / 5


def test_nothing_to_compare_has_no_rate() -> None:
    assert math.isnan(word_error_rate([], []))


def test_every_hypothesis_needs_a_reference() -> None:
    with pytest.raises(ValueError):
        word_error_rate(["a"], ["a", "b"])
