"""Predicts the invented language as well as it can be predicted: reads documents by the rules of its grammar."""

from collections.abc import Generator

import numpy as np

from workloads.finewebedu_lm import toy_grammar
from workloads.finewebedu_lm.toy_grammar import (
    ADJECTIVE,
    DETERMINERS,
    DRIFT,
    EITHER,
    HERO,
    MOST_RELATIVES,
    PLACE,
    PLURAL,
    PREPOSITIONS,
    RELATIVE,
    SENTENCES,
    ToyLanguage,
)

Reader = Generator[np.ndarray, int, None]
"""Yields the chances of the next token [vocab_size], and is sent the token."""


class Predictor:
    """Reads one document."""

    def __init__(self, language: ToyLanguage) -> None:
        self.language = language
        self.topics = np.full(language.num_topics, 1 / language.num_topics)
        self.hero = -1

    def document(self) -> Reader:
        language = self.language
        self.hero = yield self.of(range(language.names, language.names + language.num_names), 1 / language.num_names)
        token = yield self.beginning()
        while token != language.end_of_text:
            yield from self.sentence(token)
            stay, forth, back = DRIFT
            self.topics = stay * self.topics + forth * np.roll(self.topics, 1) + back * np.roll(self.topics, -1)
            token = yield self.of(language.end_of_text, 1 / SENTENCES) + (1 - 1 / SENTENCES) * self.beginning()

    def sentence(self, token: int) -> Reader:
        language = self.language
        yield from self.subject(token == self.hero, token)
        yield from self.phrase((yield self.determiner()))
        prepositions = range(language.prepositions, language.prepositions + PREPOSITIONS)
        chances = self.of(prepositions, PLACE * toy_grammar.zipf(PREPOSITIONS)) + self.of(language.stop, 1 - PLACE)
        if (yield chances) != language.stop:
            yield from self.phrase((yield self.determiner()))
            yield self.of(language.stop, 1)

    def subject(self, is_hero: bool, token: int, depth: int = 0) -> Reader:
        """A subject, the relative clauses about it and its verb, after its first token."""
        is_plural = False if is_hero else (yield from self.phrase(token))
        verb = self.of(self.forms(self.language.verbs, self.language.num_verbs, is_plural), self.zipf("num_verbs"))
        if depth < MOST_RELATIVES:
            token = yield RELATIVE * self.of(self.language.that, 1) + (1 - RELATIVE) * verb
            if token != self.language.that:
                return
            yield from self.subject(False, (yield self.determiner()), depth + 1)
        yield verb

    def phrase(self, determiner: int) -> Generator[np.ndarray, int, bool]:
        """Adjective and noun; returns whether it is plural."""
        language, plural = self.language, PLURAL
        if determiner >= EITHER:
            plural = float(determiner >= DETERMINERS)
        nouns = np.zeros(language.vocab_size)
        for topic, chance in enumerate(self.topics):
            first = language.nouns + 2 * topic * language.num_nouns
            for is_plural, share in ((False, 1 - plural), (True, plural)):
                nouns[self.forms(first, language.num_nouns, is_plural)] = chance * share * self.zipf("num_nouns")
        adjectives = range(language.adjectives, language.adjectives + language.num_adjectives)
        token = yield self.of(adjectives, ADJECTIVE * self.zipf("num_adjectives")) + (1 - ADJECTIVE) * nouns
        if token in adjectives:
            token = yield nouns
        topic, form = divmod(token - language.nouns, 2 * language.num_nouns)
        self.topics = np.eye(language.num_topics)[topic]
        return form % 2 == 1

    def beginning(self) -> np.ndarray:
        return HERO * self.of(self.hero, 1) + (1 - HERO) * self.determiner()

    def determiner(self) -> np.ndarray:
        chances, either = np.zeros(self.language.vocab_size), np.arange(DETERMINERS) < EITHER
        zipf = toy_grammar.zipf(DETERMINERS)
        chances[:DETERMINERS] = zipf * np.where(either, 1, 1 - PLURAL)
        chances[DETERMINERS : 2 * DETERMINERS - EITHER] = zipf[EITHER:] * PLURAL
        return chances

    def forms(self, first: int, count: int, is_plural: bool) -> range:
        return range(first + is_plural, first + 2 * count, 2)

    def zipf(self, count: str) -> np.ndarray:
        return toy_grammar.zipf(getattr(self.language, count))

    def of(self, tokens: range | int, chances: np.ndarray | float) -> np.ndarray:
        result = np.zeros(self.language.vocab_size)
        result[tokens] = chances
        return result
