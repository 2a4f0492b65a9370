"""The invented spoken language: the same in every process, spoken text is written text, sounds can be told apart."""

import hashlib

import numpy as np
import pytest

from workloads.sentence_pieces import END_ID
from workloads.speech import toy_speech
from workloads.speech.builtin import Plan, ToyUtterances
from workloads.speech.prepare import index_of
from workloads.speech.sizes import FULL, SMALL, Size
from workloads.speech.toy_speech import LETTERS, PAUSE, ToyLanguage

SIZES = {"train": 60, "validation": 20, "test": 10}
LANGUAGES = {"small": ToyLanguage(200, SMALL.vocab_size), "full": ToyLanguage(2000, FULL.vocab_size)}


def utterances(size: Size = SMALL) -> ToyUtterances:
    return ToyUtterances(size, SIZES)


@pytest.mark.parametrize("size", [SMALL, FULL], ids=["small", "full"])
def test_utterances_keep_to_the_limits(size: Size) -> None:
    plan = utterances(size).examples("train")
    assert plan.num_samples.min() >= 16_000 * 0.3
    assert plan.num_samples.max() <= size.max_samples
    assert plan.num_samples.max() > 0.8 * size.max_samples
    assert plan.num_targets.max() <= size.max_targets
    assert plan.targets.max() < size.vocab_size
    assert len(plan) == SIZES["train"]
    samples = plan.read(3)
    assert (samples.dtype, len(samples)) == (np.int16, plan.num_samples[3])
    assert 100 < samples.std() < 8000


def said(plan: Plan, index: int) -> str:
    """The text that the sounds of an utterance spell."""
    sounds = plan.sound[plan.ends[index] : plan.ends[index + 1]]
    return "".join(" " if sound == PAUSE else LETTERS[sound] for sound in sounds).strip()


@pytest.mark.parametrize("size", [SMALL, FULL], ids=["small", "full"])
def test_what_is_written_is_what_is_said(size: Size) -> None:
    found = utterances(size)
    plan = found.examples("validation")
    for index, ids in enumerate(np.split(plan.targets, np.cumsum(plan.num_targets)[:-1])):
        assert ids[-1] == END_ID
        assert found.tokenizer.decode(ids.tolist()) == said(plan, index)


def test_columns_are_those_of_prepared_data() -> None:
    columns = utterances().columns(index_of("test"))
    assert {name: column.dtype.name for name, column in columns.items()} == {
        "record": "int32",
        "num_samples": "int32",
        "targets": "uint16",
        "targets_lengths": "int32",
    }
    assert columns["targets_lengths"].sum() == len(columns["targets"])


def test_the_same_in_every_process() -> None:
    plan = utterances().examples("test")
    what = hashlib.sha256(b"".join(array.tobytes() for array in (plan.sound, plan.duration, plan.targets)))
    assert what.hexdigest()[:16] == "3ec01c53a4a810f2"
    assert utterances().examples("test").read(4).tobytes() == plan.read(4).tobytes()


def test_splits_differ() -> None:
    found = utterances()
    texts = [{said(found.examples(split), index) for index in range(SIZES[split])} for split in SIZES]
    assert not (texts[0] & texts[1] & texts[2])
    assert len(texts[0]) > 0.9 * SIZES["train"]


@pytest.mark.parametrize("name", LANGUAGES)
def test_pieces_write_every_word(name: str) -> None:
    language = LANGUAGES[name]
    assert len(set(language.pieces[3:])) == language.vocab_size - 3
    for word in language.words:
        ids = language.encode(word)
        assert language.decode([*ids, END_ID, 0]) == f"{word} \u2047"
    assert language.decode([]) == ""
    assert language.decode([1, 2]) == ""
    two = [*language.encode(language.words[0]), *language.encode(language.words[1])]
    assert language.decode(two) == " ".join(language.words[:2])


def test_a_large_vocabulary_has_whole_words() -> None:
    language = LANGUAGES["full"]
    assert len(language.encode(language.words[0])) == 1
    assert len(LANGUAGES["small"].encode(LANGUAGES["small"].words[0])) > 1


def test_letters_sound_different_from_every_voice() -> None:
    """The nearest average spectrum of other voices names most letters."""
    spectra = np.abs(np.fft.rfft(toy_speech.sounds()[:, :-1].reshape(16, 26, 8, 512))) ** 2
    bands = np.log(spectra.mean(2)[:, :, :256].reshape(16, 26, 64, 4).mean(-1) + 1e-3)
    right = 0
    for voice in range(16):
        others = np.delete(bands, voice, 0).mean(0)
        distances = ((bands[voice][:, None] - others[None]) ** 2).sum(-1)
        right += (distances.argmin(1) == np.arange(26)).mean()
    assert right / 16 > 0.8


def test_a_vocabulary_that_words_cannot_fill() -> None:
    with pytest.raises(ValueError, match="10 words are too few for 1024 token ids"):
        _ = ToyLanguage(10, 1024).pieces
