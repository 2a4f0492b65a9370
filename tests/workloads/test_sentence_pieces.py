"""Training gives the reference's pieces, encoding its ids; bad models are named."""

import json
import os
import pathlib
from typing import Any

import pytest

from algoperf_jax.errors import DataError
from workloads import sentence_pieces
from workloads.sentence_pieces import SentencePieceTokenizer

PAIRS = [
    (f"Der {noun} sieht {count} {other} im Garten.", f"The {translated} sees {count} {seen} in the garden.")
    for noun, translated in (("Hund", "dog"), ("Vogel", "bird"), ("Mann", "man"), ("Nachbar", "neighbour"))
    for other, seen in (("Katzen", "cats"), ("Frauen", "women"), ("Blumen", "flowers"), ("Äpfel", "apples"))
    for count in ("zwei", "drei", "keine", "17")
]


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    folder = os.environ.get("ALGOPERF_GOLDEN_DIR")
    if not folder:
        pytest.skip("ALGOPERF_GOLDEN_DIR does not name the folder with wmt_tokenizer.json")
    return json.loads((pathlib.Path(folder) / "wmt_tokenizer.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def golden_tokenizer(golden: dict[str, Any]) -> SentencePieceTokenizer:
    corpus = golden["corpus"]
    pairs = list(zip(corpus[::2], corpus[1::2], strict=True))
    return SentencePieceTokenizer(sentence_pieces.train(pairs, vocab_size=golden["trainer_options"]["vocab_size"]))


def test_pieces_are_those_of_the_reference(golden: dict[str, Any], golden_tokenizer: SentencePieceTokenizer) -> None:
    processor = golden_tokenizer._processor
    assert golden_tokenizer.vocab_size == len(golden["pieces"])
    for number, piece, score in golden["pieces"]:
        assert processor.id_to_piece(number) == piece
        assert processor.get_score(number) == score


def test_encodings_are_those_of_the_reference(golden: dict[str, Any], golden_tokenizer: SentencePieceTokenizer) -> None:
    texts = [case["text"] for case in golden["encodings"]]
    for threads in (1, 3):
        assert golden_tokenizer.encode(texts, num_threads=threads) == [c["ids_with_eos"] for c in golden["encodings"]]
    for case in golden["encodings"]:
        assert golden_tokenizer.decode(case["ids_with_eos"]) == case["detokenized"]


def test_training_twice_gives_the_same_bytes() -> None:
    first, second = (sentence_pieces.train(iter(PAIRS), vocab_size=45) for _ in range(2))
    assert first == second
    assert SentencePieceTokenizer(first).vocab_size == 45


def test_text_beyond_the_limit_is_not_read() -> None:
    size = sum(len(sentence.encode()) + 1 for pair in PAIRS[:40] for sentence in pair)
    limited = sentence_pieces.train(iter([*PAIRS, ("Ω" * 9, "Ψ" * 9)]), vocab_size=45, num_bytes=size - 1)
    assert limited == sentence_pieces.train(PAIRS[:40], vocab_size=45)


def test_a_vocabulary_too_large_for_the_text() -> None:
    with pytest.raises(DataError, match=r"9,000 pieces on 128 sentences of .* bytes failed; expected at most \d+ piec"):
        sentence_pieces.train(PAIRS, vocab_size=9000)


def test_a_file_that_is_no_model() -> None:
    with pytest.raises(DataError, match="some/file is not a SentencePiece model"):
        SentencePieceTokenizer(b"something else", "some/file").encode(["a"])
