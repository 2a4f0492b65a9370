"""The invented language: its entropy, its grammar, and the same text in every process."""

import math
import zlib

import numpy as np
import pytest

from tests.test_documents import ROOT
from tests.workloads.finewebedu_lm.toy_predictor import Predictor
from workloads.finewebedu_lm import builtin
from workloads.finewebedu_lm.builtin import ToyText
from workloads.finewebedu_lm.toy_grammar import SENTENCES, ToyLanguage
from workloads.finewebedu_lm.workload import SIZES

SMALL, FULL = ToyLanguage(256), ToyLanguage(50_257)


def split(tokens: np.ndarray, language: ToyLanguage) -> list[np.ndarray]:
    ends = np.flatnonzero(tokens == language.end_of_text) + 1
    return np.split(tokens, ends)[:-1]


def surprise(document: np.ndarray, language: ToyLanguage) -> float:
    """Minus the logarithm of the document's chance, by the rules of the grammar."""
    reader, total = Predictor(language).document(), 0.0
    chances = next(reader)
    for position, token in enumerate(document.tolist()):
        assert chances.sum() == pytest.approx(1, abs=1e-12)
        assert chances[token] > 0, f"token {position} breaks a rule"
        total -= math.log(chances[token])
        try:
            chances = reader.send(token)
        except StopIteration:
            assert position == len(document) - 1
    return total


def test_no_prediction_is_better_than_the_entropy() -> None:
    """The best predictor's loss is the entropy, up to 4 standard errors; an error in one rule is far outside."""
    documents = split(builtin.block(SMALL, "train", 0), SMALL)
    assert len(documents) == builtin.DOCUMENTS_PER_BLOCK
    excess = np.array([surprise(document, SMALL) - SMALL.entropy * len(document) for document in documents])
    standard_error = excess.std() / np.sqrt(len(documents))
    assert abs(excess.mean()) < 4 * standard_error
    # As much as the entropy of the rarest decision, the topic that a document begins with.
    assert standard_error < np.log(SMALL.num_topics)


def test_the_length_of_documents() -> None:
    lengths = np.array([len(document) for document in split(builtin.stream(FULL, "train", 1 << 20), FULL)])
    assert lengths.mean() == pytest.approx(FULL.tokens_per_document, abs=4 * lengths.std() / np.sqrt(len(lengths)))
    assert lengths.min() < FULL.tokens_per_document / SENTENCES * 2
    assert lengths.max() > 4 * lengths.mean()


def test_the_perplexities_that_the_documents_state() -> None:
    text = (ROOT / "docs/data.md").read_text()
    for architecture in SIZES.values():
        lowest = math.exp(ToyLanguage(architecture.vocab_size).entropy)
        assert f"{lowest:.2f} " in " ".join(text.split())
        description = ToyText(architecture.vocab_size, 128, {"train": 1, "validation": 1}).describe()
        assert description["lowest_ppl"] == pytest.approx(lowest)


@pytest.mark.parametrize("vocab_size", [256, 512, 1024, 50_257])
def test_words_fill_the_vocabulary(vocab_size: int) -> None:
    language = ToyLanguage(vocab_size)
    unused = language.end_of_text - language.nouns - 2 * language.num_topics * language.num_nouns
    assert 0 <= unused < 2 * language.num_topics
    tokens = builtin.stream(language, "validation", 200_000)
    counts = np.bincount(tokens, minlength=vocab_size)
    assert len(counts) == vocab_size
    if vocab_size <= 1024:
        assert (counts == 0).sum() == unused


def test_sizes_that_cannot_be() -> None:
    for vocab_size in (255, 65_537):
        with pytest.raises(ValueError, match="tokens, not"):
            ToyLanguage(vocab_size)


def test_text_depends_on_split_and_block_alone() -> None:
    language = ToyLanguage(1024)
    blocks = {(name, number): builtin.block(language, name, number) for name in builtin.SPLITS for number in (0, 1)}
    assert {zlib.crc32(block.tobytes()) for block in blocks.values()} == CHECKSUMS
    stream = builtin.stream(language, "train", 60_000)
    np.testing.assert_array_equal(stream[:100], blocks["train", 0][:100])
    assert len(stream) > len(blocks["train", 0])
    np.testing.assert_array_equal(stream[len(blocks["train", 0]) :][:100], blocks["train", 1][:100])
    np.testing.assert_array_equal(stream[:1000], builtin.stream(language, "train", 1000))
    windows = ToyText(1024, 128, {"train": 5, "validation": 2}).columns("train")["windows"]
    np.testing.assert_array_equal(windows.reshape(-1), stream[: 5 * 129])


CHECKSUMS = {137_708_831, 597_893_760, 1_827_754_376, 2_768_746_458}
"""Change them together with `builtin.VERSION`."""
