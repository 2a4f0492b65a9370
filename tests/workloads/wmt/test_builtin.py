"""The invented languages: one translation for each sentence, text from ids, the same data in every process."""

import numpy as np
import pytest

from workloads.wmt import toy_language
from workloads.wmt.builtin import ToyPairs, generate
from workloads.wmt.toy_language import Clause, NounPhrase, ToyLanguages

SMALL, FULL = ToyLanguages(512), ToyLanguages(32_000)


def phrase(noun: int, **changes: bool | int | None) -> NounPhrase:
    return NounPhrase(noun, False, False, True, None)._replace(**changes)


SUBJECT, OBJECT = phrase(0), phrase(1, is_definite=False)
CLAUSE = Clause(SUBJECT, OBJECT, None, 0, 0, False, False, None)


def translated(clause: Clause, *, is_question: bool = False) -> tuple[str, str]:
    source, target = (SMALL.decode(ids) for ids in SMALL.sentence([clause], [], is_question=is_question))
    return source, target


def stem(language: int, part: str, number: int = 0) -> str:
    first = list(SMALL.stems).index(part)
    return toy_language._stem(language, sum(list(SMALL.stems.values())[:first]) + number)


def test_the_verb_comes_last_and_agrees() -> None:
    subject, found, verb = stem(0, "nouns"), stem(0, "nouns", 1), stem(0, "verbs")
    english = [stem(1, "nouns"), stem(1, "nouns", 1), stem(1, "verbs")]
    source, target = translated(CLAUSE)
    assert source == f"der {subject} einir {found} {verb}t."
    assert target == f"the {english[0]} {english[2]}s a {english[1]}."
    source, target = translated(CLAUSE._replace(subject=phrase(0, is_plural=True)))
    assert source == f"dei {subject}en einir {found} {verb}en."
    assert target == f"the {english[0]}s {english[2]} a {english[1]}."


def test_case_tells_what_word_order_does_not() -> None:
    source, target = translated(CLAUSE)
    stressed, same = translated(CLAUSE._replace(is_object_first=True))
    assert (source == stressed, target == same) == (False, True)
    assert sorted(source.split()) == sorted(stressed.split())
    # With the roles exchanged, in the same order of words.
    _, exchanged = translated(CLAUSE._replace(subject=OBJECT, object=SUBJECT, is_object_first=True))
    assert exchanged != target


def test_negations_questions_and_the_future_take_an_auxiliary() -> None:
    subject, verb = f"the {stem(1, 'nouns')}", stem(1, "verbs")
    rest = f"a {stem(1, 'nouns', 1)}"
    assert translated(CLAUSE._replace(is_negated=True))[1] == f"{subject} does not {verb} {rest}."
    assert translated(CLAUSE._replace(tense=1))[1] == f"{subject} {verb}ed {rest}."
    assert translated(CLAUSE._replace(tense=1), is_question=True)[1] == f"did {subject} {verb} {rest}?"
    source, target = translated(CLAUSE._replace(tense=2))
    assert target == f"{subject} will {verb} {rest}."
    assert source.split()[2] == "wird"


def test_adjectives_agree_with_gender_and_number() -> None:
    endings = set()
    for noun, is_plural in ((0, False), (1, False), (2, False), (0, True)):
        source, target = translated(CLAUSE._replace(subject=phrase(noun, is_plural=is_plural, adjective=3)))
        assert target.split()[1] == stem(1, "adjectives", 3)
        endings.add(source.split()[2].removeprefix(stem(0, "adjectives", 3)))
    assert endings == {"er", "es", "ie", "en"}


@pytest.mark.parametrize(("languages", "length"), [(SMALL, 64), (FULL, 256)])
def test_sentences_fit_and_have_one_translation(languages: ToyLanguages, length: int) -> None:
    columns = generate(languages, np.random.default_rng(0), 2000, max_length=length)
    translations: dict[str, set[str]] = {}
    sides = [
        [languages.decode(ids.tolist()) for ids in np.split(columns[name], np.cumsum(columns[f"{name}_lengths"])[:-1])]
        for name in ("inputs", "targets")
    ]
    for source, target in zip(*sides, strict=True):
        translations.setdefault(source, set()).add(target)
    assert {len(found) for found in translations.values()} == {1}
    for name in ("inputs", "targets"):
        ends = np.cumsum(columns[f"{name}_lengths"]) - 1
        assert columns[f"{name}_lengths"].max() <= length
        assert columns[name].max() < len(languages.pieces) <= languages.vocab_size
        assert set(columns[name][ends]) == {2}
        assert (columns[name] == 2).sum() == 2000, "ends are nowhere else"
        assert columns[name].min() == 2


def test_frequent_words_are_very_frequent() -> None:
    columns = generate(FULL, np.random.default_rng(0), 2000, max_length=256)
    first = FULL.pieces.index("▁" + toy_language._stem(0, 0))
    nouns = columns["inputs"][(columns["inputs"] >= first) & (columns["inputs"] < first + FULL.stems["nouns"])]
    counts = np.bincount(nouns - first, minlength=FULL.stems["nouns"])
    share = counts[:10].sum() / counts.sum()
    chances = 1 / (np.arange(FULL.stems["nouns"]) + 2.7)
    assert share == pytest.approx(chances[:10].sum() / chances.sum(), abs=0.02)


def test_splits_are_fixed_and_apart() -> None:
    toy = ToyPairs(512, 64, {"train": 400, "validation": 400, "test": 400})
    for name, column in toy.columns("validation").items():
        np.testing.assert_array_equal(column, ToyPairs(512, 64, {"validation": 400}).columns("validation")[name])
    texts = []
    for split in ("train", "validation", "test"):
        columns = toy.columns(split)
        ends = np.cumsum(columns["inputs_lengths"])[:-1]
        texts.append({tuple(ids) for ids in np.split(columns["inputs"], ends)})
    assert len(texts[0] & texts[1]) + len(texts[0] & texts[2]) + len(texts[1] & texts[2]) < 10


def test_what_stands_for_nothing_is_unknown() -> None:
    assert SMALL.decode([0, 2]) == "⁇"
    assert SMALL.decode([511, SMALL.pieces.index("▁the"), 0, 2]) == "⁇ the ⁇"
    assert SMALL.decode([2]) == ""


def test_words_are_distinct() -> None:
    for language in range(2):
        words = {toy_language._stem(language, number) for number in range(toy_language.MOST_STEMS)}
        assert len(words) == toy_language.MOST_STEMS


def test_a_vocabulary_or_a_length_too_small() -> None:
    with pytest.raises(ValueError, match="a vocabulary of 70 is too small for the toy languages"):
        _ = ToyLanguages(70).stems
    with pytest.raises(ValueError, match="do not fit 20 tokens"):
        generate(SMALL, np.random.default_rng(0), 3, max_length=20)
