"""The built-in stand-in for WMT: sentences in an invented language with translations; see `toy_language`."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from workloads.wmt.toy_language import (
    LONGEST_CLAUSE,
    NUM_CONJUNCTIONS,
    NUM_PREPOSITIONS,
    NUM_PRONOUNS,
    Clause,
    NounPhrase,
    ToyLanguages,
)

VERSION = "1"
"""Changes whenever the sentences change."""
SPLITS = ("train", "validation", "test")
_SEED = 20_261_128
"""Fixed: every run sees the same sentences, whatever its own seed."""
_CLAUSES_OF_LONG_ROWS = 0.55
"""Chance of another clause. It makes sentences about as long as those of newstest: 25 tokens on average."""
_CLAUSES_OF_SHORT_ROWS = 0.15
_SHORT = 128
_FLATTENING = 2.7
"""A word of rank r = 0, 1, ... has a chance proportional to 1 / (r + this): Zipf's law with Mandelbrot's correction."""


@dataclasses.dataclass(frozen=True)
class ToyPairs:
    """Generated pairs of sentences.

    Attributes:
      vocab_size: number of token ids.
      max_length: most tokens of a sentence, its end included.
      split_sizes: number of pairs of each of `SPLITS`.
    """

    vocab_size: int
    max_length: int
    split_sizes: Mapping[str, int]

    @property
    def tokenizer(self) -> ToyLanguages:
        """Turns the token ids into text."""
        return ToyLanguages(self.vocab_size)

    def describe(self) -> dict[str, object]:
        """Facts for the log of a run."""
        return {"version": VERSION, "split_sizes": dict(self.split_sizes), "vocab_size": self.vocab_size}

    def columns(self, split: str) -> dict[str, np.ndarray]:
        """The pairs of a split, the same at every call.

        Returns:
          `inputs` and `targets` uint16 [tokens], `inputs_lengths` and `targets_lengths` int32 [pairs].
        """
        rng = np.random.Generator(np.random.Philox(key=[_SEED, SPLITS.index(split)]))
        return generate(ToyLanguages(self.vocab_size), rng, self.split_sizes[split], max_length=self.max_length)


def generate(
    languages: ToyLanguages,
    rng: np.random.Generator,
    count: int,
    *,
    max_length: int,
    more_clauses: float | None = None,
) -> dict[str, np.ndarray]:
    """Random pairs of sentences, as columns like those of `ToyPairs.columns`.

    Args:
      languages: the languages.
      rng: the source of all randomness.
      count: number of pairs.
      max_length: most tokens of a sentence, its end included.
      more_clauses: chance that another clause follows; the default depends on `max_length`.
    """
    if more_clauses is None:
        more_clauses = _CLAUSES_OF_SHORT_ROWS if max_length < _SHORT else _CLAUSES_OF_LONG_ROWS
    most_clauses = (max_length - 2) // LONGEST_CLAUSE
    if most_clauses < 1:
        raise ValueError(f"sentences of the toy languages do not fit {max_length} tokens")
    num_clauses = np.minimum(rng.geometric(1 - more_clauses, count), most_clauses)
    clauses = iter(_clauses(languages, rng, int(num_clauses.sum())))
    is_question = rng.random(count) < 0.15
    conjunctions = rng.integers(0, NUM_CONJUNCTIONS, (count, most_clauses)).tolist()
    pairs = [
        languages.sentence(
            [next(clauses) for _ in range(number)],
            conjunctions[pair][: number - 1],
            is_question=bool(is_question[pair]) and number == 1,
        )
        for pair, number in enumerate(num_clauses.tolist())
    ]
    columns = {}
    for side, name in enumerate(("inputs", "targets")):
        columns[name] = np.fromiter((token for pair in pairs for token in pair[side]), np.uint16)
        columns[f"{name}_lengths"] = np.array([len(pair[side]) for pair in pairs], np.int32)
    return columns


def _clauses(languages: ToyLanguages, rng: np.random.Generator, count: int) -> list[Clause]:
    stems = languages.stems
    subjects, objects = _phrases(stems, rng, count, pronouns=0.3), _phrases(stems, rng, count, pronouns=0.0)
    places = _phrases(stems, rng, count, pronouns=0.0)
    prepositions = rng.integers(0, NUM_PREPOSITIONS, count).tolist()
    has_place = (rng.random(count) < 0.25).tolist()
    verbs = _words(rng, stems["verbs"], count)
    tenses = rng.integers(0, 3, count).tolist()
    is_negated, is_object_first = ((rng.random(count) < chance).tolist() for chance in (0.2, 0.25))
    times = _maybe(rng, _words(rng, stems["adverbs"], count), 0.3)
    return [
        Clause(
            subjects[i],
            objects[i],
            (prepositions[i], places[i]) if has_place[i] else None,
            verbs[i],
            tenses[i],
            is_negated[i],
            is_object_first[i],
            times[i],
        )
        for i in range(count)
    ]


def _phrases(stems: Mapping[str, int], rng: np.random.Generator, count: int, *, pronouns: float) -> list[NounPhrase]:
    nouns = np.array(_words(rng, stems["nouns"], count))
    is_pronoun = rng.random(count) < pronouns
    nouns = np.where(is_pronoun, rng.integers(0, NUM_PRONOUNS, count), nouns).tolist()
    is_plural, is_definite = ((rng.random(count) < chance).tolist() for chance in (0.35, 0.6))
    adjectives = _maybe(rng, _words(rng, stems["adjectives"], count), 0.35)
    rows = zip(nouns, is_pronoun.tolist(), is_plural, is_definite, adjectives, strict=True)
    return [NounPhrase(*row) for row in rows]


def _words(rng: np.random.Generator, num_words: int, count: int) -> list[int]:
    """Random ranks of words, by Zipf's law."""
    chances = 1 / (np.arange(num_words) + _FLATTENING)
    ends = np.cumsum(chances)
    return np.searchsorted(ends, rng.random(count) * ends[-1], side="right").clip(max=num_words - 1).tolist()


def _maybe(rng: np.random.Generator, words: list[int], chance: float) -> list[int | None]:
    is_there = rng.random(len(words)) < chance
    return [word if there else None for word, there in zip(words, is_there.tolist(), strict=True)]
