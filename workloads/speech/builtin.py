"""The built-in stand-in for LibriSpeech: sentences of an invented language, synthesized when they are read.

What is said, by which voice, how fast and with how much noise is drawn for a whole split at once; samples are made from
that, the same at every call. See `toy_speech`.
"""

import dataclasses
import functools
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float32, Int16, Int64

from algoperf_jax.data.shuffle import ranges
from algoperf_jax.data.sources import Origin
from workloads.sentence_pieces import END_ID
from workloads.speech import toy_speech
from workloads.speech.sizes import SAMPLE_RATE, Size
from workloads.speech.toy_speech import NUM_VOICES, PAUSE, SOUND_SAMPLES, ToyLanguage

VERSION = "1"
"""Changes whenever the utterances change."""
SPLITS = ("train", "validation", "test")
_SEED = 20_261_129
"""Fixed: every run hears the same utterances, whatever its own seed."""
_FLATTENING = 2.7
"""A word of rank r = 0, 1, ... has a chance proportional to 1 / (r + this): Zipf's law with Mandelbrot's correction."""
_LETTER_SECONDS = 0.085
_TEMPO = 0.85, 1.15
_VARIATION = 0.8, 1.2
"""Of the duration of single sounds."""
_SILENCE_SECONDS = 0.05, 0.12
"""Before the first word; each word ends with a pause of about a letter."""
_RAMP = np.linspace(0, 1, 81, dtype=np.float32)[1:]
"""Sounds begin and end within 5 milliseconds, so that they do not click."""
_LOUDNESS = 700.0, 3500.0
_LEVEL = 0.7, 1.4
"""Of single sounds."""
_NOISE = 0.03, 0.25
"""Relative to the loudness."""
_NOISE_SAMPLES = 1 << 19
_SHORTEST_SECONDS = 1.0
_FEWEST_WORDS, _MORE_WORDS = 200, 2000


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """What is said in the utterances of a split; arrays of sounds have a row for each sound of all utterances.

    Attributes:
      sound: its number, int64 [sounds].
      duration: in samples, int64 [sounds].
      offset: where the part of the stored sound begins, int64 [sounds].
      level: float32 [sounds].
      num_sounds: of each utterance, int64 [n].
      silence: samples before the first sound, int64 [n].
      voice: int64 [n].
      loudness: float32 [n].
      noise: standard deviation, relative to the loudness, float32 [n].
      noise_offset: where the part of the stored noise begins, int64 [n].
      targets: token ids of all utterances, int64 [tokens].
      num_targets: of each utterance, int64 [n].
    """

    sound: Int64[np.ndarray, " sounds"]
    duration: Int64[np.ndarray, " sounds"]
    offset: Int64[np.ndarray, " sounds"]
    level: Float32[np.ndarray, " sounds"]
    num_sounds: Int64[np.ndarray, " n"]
    silence: Int64[np.ndarray, " n"]
    voice: Int64[np.ndarray, " n"]
    loudness: Float32[np.ndarray, " n"]
    noise: Float32[np.ndarray, " n"]
    noise_offset: Int64[np.ndarray, " n"]
    targets: Int64[np.ndarray, " tokens"]
    num_targets: Int64[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.num_sounds)

    @functools.cached_property
    def ends(self) -> Int64[np.ndarray, " n+1"]:
        """The end of the sounds of each utterance, after a 0."""
        return np.concatenate([[0], np.cumsum(self.num_sounds)])

    @functools.cached_property
    def num_samples(self) -> Int64[np.ndarray, " n"]:
        """Samples of each utterance."""
        return self.silence + np.add.reduceat(self.duration, self.ends[:-1])

    def read(self, index: int) -> Int16[np.ndarray, " samples"]:
        """Synthesizes an utterance."""
        sounds = slice(self.ends[index], self.ends[index + 1])
        of_voice = toy_speech.sounds()[self.voice[index]]
        wave = np.zeros(self.num_samples[index], np.float32)
        start = int(self.silence[index])
        for sound, duration, offset, level in zip(
            self.sound[sounds].tolist(),
            self.duration[sounds].tolist(),
            self.offset[sounds].tolist(),
            self.level[sounds].tolist(),
            strict=True,
        ):
            if sound != PAUSE:
                part = wave[start : start + duration]
                np.multiply(of_voice[sound, offset : offset + duration], np.float32(level), out=part)
                part[: len(_RAMP)] *= _RAMP
                part[-len(_RAMP) :] *= _RAMP[::-1]
            start += duration
        begin = self.noise_offset[index]
        wave += self.noise[index] * _noise()[begin : begin + len(wave)]
        wave *= self.loudness[index]
        return np.rint(wave, out=wave).clip(-32768, 32767).astype(np.int16)


@functools.cache
def _noise() -> Float32[np.ndarray, " samples"]:
    noise = np.random.Generator(np.random.Philox(key=[_SEED, 99])).standard_normal(_NOISE_SAMPLES, np.float32)
    noise.flags.writeable = False
    return noise


class ToyUtterances:
    """Generated utterances; thread-safe.

    Args:
      size: limits of the utterances.
      split_sizes: number of utterances of each of `SPLITS`.
    """

    origin: Origin = "builtin"

    def __init__(self, size: Size, split_sizes: Mapping[str, int]) -> None:
        self._size = size
        self._split_sizes = dict(split_sizes)
        self._lock = threading.Lock()
        self._plans: dict[str, Plan] = {}

    @functools.cached_property
    def tokenizer(self) -> ToyLanguage:
        """Turns the token ids into text."""
        return ToyLanguage(_FEWEST_WORDS if self._size.vocab_size < 512 else _MORE_WORDS, self._size.vocab_size)

    def describe(self) -> dict[str, Any]:
        """Facts for the log of a run."""
        return {
            "dataset": "generated",
            "version": VERSION,
            "split_sizes": self._split_sizes,
            **dataclasses.asdict(self._size),
        }

    def examples(self, split: str) -> Plan:
        """The utterances of a split."""
        with self._lock:
            if split not in self._plans:
                rng = np.random.Generator(np.random.Philox(key=[_SEED, SPLITS.index(split)]))
                self._plans[split] = plan(self.tokenizer, rng, self._split_sizes[split], self._size)
            return self._plans[split]

    def columns(self, split: str) -> dict[str, np.ndarray]:
        """Columns as those that prepared data have; see `workloads.speech.prepare.index_of`."""
        found = self.examples(split.removesuffix("_index"))
        return {
            "record": np.arange(len(found), dtype=np.int32),
            "num_samples": found.num_samples.astype(np.int32),
            "targets": found.targets.astype(np.uint16),
            "targets_lengths": found.num_targets.astype(np.int32),
        }


def plan(language: ToyLanguage, rng: np.random.Generator, count: int, size: Size) -> Plan:
    """Draws `count` utterances, whose lengths are spread evenly between a second and the longest."""
    spoken = [[*toy_speech.letters_of(word).tolist(), PAUSE] for word in language.words]
    written = [language.encode(word) for word in language.words]
    sounds, sound_starts, word_sounds = _joined(spoken)
    tokens, token_starts, word_tokens = _joined(written)
    # More words than needed for each utterance; then those are kept that fit.
    seconds_of_word = _LETTER_SECONDS * _TEMPO[0] * word_sounds.mean()
    num_words = int(2 * size.max_samples / SAMPLE_RATE / seconds_of_word) + 2
    chances = np.cumsum(1 / (np.arange(len(spoken)) + _FLATTENING))
    words = np.searchsorted(chances, rng.random((count, num_words)) * chances[-1], side="right")
    flat = words.reshape(-1)
    tempo = rng.uniform(*_TEMPO, count)
    sound = sounds[ranges(sound_starts[flat], word_sounds[flat])]
    in_word = word_sounds[flat]
    pace = np.repeat(np.repeat(tempo, num_words), in_word) * rng.uniform(*_VARIATION, len(sound))
    duration = (SAMPLE_RATE * _LETTER_SECONDS * pace).astype(np.int64)
    silence = (SAMPLE_RATE * rng.uniform(*_SILENCE_SECONDS, count)).astype(np.int64)
    of_word = np.add.reduceat(duration, np.cumsum(in_word) - in_word).reshape(words.shape)
    limit = rng.uniform(SAMPLE_RATE * _SHORTEST_SECONDS, size.max_samples, (count, 1))
    fits = silence[:, None] + np.cumsum(of_word, 1) <= limit
    fits &= 1 + np.cumsum(word_tokens[words], 1) <= size.max_targets
    fits[:, 0] = True
    kept = np.repeat(fits.reshape(-1), in_word)
    sound, duration = sound[kept], duration[kept]
    chosen = flat[fits.reshape(-1)]
    ends = np.cumsum(fits.sum(1))
    token_ids = np.split(tokens[ranges(token_starts[chosen], word_tokens[chosen])], _ends(word_tokens[chosen], ends))
    return Plan(
        sound=sound,
        duration=duration,
        offset=rng.integers(0, SOUND_SAMPLES - duration.max() + 1, len(sound)),
        level=rng.uniform(*_LEVEL, len(sound)).astype(np.float32),
        num_sounds=np.where(fits, word_sounds[words], 0).sum(1),
        silence=silence,
        voice=rng.integers(0, NUM_VOICES, count),
        loudness=_spread(rng, *_LOUDNESS, count),
        noise=_spread(rng, *_NOISE, count),
        noise_offset=rng.integers(0, _NOISE_SAMPLES - size.max_samples, count),
        targets=np.concatenate([np.append(ids, END_ID) for ids in token_ids[:count]]),
        num_targets=np.where(fits, word_tokens[words], 0).sum(1) + 1,
    )


def _joined(words: list[list[int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What all words consist of, where each word begins in it, and how long each is."""
    lengths = np.array([len(word) for word in words])
    return np.concatenate([np.array(word) for word in words]), np.cumsum(lengths) - lengths, lengths


def _ends(lengths: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Where the parts of each group end, the groups being given by the number of parts up to their end."""
    return np.cumsum(lengths)[ends - 1]


def _spread(rng: np.random.Generator, least: float, most: float, count: int) -> np.ndarray:
    """Random numbers whose logarithm is uniform."""
    return (least * (most / least) ** rng.random(count)).astype(np.float32)
