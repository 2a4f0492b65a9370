"""A small LibriSpeech, in every form that `prepare` reads."""

import functools
import io
import pathlib
import tarfile
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pytest

from workloads import sentence_pieces
from workloads.sentence_pieces import SentencePieceTokenizer
from workloads.speech.builtin import ToyUtterances
from workloads.speech.sizes import Size

COUNTS = {
    "train-clean-100": 16,
    "train-clean-360": 5,
    "train-other-500": 4,
    "dev-clean": 4,
    "dev-other": 3,
    "test-clean": 5,
}
SPLITS = {
    "train": ("train-clean-100", "train-clean-360", "train-other-500"),
    "validation": ("dev-clean", "dev-other"),
    "test": ("test-clean",),
}
VOCABULARY = 36
"""As many pieces as so little text is enough for."""
OPTIONS = {"vocab_size": str(VOCABULARY)}


class Utterance(NamedTuple):
    name: str
    samples: np.ndarray
    text: str

    @property
    def chapter(self) -> str:
        return self.name.rpartition("-")[0]


@functools.cache
def utterances(subset: str) -> tuple[Utterance, ...]:
    """In the order in which they are prepared: speaker 9 comes before speaker 19."""
    toy = ToyUtterances(Size(64, 24_000, 64), {"train": sum(COUNTS.values())})
    plan = toy.examples("train")
    ends = np.cumsum(plan.num_targets)
    first = sum(list(COUNTS.values())[: list(COUNTS).index(subset)])
    found = []
    for number in range(COUNTS[subset]):
        index = first + number
        ids = plan.targets[ends[index] - plan.num_targets[index] : ends[index]]
        speaker = (9, 19, 103)[3 * number // COUNTS[subset]]
        name = f"{speaker}-{1000 + first}-{number:04d}"
        found.append(Utterance(name, plan.read(index), toy.tokenizer.decode(ids.tolist())))
    return tuple(found)


def of_split(split: str) -> list[Utterance]:
    return [utterance for subset in SPLITS[split] for utterance in utterances(subset)]


@functools.cache
def tokenizer() -> SentencePieceTokenizer:
    """Trained on the transcripts of train-clean-100."""
    texts = ((utterance.text,) for utterance in utterances("train-clean-100"))
    return SentencePieceTokenizer(sentence_pieces.train(texts, vocab_size=VOCABULARY))


def flac(samples: np.ndarray, *, rate: int = 16_000, subtype: str = "PCM_16") -> bytes:
    soundfile = pytest.importorskip("soundfile")
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="FLAC", subtype=subtype)
    return file.getvalue()


def files(subset: str) -> Iterator[tuple[str, bytes]]:
    """Paths and contents as LibriSpeech has them, neither in the order of the utterances nor audio first."""
    lines: dict[str, list[str]] = {}
    for utterance in reversed(utterances(subset)):
        chapter = f"LibriSpeech/{subset}/{utterance.chapter.replace('-', '/')}"
        yield f"{chapter}/{utterance.name}.flac", flac(utterance.samples)
        lines.setdefault(f"{chapter}/{utterance.chapter}.trans.txt", []).append(f"{utterance.name} {utterance.text}\n")
    for path, of_chapter in lines.items():
        yield path, "".join(of_chapter).encode()


def write_folders(folder: pathlib.Path) -> pathlib.Path:
    for subset in COUNTS:
        for name, content in files(subset):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return folder


def write_archives(folder: pathlib.Path, suffix: str = ".tar.gz") -> pathlib.Path:
    """An archive for each subset, with files that belong to none."""
    folder.mkdir(parents=True)
    for subset in COUNTS:
        write_archive(folder / f"{subset}{suffix}", {"LibriSpeech/README.TXT": b"Not this.", **dict(files(subset))})
    return folder


def write_one_archive(folder: pathlib.Path) -> pathlib.Path:
    folder.mkdir(parents=True)
    write_archive(folder / "LibriSpeech.tar", {name: content for subset in COUNTS for name, content in files(subset)})
    return folder


def write_archive(path: pathlib.Path, content_of: Mapping[str, bytes]) -> None:
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for name, content in content_of.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def write_arrays(folder: pathlib.Path) -> pathlib.Path:
    """As the reference prepares it."""
    for subset in COUNTS:
        (folder / subset).mkdir(parents=True)
        lines = [",id\n"]
        for number, utterance in enumerate(reversed(utterances(subset))):
            lines.append(f"{number},{utterance.name}\n")
            np.save(folder / subset / f"{utterance.name}_audio.npy", utterance.samples.astype(np.int64))
            (ids,) = tokenizer().encode([utterance.text])
            np.save(folder / subset / f"{utterance.name}_targets.npy", np.array(ids, np.int32))
        (folder / f"{subset}.csv").write_text("".join(lines))
    (folder / "spm_model.vocab").write_bytes(tokenizer().model)
    return folder
