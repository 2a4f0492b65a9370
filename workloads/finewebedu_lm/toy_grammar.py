"""An invented language of which the entropy is known exactly.

A document opens with a name, its hero, and has a topic. Its sentences read like "that-old-noun that these nouns admire
sleeps a noun in the noun." and agree over long distances:

- a verb has the number of its subject, even after relative clauses, one inside the other, with subjects of their own;
- a subject is often the hero, whose name only the beginning of the document tells;
- all nouns of a sentence belong to one topic, which drifts to a neighboring one from time to time.

Words of a kind follow Zipf's law. A document is made by independent decisions, and each can be read off its tokens. So
the entropy of a document is the sum of those of its decisions, and as documents are independent, the entropy rate of
their stream is the expected entropy of a document divided by its expected number of tokens. No model has a lower
expected loss.
"""

import dataclasses
import functools
import math

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt16

_FLATTENING = 2.7
"""A word of rank r = 0, 1, ... has a chance proportional to 1 / (r + this): Zipf's law with Mandelbrot's correction."""
SENTENCES = 24
"""Expected number of sentences of a document."""
PLURAL, ADJECTIVE, HERO, RELATIVE, PLACE = 0.4, 0.3, 0.3, 0.3, 0.3
"""Chances that a noun is plural and has an adjective, that a subject is the hero, that a subject has a relative clause,
and that a sentence names a place."""
DRIFT = (0.85, 0.10, 0.05)
"""Chances that the next sentence has the same topic, the next one or the previous one."""
DETERMINERS = 5
"""The first `EITHER` of them fit any number; the others have a form for each."""
EITHER = 2
PREPOSITIONS = 6
MOST_RELATIVES = 2
FEWEST_WORDS = 256


@dataclasses.dataclass(frozen=True)
class ToyLanguage:
    """A language of a given size; ids of a kind of word are consecutive, frequent ones first.

    Attributes:
      vocab_size: number of token ids, at least `FEWEST_WORDS`. The last one ends documents. A few others before it do
        not occur.
    """

    vocab_size: int

    def __post_init__(self) -> None:
        if not FEWEST_WORDS <= self.vocab_size <= 1 << 16:
            raise ValueError(f"the toy language has {FEWEST_WORDS} to {1 << 16} tokens, not {self.vocab_size}")

    @property
    def num_topics(self) -> int:
        return 64 if self.vocab_size >= 1 << 14 else 8

    @property
    def num_names(self) -> int:
        return self.vocab_size // 32

    @property
    def num_adjectives(self) -> int:
        return self.vocab_size // 16

    @property
    def num_verbs(self) -> int:
        """Each with a form for the singular and one for the plural."""
        return self.vocab_size // 16

    @property
    def num_nouns(self) -> int:
        """Nouns of each topic, with two forms each."""
        return (self.end_of_text - self.nouns) // (2 * self.num_topics)

    determiners = 0
    """Id of the first determiner; `determiner_id` gives the others."""
    prepositions = EITHER + 2 * (DETERMINERS - EITHER)
    that = prepositions + PREPOSITIONS
    stop = that + 1
    names = stop + 1

    @property
    def adjectives(self) -> int:
        return self.names + self.num_names

    @property
    def verbs(self) -> int:
        return self.adjectives + self.num_adjectives

    @property
    def nouns(self) -> int:
        return self.verbs + 2 * self.num_verbs

    @property
    def end_of_text(self) -> int:
        return self.vocab_size - 1

    @property
    def tokens_per_document(self) -> float:
        """The expected number."""
        phrase = 2 + ADJECTIVE
        relative = 2 + phrase
        sentence = (
            HERO + (1 - HERO) * phrase + sum(RELATIVE**depth for depth in range(1, MOST_RELATIVES + 1)) * relative
        )
        sentence += 1 + phrase + PLACE * (1 + phrase) + 1
        return 1 + SENTENCES * sentence + 1

    @property
    def entropy_per_document(self) -> float:
        """The entropy of a document in nats."""
        phrase = _entropy(PLURAL, 1 - PLURAL) + _zipf_entropy(DETERMINERS) + _yes_or_no(ADJECTIVE)
        phrase += ADJECTIVE * _zipf_entropy(self.num_adjectives) + _zipf_entropy(self.num_nouns)
        verb = _zipf_entropy(self.num_verbs)
        sentence = _yes_or_no(HERO) + (1 - HERO) * phrase + verb + phrase
        for depth in range(MOST_RELATIVES):
            sentence += RELATIVE**depth * (_yes_or_no(RELATIVE) + RELATIVE * (phrase + verb))
        sentence += _yes_or_no(PLACE) + PLACE * (_zipf_entropy(PREPOSITIONS) + phrase)
        sentence += _yes_or_no(1 / SENTENCES)  # whether it is the last
        drift = (SENTENCES - 1) * _entropy(*DRIFT)
        return math.log(self.num_names) + math.log(self.num_topics) + drift + SENTENCES * sentence

    @property
    def entropy(self) -> float:
        """The entropy rate in nats per token; its exponential is the lowest possible perplexity."""
        return self.entropy_per_document / self.tokens_per_document

    def determiner_id(self, number: Int64[np.ndarray, " n"], is_plural: Bool[np.ndarray, " n"]) -> np.ndarray:
        """The ids of determiners, int64 [n]."""
        return number + np.where((number >= EITHER) & is_plural, DETERMINERS - EITHER, 0)


def documents(language: ToyLanguage, rng: np.random.Generator, count: int) -> UInt16[np.ndarray, " tokens"]:
    """The tokens of `count` random documents, one after the other; each ends with the end-of-text token."""
    num_sentences = rng.geometric(1 / SENTENCES, count)
    is_last = np.zeros(num_sentences.sum(), bool)
    is_last[np.cumsum(num_sentences) - 1] = True
    is_first = np.roll(is_last, 1)
    total = len(is_last)
    hero = np.repeat(language.names + rng.integers(0, language.num_names, count), num_sentences)
    sentences = _Sentences(language, rng, _topics(language, rng, is_first))

    is_hero = rng.random(total) < HERO
    depth = (np.cumprod(rng.random((MOST_RELATIVES, total)) < RELATIVE, axis=0)).sum(0)
    subject, is_plural = sentences.phrase(~is_hero)
    subject[2] = np.where(is_hero, hero, subject[2])
    slots = [np.where(is_first, hero, -1), *subject]
    verbs = [sentences.verb(is_plural & ~is_hero, np.ones(total, bool))]
    for level in range(MOST_RELATIVES):
        is_there = depth > level
        inner, is_plural = sentences.phrase(is_there)
        slots += [np.where(is_there, language.that, -1), *inner]
        verbs.append(sentences.verb(is_plural, is_there))
    slots += [*reversed(verbs), *sentences.phrase(np.ones(total, bool))[0]]
    has_place = rng.random(total) < PLACE
    preposition = language.prepositions + _ranks(rng, PREPOSITIONS, total)
    slots += [np.where(has_place, preposition, -1), *sentences.phrase(has_place)[0]]
    slots += [np.full(total, language.stop), np.where(is_last, language.end_of_text, -1)]
    rows = np.stack(slots, axis=1)
    return rows[rows >= 0].astype(np.uint16)


class _Sentences:
    """Draws parts of many sentences at once; a place that stays empty is -1."""

    def __init__(self, language: ToyLanguage, rng: np.random.Generator, topics: Int64[np.ndarray, " n"]) -> None:
        self._language = language
        self._rng = rng
        self._topics = topics

    def phrase(self, is_there: Bool[np.ndarray, " n"]) -> tuple[list[np.ndarray], Bool[np.ndarray, " n"]]:
        """Determiner, adjective and noun, int64 [n] each, and whether they are plural."""
        language, rng, count = self._language, self._rng, len(self._topics)
        is_plural = rng.random(count) < PLURAL
        determiner = language.determiner_id(_ranks(rng, DETERMINERS, count), is_plural)
        has_adjective = is_there & (rng.random(count) < ADJECTIVE)
        adjective = language.adjectives + _ranks(rng, language.num_adjectives, count)
        noun = self._topics * language.num_nouns + _ranks(rng, language.num_nouns, count)
        noun = language.nouns + 2 * noun + is_plural
        places = ((is_there, determiner), (has_adjective, adjective), (is_there, noun))
        return [np.where(is_filled, ids, -1) for is_filled, ids in places], is_plural

    def verb(self, is_plural: Bool[np.ndarray, " n"], is_there: Bool[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        ranks = _ranks(self._rng, self._language.num_verbs, len(self._topics))
        return np.where(is_there, self._language.verbs + 2 * ranks + is_plural, -1)


def _topics(
    language: ToyLanguage, rng: np.random.Generator, is_first: Bool[np.ndarray, " n"]
) -> Int64[np.ndarray, " n"]:
    """The topic of each sentence: any for the first one of a document, and the others drift from there."""
    first = rng.integers(0, language.num_topics, int(is_first.sum()))
    steps = np.array([0, 1, -1])[np.searchsorted(np.cumsum(DRIFT[:-1]), rng.random(len(is_first)), side="right")]
    drifted = np.cumsum(np.where(is_first, 0, steps))
    document = np.cumsum(is_first) - 1
    return (first[document] + drifted - drifted[is_first][document]) % language.num_topics


@functools.cache
def zipf(count: int) -> Float64[np.ndarray, " count"]:
    """The chances of the words of a kind, by rank."""
    weights = 1 / (np.arange(count) + _FLATTENING)
    return weights / weights.sum()


@functools.cache
def _ends(count: int) -> Float64[np.ndarray, " count-1"]:
    return np.cumsum(zipf(count))[:-1]


def _ranks(rng: np.random.Generator, num_words: int, count: int) -> Int64[np.ndarray, " count"]:
    return np.searchsorted(_ends(num_words), rng.random(count), side="right")


def _zipf_entropy(count: int) -> float:
    return _entropy(*zipf(count).tolist())


def _yes_or_no(chance: float) -> float:
    return _entropy(chance, 1 - chance)


def _entropy(*chances: float) -> float:
    return -sum(chance * math.log(chance) for chance in chances)
