"""An invented spoken language: words of syllables, a sound for each letter, voices, and a tokenizer.

A sound is a sum of harmonics of the pitch of a voice, louder near two formants, as vowels have them; half of the
letters hiss, too. What tells letters apart are thus the two formants and the hiss. Voices differ in their pitch and in
the place of their formants.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float32, Int64

from workloads.sentence_pieces import UNKNOWN_ID
from workloads.speech.sizes import SAMPLE_RATE

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
PAUSE = len(LETTERS)
"""The sound between words, which is silent."""
WORD_START = "\u2581"
NUM_VOICES = 16
SOUND_SAMPLES = 4096
"""Stored of each sound of each voice; what is heard is a part of it."""

_SEED = 20_261_128
_VOWELS = "AEIOU"
_CONSONANTS = "".join(letter for letter in LETTERS if letter not in _VOWELS)
_SYLLABLES_OF_WORD = 1, 2, 3
_LOW_FORMANTS = np.array([260.0, 470.0, 740.0, 1060.0])
_HIGH_FORMANTS = np.array([1450.0, 2000.0, 2700.0, 3500.0])
_BANDWIDTHS = np.array([[70.0], [130.0]])
_HISS_BAND = 4500.0, 7000.0
_PITCHES = 90.0, 200.0
_STRETCH = 0.93, 1.07
"""Factors of the formants, from the longest to the shortest vocal tract."""


def _random(purpose: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[_SEED, purpose]))


@dataclasses.dataclass(frozen=True)
class ToyLanguage:
    """Words, and the pieces that they are written with.

    Attributes:
      num_words: words of the language.
      vocab_size: number of token ids: three that have no text, the start of a word, the letters, then the syllables and
        the most common words, as far as there is room.
    """

    num_words: int
    vocab_size: int

    @functools.cached_property
    def words(self) -> tuple[str, ...]:
        """All words, the most common first; the first ones are also the shortest."""
        rng = _random(0)
        found: dict[str, None] = {}
        while len(found) < self.num_words:
            most = _SYLLABLES_OF_WORD[: 1 + (len(found) > 30) + (len(found) > 60)]
            syllables = [
                _CONSONANTS[rng.integers(len(_CONSONANTS))] + _VOWELS[rng.integers(len(_VOWELS))]
                for _ in range(most[rng.integers(len(most))])
            ]
            ending = _CONSONANTS[rng.integers(len(_CONSONANTS))] if rng.random() < 0.5 else ""
            found["".join(syllables) + ending] = None
        return tuple(found)

    @functools.cached_property
    def pieces(self) -> tuple[str, ...]:
        """The text of each token id; `WORD_START` is a space."""
        syllables = [consonant + vowel for vowel in _VOWELS for consonant in _CONSONANTS]
        every = [
            "",
            "",
            "",
            WORD_START,
            *LETTERS,
            *syllables,
            *(WORD_START + syllable for syllable in syllables),
            *(WORD_START + word for word in self.words),
        ]
        pieces = tuple(dict.fromkeys(every[3:]))[: self.vocab_size - 3]
        if len(pieces) < self.vocab_size - 3:
            raise ValueError(f"{self.num_words} words are too few for {self.vocab_size} token ids")
        return (*every[:3], *pieces)

    def encode(self, word: str) -> list[int]:
        """The token ids of a word: always the longest piece that fits next."""
        rest, ids = WORD_START + word, []
        while rest:
            length = next(n for n in range(len(rest), 0, -1) if rest[:n] in self._ids)
            ids.append(self._ids[rest[:length]])
            rest = rest[length:]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """See `Tokenizer.decode`."""
        text = "".join(" \u2047 " if int(token) == UNKNOWN_ID else self.pieces[int(token)] for token in ids)
        return text.replace(WORD_START, " ").strip(" ")

    @functools.cached_property
    def _ids(self) -> Mapping[str, int]:
        return {piece: number for number, piece in enumerate(self.pieces) if piece}


@functools.cache
def sounds() -> Float32[np.ndarray, "voices sounds samples"]:
    """The waveform of each sound, `LETTERS` and `PAUSE`, from each voice; letters have a mean square of 1."""
    times = np.arange(SOUND_SAMPLES) / SAMPLE_RATE
    found = np.zeros((NUM_VOICES, len(LETTERS) + 1, SOUND_SAMPLES), np.float32)
    for voice in range(NUM_VOICES):
        rng = _random(1 + voice)
        place = voice / (NUM_VOICES - 1)
        pitch = _PITCHES[0] * (_PITCHES[1] / _PITCHES[0]) ** place
        stretch = rng.uniform(*_STRETCH)
        harmonics = pitch * np.arange(1, int(4000 / pitch))
        phases = rng.uniform(0, 2 * np.pi, (len(harmonics), 1))
        waves = np.sin(2 * np.pi * harmonics[:, None] * times + phases).astype(np.float32)
        hiss = _hiss(rng)
        for letter in range(len(LETTERS)):
            # The four low formants turn fastest, then the four high ones, then the hiss.
            formants = np.array([[_LOW_FORMANTS[letter % 4]], [_HIGH_FORMANTS[letter // 4 % 4]]]) * stretch
            loudness = np.exp(-0.5 * ((harmonics - formants) / _BANDWIDTHS) ** 2).sum(0) + 0.01
            wave = np.einsum("h,hs->s", loudness.astype(np.float32), waves)
            wave = wave / wave.std() + (0.7 * hiss if letter >= 16 else 0)
            found[voice, letter] = wave / wave.std()
    found.flags.writeable = False
    return found


def _hiss(rng: np.random.Generator) -> np.ndarray:
    spectrum = np.fft.rfft(rng.standard_normal(SOUND_SAMPLES))
    frequencies = np.fft.rfftfreq(SOUND_SAMPLES, 1 / SAMPLE_RATE)
    spectrum[(frequencies < _HISS_BAND[0]) | (frequencies > _HISS_BAND[1])] = 0
    wave = np.fft.irfft(spectrum, SOUND_SAMPLES)
    return wave / wave.std()


def letters_of(word: str) -> Int64[np.ndarray, " letters"]:
    """The numbers of the letters of a word."""
    return np.array([LETTERS.index(letter) for letter in word])
