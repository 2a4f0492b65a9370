"""Two invented languages and the rules that translate one into the other.

The source resembles German. Nouns have a gender; articles show gender, number and case; adjectives follow their nouns
and agree with them; verbs come last and agree with their subjects; the auxiliary of the future is in second place; and
an object may come before the subject, since the article shows the case. The target resembles English: subject, verb,
object, place and time in this order, no gender and no case, `do` in negations and questions, and verbs that agree with
their subjects in the present. Every source sentence has exactly one translation.
"""

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from workloads.sentence_pieces import END_ID, UNKNOWN_ID

_WORD = "▁"
"""Starts a word, as in SentencePiece; other pieces continue one."""

_ARTICLES = (
    ("▁der", "▁den", "▁die", "▁dir", "▁das", "▁dom", "▁dei", "▁dun"),
    ("▁einer", "▁einen", "▁eine", "▁einir", "▁eines", "▁einom", "▁mehre", "▁mehren"),
)
"""Definite and indefinite: subject and object of each gender, then of the plural."""
_ADJECTIVE_ENDINGS = ("er", "ie", "es", "en")
"""Of each gender, then of the plural."""
_PRONOUNS = (("▁er", "▁he"), ("▁sie", "▁she"), ("▁es", "▁it"), ("▁wir", "▁we"), ("▁ihr", "▁they"))
_NUM_SINGULAR_PRONOUNS = 3
_PREPOSITIONS = (("▁in", "▁in"), ("▁mit", "▁with"), ("▁ohne", "▁without"), ("▁bei", "▁near"))
_CONJUNCTIONS = (("▁und", "▁and"), ("▁aber", "▁but"), ("▁weil", "▁because"))
_VERB_ENDINGS = (("t", "en"), ("te", "ten"), ("en", "en"))
"""Singular and plural in the present, in the past, and with the auxiliary of the future."""
_NOUN_PLURALS = ("en", "se")
_TARGET_PLURALS = ("s", "es")
_OTHER = (
    *("▁wird", "▁werden", "▁nicht"),
    *("▁the", "▁a", "▁some", "▁will", "▁do", "▁does", "▁did", "▁not", "ed", ",", ".", "?"),
)
_SYLLABLES = (
    [c + v for c in ("b", "d", "f", "g", "k", "l", "m", "n", "r", "s", "sch", "t", "w", "z") for v in "aeiouäöü"],
    [c + v for c in "bcdfghlmnprstv" for v in "aeiou"],
)
MOST_STEMS = 2000
"""Per language. Further ones would be too rare to learn from a small data set."""
_SHARES = {"nouns": 0.5, "verbs": 0.25, "adjectives": 0.15, "adverbs": 0.1}


class NounPhrase(NamedTuple):
    """Attributes:
    noun: number of the noun, or of the pronoun.
    is_pronoun, is_plural, is_definite: the last two do not matter for pronouns.
    adjective: number of the adjective, or None.
    """

    noun: int
    is_pronoun: bool
    is_plural: bool
    is_definite: bool
    adjective: int | None


class Clause(NamedTuple):
    """Attributes:
    subject, object: the noun phrases.
    place: preposition and noun phrase, or None.
    verb: number of the verb.
    tense: 0 present, 1 past, 2 future.
    is_negated: whether the clause is negated.
    is_object_first: whether the object comes before the subject in the source.
    time: number of an adverb, or None.
    """

    subject: NounPhrase
    object: NounPhrase
    place: tuple[int, NounPhrase] | None
    verb: int
    tense: int
    is_negated: bool
    is_object_first: bool
    time: int | None


@dataclasses.dataclass(frozen=True)
class ToyLanguages:
    """The two languages, with one vocabulary of a given size for both.

    Attributes:
      vocab_size: number of token ids. The last ones may be unused.
    """

    vocab_size: int

    @functools.cached_property
    def stems(self) -> dict[str, int]:
        """The number of stems of each part of speech, in either language."""
        count = min(MOST_STEMS, (self.vocab_size - 3 - len(_function_pieces())) // 2)
        found = {part: int(share * count) for part, share in _SHARES.items()}
        if not all(found.values()):
            raise ValueError(f"a vocabulary of {self.vocab_size} is too small for the toy languages")
        return found

    @functools.cached_property
    def pieces(self) -> tuple[str, ...]:
        """The piece of each token id that is used."""
        count = sum(self.stems.values())
        stems = [_WORD + _stem(language, number) for language in range(2) for number in range(count)]
        return ("⁇", "", "", *_function_pieces(), *stems)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of a sequence of token ids; unknown and unused ids become " ⁇ "."""
        known = len(self.pieces)
        pieces = (f"{_WORD}⁇{_WORD}" if token == UNKNOWN_ID or token >= known else self.pieces[token] for token in ids)
        return " ".join("".join(pieces).replace(_WORD, " ").split())

    def sentence(self, clauses: Sequence[Clause], conjunctions: Sequence[int], *, is_question: bool) -> list[list[int]]:
        """The token ids of a sentence in the source and in the target, `END_ID` at the end.

        Args:
          clauses: at least one.
          conjunctions: one for each clause after the first.
          is_question: whether the sentence is a question; it must have one clause then.
        """
        mark = self._ids["?" if is_question else "."]
        source, target = self._source(clauses[0]), self._target(clauses[0], is_question)
        for clause, conjunction in zip(clauses[1:], conjunctions, strict=True):
            ids = [self._ids[piece] for piece in _CONJUNCTIONS[conjunction]]
            source += [self._ids[","], ids[0], *self._source(clause)]
            target += [self._ids[","], ids[1], *self._target(clause, False)]
        return [[*source, mark, END_ID], [*target, mark, END_ID]]

    @functools.cached_property
    def _ids(self) -> dict[str, int]:
        return {piece: 3 + number for number, piece in enumerate(_function_pieces())}

    @functools.cached_property
    def _first_stems(self) -> dict[str, tuple[int, int]]:
        """The ids of the first stem of each part of speech in the two languages."""
        count, first, found = sum(self.stems.values()), 3 + len(_function_pieces()), {}
        for part, number in self.stems.items():
            found[part] = first, first + count
            first += number
        return found

    def _stem_ids(self, part: str, number: int) -> tuple[int, int]:
        source, target = self._first_stems[part]
        return source + number, target + number

    def _source(self, clause: Clause) -> list[int]:
        subject, verb = clause.subject, self._stem_ids("verbs", clause.verb)[0]
        phrases = [self._source_phrase(subject, 0), self._source_phrase(clause.object, 1)]
        if clause.is_object_first:
            phrases.reverse()
        is_plural = _is_plural(subject)
        ids = [] if clause.time is None else [self._stem_ids("adverbs", clause.time)[0]]
        ids += phrases[0]
        if clause.tense == 2:
            ids.append(self._ids["▁werden" if is_plural else "▁wird"])
        ids += phrases[1]
        if clause.place is not None:
            ids += [self._ids[_PREPOSITIONS[clause.place[0]][0]], *self._source_phrase(clause.place[1], 1)]
        if clause.is_negated:
            ids.append(self._ids["▁nicht"])
        return [*ids, verb, self._ids[_VERB_ENDINGS[clause.tense][is_plural]]]

    def _source_phrase(self, phrase: NounPhrase, case: int) -> list[int]:
        if phrase.is_pronoun:
            return [self._ids[_PRONOUNS[phrase.noun][0]]]
        gender = 3 if phrase.is_plural else phrase.noun * 7 % 3
        ids = [
            self._ids[_ARTICLES[not phrase.is_definite][2 * gender + case]],
            self._stem_ids("nouns", phrase.noun)[0],
        ]
        if phrase.is_plural:
            ids.append(self._ids[_NOUN_PLURALS[phrase.noun // 3 % 2]])
        if phrase.adjective is not None:
            ids += [self._stem_ids("adjectives", phrase.adjective)[0], self._ids[_ADJECTIVE_ENDINGS[gender]]]
        return ids

    def _target(self, clause: Clause, is_question: bool) -> list[int]:
        subject, verb = self._target_phrase(clause.subject), self._stem_ids("verbs", clause.verb)[1]
        is_plural = _is_plural(clause.subject)
        auxiliary = self._ids[("▁do" if is_plural else "▁does", "▁did", "▁will")[clause.tense]]
        negation = [self._ids["▁not"]] if clause.is_negated else []
        if is_question:
            ids = [auxiliary, *subject, *negation, verb]
        elif negation or clause.tense == 2:
            ids = [*subject, auxiliary, *negation, verb]
        else:
            ending = "ed" if clause.tense == 1 else "" if is_plural else "s"
            ids = [*subject, verb, *([self._ids[ending]] if ending else [])]
        ids += self._target_phrase(clause.object)
        if clause.place is not None:
            ids += [self._ids[_PREPOSITIONS[clause.place[0]][1]], *self._target_phrase(clause.place[1])]
        return ids if clause.time is None else [*ids, self._stem_ids("adverbs", clause.time)[1]]

    def _target_phrase(self, phrase: NounPhrase) -> list[int]:
        if phrase.is_pronoun:
            return [self._ids[_PRONOUNS[phrase.noun][1]]]
        article = "▁the" if phrase.is_definite else "▁some" if phrase.is_plural else "▁a"
        ids = [self._ids[article]]
        if phrase.adjective is not None:
            ids.append(self._stem_ids("adjectives", phrase.adjective)[1])
        ids.append(self._stem_ids("nouns", phrase.noun)[1])
        return [*ids, self._ids[_TARGET_PLURALS[phrase.noun // 2 % 2]]] if phrase.is_plural else ids


def _is_plural(phrase: NounPhrase) -> bool:
    return phrase.noun >= _NUM_SINGULAR_PRONOUNS if phrase.is_pronoun else phrase.is_plural


@functools.cache
def _function_pieces() -> tuple[str, ...]:
    """All pieces except stems, each once."""
    groups: Iterable[Iterable[str]] = (
        *_ARTICLES,
        _ADJECTIVE_ENDINGS,
        *_PRONOUNS,
        *_PREPOSITIONS,
        *_CONJUNCTIONS,
        *_VERB_ENDINGS,
        _NOUN_PLURALS,
        _TARGET_PLURALS,
        _OTHER,
    )
    return tuple(dict.fromkeys(piece for group in groups for piece in group))


def _stem(language: int, number: int) -> str:
    """A word of two syllables, unique for each number."""
    syllables = _SYLLABLES[language]
    # A prime that divides neither number of possible words, so no word occurs twice.
    first, second = divmod(number * 2053 % len(syllables) ** 2, len(syllables))
    return syllables[first] + syllables[second]


NUM_PRONOUNS, NUM_PREPOSITIONS, NUM_CONJUNCTIONS = len(_PRONOUNS), len(_PREPOSITIONS), len(_CONJUNCTIONS)
LONGEST_CLAUSE = 23
"""Most tokens of a clause in either language, with the conjunction before it."""
