"""LibriSpeech: from archives, unpacked folders or the reference's prepared folder to records of one utterance each.

V. Panayotov et al., "LibriSpeech: an ASR corpus based on public domain audio books", ICASSP 2015,
https://www.openslr.org/12. `subsets` describes the folder that is passed with --from. A tokenizer in it,
`spm_model.vocab` or `*.model`, is used; without one, a tokenizer is trained on the transcripts of train-clean-100.

A record of the splits `train`, `validation` and `test` has `samples` int16 [samples] and `name` uint8 [bytes]; records
are in the order in which the audio is read. Each split is followed by its index, whose rows are in the order of the
utterances (speaker, chapter and number, one subset after another): `record` int32 [n], the number of its record;
`num_samples` int32 [n]; `targets` uint16 [tokens] with `targets_lengths` int32 [n]. `tokenizer` comes last.
"""

import collections
import concurrent.futures
import functools
import itertools
import logging
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from algoperf_jax.data.download import Download
from algoperf_jax.data.prepared import Block, Conversion, DatasetSpec
from algoperf_jax.data.workers import usable_cores
from algoperf_jax.errors import ConfigError, DataError, did_you_mean
from workloads import sentence_pieces
from workloads.prepared_text import TOKENIZER_SPLIT, tokenizer_block, tokenizer_facts
from workloads.sentence_pieces import SentencePieceTokenizer
from workloads.speech import recordings, subsets
from workloads.speech.recordings import BadAudioError, Samples
from workloads.speech.sizes import FULL, SAMPLE_RATE
from workloads.speech.subsets import SUBSETS, Recording, Subset, Transcript, sort_key

DATASET = DatasetSpec("librispeech", "1.0.0", compressed=False)
DOWNLOADS = tuple(
    Download(f"https://www.openslr.org/resources/12/{name}.tar.gz", f"{name}.tar.gz", num_bytes, f"sha256:{digest}")
    for name, num_bytes, digest in (
        ("train-clean-100", 6_387_309_499, "d4ddd1d5a6ab303066f14971d768ee43278a5f2a0aa43dc716b0e64ecbbbf6e2"),
        ("train-clean-360", 23_049_477_885, "146a56496217e96c14334a160df97fffedd6e0a04e66b9c5af0d40be3c792ecf"),
        ("train-other-500", 30_593_501_606, "ddb22f27f96ec163645d53215559df6aa36515f26e01dd70798188350adcb6d2"),
        ("dev-clean", 337_926_286, "76f87d090650617fca0cac8f88b9416e0ebf80350acb97b343a85fa903728ab3"),
        ("dev-other", 314_305_928, "12661c48e8c3fe1de2c1caa4c3e135193bfb1811584f11f569dd12645aa84365"),
        ("test-clean", 346_663_984, "39fde525e59672dc6d1551919b1478f724438a95aa55f874b576be21967e6c23"),
    )
)
OPTIONS = ("vocab_size", "train", "validation", "test")
"""`vocab_size=N`: pieces of the tokenizer. `train=SUBSET,...`, and likewise for the other splits: its subsets."""
MOST_CHARACTERS = 256
"""Of a transcript; utterances with a longer one are left out, as in the reference."""

_SUBSETS_OF: Mapping[str, tuple[str, ...]] = {
    "train": ("train-clean-100", "train-clean-360", "train-other-500"),
    "validation": ("dev-clean", "dev-other"),
    "test": ("test-clean",),
}
_NUM_UTTERANCES = {"train": 263_840, "validation": 5_348, "test": 2_472}
_TOO_MANY_CHARACTERS = f"over {MOST_CHARACTERS} characters"
_TOO_LONG = f"over {FULL.max_samples // SAMPLE_RATE} seconds"
_TOO_MANY_TOKENS = f"over {FULL.max_targets} tokens"
_UNUSABLE = "unusable"
_COUNTED = ("read", "kept", _TOO_MANY_CHARACTERS, _TOO_LONG, _TOO_MANY_TOKENS, _UNUSABLE)
_FOR_TOKENIZER = "train-clean-100"
_TOKENIZER_FILE = "spm_model.vocab"
_LARGEST_VOCABULARY = 1 << 16
"""Of the stored type."""
_AT_A_TIME, _TEXTS_AT_A_TIME, _ROWS_PER_BLOCK = 64, 8192, 1 << 15
_NEEDED = (
    "Get the archives from https://www.openslr.org/12, or name the subsets that there are with --option={split}=SUBSET."
)

_log = logging.getLogger(__name__)


def index_of(split: str) -> str:
    """The name under which the index of a split is stored."""
    return f"{split}_index"


def convert(
    folder: pathlib.Path,
    *,
    vocab_size: str | None = None,
    train: str | None = None,
    validation: str | None = None,
    test: str | None = None,
) -> Conversion:
    """Reads all transcripts, trains a tokenizer if the folder has none, and decodes the audio.

    Utterances with a transcript of over 256 characters or tokens, or with over 20 seconds of audio, are left out and
    counted. What cannot be used is left out, and listed at the end.

    Args:
      folder: holds the raw files.
      vocab_size: number of pieces, 1,024 if None.
      train, validation, test: names of subsets, separated by commas.

    Raises:
      DataError: a split has no subset, a subset that was named is missing, an archive or the tokenizer is damaged, or
        no utterance of a split is left.
      ConfigError: an option has an invalid value.
    """
    size = FULL.vocab_size if vocab_size is None else _number("vocab_size", vocab_size)
    problems: list[str] = []
    chosen = _chosen(folder, {"train": train, "validation": validation, "test": test}, problems)
    every = {subset.name: subset for of_split in chosen.values() for subset in of_split}
    if any(subset.has_text for subset in every.values()):
        _soundfile()  # An installation that lacks it should fail at once.
    transcripts = {name: subset.transcripts(problems) for name, subset in every.items()}
    pieces = _tokenizer(folder, size, chosen, transcripts)
    counts: dict[str, dict[str, collections.Counter[str]]] = {}
    splits: dict[str, Iterable[Block]] = {}
    for split, of_split in chosen.items():
        rows: list[_Row] = []
        counts[split] = {subset.name: collections.Counter(dict.fromkeys(_COUNTED, 0)) for subset in of_split}
        splits[split] = _blocks(split, of_split, transcripts, pieces, rows, counts[split], problems)
        splits[index_of(split)] = _index_blocks(rows)
    splits[TOKENIZER_SPLIT] = _last_block(pieces, problems)

    def facts() -> dict[str, object]:
        per_subset = {split: {name: dict(c) for name, c in of_split.items()} for split, of_split in counts.items()}
        return {"tokenizer": tokenizer_facts(pieces), "utterances": per_subset, "problems": len(problems)}

    return Conversion(splits, facts)


@functools.cache
def _soundfile() -> ModuleType:
    try:
        import soundfile
    except (ImportError, OSError) as error:
        raise DataError(
            "LibriSpeech comes as FLAC, and soundfile is not installed", remedy='Run: pip install -e ".[prepare]"'
        ) from error
    return soundfile


def _decode_flac(content: bytes) -> Samples:
    return recordings.decode_flac(_soundfile(), content)


def _number(option: str, text: str) -> int:
    if not text.isdecimal() or not 4 <= int(text) <= _LARGEST_VOCABULARY:
        raise ConfigError(f"--option {option}", value=text, expected=f"a number from 4 to {_LARGEST_VOCABULARY:,}")
    return int(text)


def _chosen(
    folder: pathlib.Path, named: Mapping[str, str | None], problems: list[str]
) -> dict[str, tuple[Subset, ...]]:
    """The subsets of each split. One that is missing and was not asked for by name is a problem, not an error."""
    wanted = {split: _SUBSETS_OF[split] if names is None else _names(split, names) for split, names in named.items()}
    found = subsets.find(folder, tuple(dict.fromkeys(itertools.chain.from_iterable(wanted.values()))), _decode_flac)
    chosen = {}
    for split, names in wanted.items():
        missing = [name for name in names if name not in found]
        if missing and (named[split] is not None or len(missing) == len(names)):
            raise DataError(
                f"no {' and no '.join(missing)} for the split {split} in {folder}",
                expected="its archive, its folder, or the reference's .csv with a folder of .npy files",
                remedy=_NEEDED.format(split=split),
            )
        problems += [f"the subset {name} is missing" for name in missing]
        chosen[split] = tuple(found[name] for name in names if name in found)
        for subset in chosen[split]:
            _log.info("%s: %s from %s", split, subset.name, subset.place)
    return chosen


def _names(split: str, text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    for name in names:
        if name not in SUBSETS:
            raise ConfigError(f"--option {split}", value=name, remedy=did_you_mean(name, SUBSETS))
    return names


def _tokenizer(
    folder: pathlib.Path,
    size: int,
    chosen: Mapping[str, Sequence[Subset]],
    transcripts: Mapping[str, Mapping[str, Transcript | None]],
) -> SentencePieceTokenizer:
    """The tokenizer in the folder, or one trained on transcripts, in the order of the utterances."""
    if (found := sentence_pieces.find(folder, _TOKENIZER_FILE, vocab_size=size)) is not None:
        return found
    if encoded := [subset.place for of_split in chosen.values() for subset in of_split if not subset.has_text]:
        raise DataError(
            f"no tokenizer in {folder}",
            expected=f"{_TOKENIZER_FILE}, the model that made the token ids of {encoded[0]}",
        )
    names = [subset.name for subset in chosen["train"]]
    names = [_FOR_TOKENIZER] if _FOR_TOKENIZER in names else names
    _log.info("training a tokenizer of %s pieces on %s", f"{size:,}", ", ".join(names))
    texts = (transcripts[name][utterance] for name in names for utterance in sorted(transcripts[name], key=sort_key))
    trained = sentence_pieces.train(((text,) for text in texts if isinstance(text, str)), vocab_size=size)
    return SentencePieceTokenizer(trained, f"trained on the transcripts of {', '.join(names)}")


class _Row(NamedTuple):
    """A row of an index; rows are sorted by their keys."""

    key: tuple[Any, ...]
    record: int
    num_samples: int
    targets: np.ndarray


def _blocks(
    split: str,
    of_split: Sequence[Subset],
    transcripts: Mapping[str, Mapping[str, Transcript | None]],
    pieces: SentencePieceTokenizer,
    rows: list[_Row],
    counts: Mapping[str, collections.Counter[str]],
    problems: list[str],
) -> Iterator[Block]:
    """Yields the record of each utterance that is kept, and adds its row to `rows`."""
    for number, subset in enumerate(of_split):
        texts, count = transcripts[subset.name], counts[subset.name]
        targets = _encoded(subset, texts, pieces, problems)
        seen: set[str] = set()
        for recording, samples in _decoded(subset.recordings(), targets):
            count["read"] += 1
            again = recording.name in seen
            seen.add(recording.name)
            ids = targets.get(recording.name)
            if again or recording.name not in texts:
                problems.append(f"{recording.place}: {'a second recording' if again else 'audio without a transcript'}")
                count[_UNUSABLE] += 1
            elif isinstance(samples, BadAudioError):
                problems.append(f"{recording.place} {samples}")
                count[_UNUSABLE] += 1
            elif ids is None:
                # Of those that are not text, it was reported why they cannot be used.
                count[_TOO_MANY_CHARACTERS if isinstance(texts[recording.name], str) else _UNUSABLE] += 1
            elif len(samples) > FULL.max_samples:
                count[_TOO_LONG] += 1
            elif len(ids) > FULL.max_targets:
                count[_TOO_MANY_TOKENS] += 1
            else:
                count["kept"] += 1
                rows.append(_Row((number, sort_key(recording.name)), len(rows), len(samples), ids))
                yield Block(1, {"samples": samples, "name": np.frombuffer(recording.name.encode(), np.uint8)})
        silent = sorted((name for name in texts if name not in seen), key=sort_key)
        problems += [f"{subset.name}/{name}: a transcript without audio" for name in silent]
        _log.info("%s: %s", subset.name, _summary(count))
    if not rows:
        raise DataError(
            f"no utterance is left in the split {split}",
            value="; ".join(f"{name}: {_summary(count)}" for name, count in counts.items()),
            expected="at least one",
            remedy=f"The first that cannot be used: {problems[0]}." if problems else None,
        )
    if len(rows) != _NUM_UTTERANCES[split]:
        _log.warning(
            "%s does not have the %s utterances of LibriSpeech: results are not comparable with published ones",
            split,
            f"{_NUM_UTTERANCES[split]:,}",
        )


def _summary(count: Mapping[str, int]) -> str:
    dropped = ", ".join(f"{n:,} {reason}" for reason, n in count.items() if reason not in ("read", "kept") and n)
    return f"{count['read']:,} utterances, {count['kept']:,} kept" + (f", left out: {dropped}" if dropped else "")


def _encoded(
    subset: Subset, texts: Mapping[str, Transcript | None], pieces: SentencePieceTokenizer, problems: list[str]
) -> dict[str, np.ndarray]:
    """The token ids of the transcripts that can be used and are not too long."""
    found: dict[str, np.ndarray] = {}
    short = [(name, text) for name, text in texts.items() if isinstance(text, str) and len(text) <= MOST_CHARACTERS]
    for start in range(0, len(short), _TEXTS_AT_A_TIME):
        names, sentences = zip(*short[start : start + _TEXTS_AT_A_TIME], strict=True)
        encoded = pieces.encode(sentences, num_threads=usable_cores())
        found.update((name, np.array(ids, np.uint16)) for name, ids in zip(names, encoded, strict=True))
    for name, ids in texts.items():
        if isinstance(ids, np.ndarray):
            if ids.min() < 0 or ids.max() >= pieces.vocab_size or ids[-1] != sentence_pieces.END_ID:
                problems.append(
                    f"{subset.name}/{name}: token ids from {ids.min()} to {ids.max()}, ending with {ids[-1]}; those of "
                    f"the tokenizer are below {pieces.vocab_size} and end with {sentence_pieces.END_ID}"
                )
                continue
            found[name] = ids.astype(np.uint16)
    return found


def _decoded(
    stream: Iterator[Recording], targets: Mapping[str, np.ndarray]
) -> Iterator[tuple[Recording, Samples | BadAudioError]]:
    """Decodes the recordings that have token ids; of the others, the samples are empty."""
    nothing = np.zeros(0, np.int16)

    def samples_of(recording: Recording) -> Samples | BadAudioError:
        try:
            return recording.samples() if recording.name in targets else nothing
        except BadAudioError as error:
            return error

    # Decoding releases the interpreter lock, so threads suffice.
    with concurrent.futures.ThreadPoolExecutor(usable_cores()) as threads:
        while group := list(itertools.islice(stream, _AT_A_TIME)):
            yield from zip(group, threads.map(samples_of, group), strict=True)


def _index_blocks(rows: list[_Row]) -> Iterator[Block]:
    """Yields the index of a split, after all its records."""
    ordered = sorted(rows, key=lambda row: row.key)
    for start in range(0, len(ordered), _ROWS_PER_BLOCK):
        _, records, num_samples, targets = zip(*ordered[start : start + _ROWS_PER_BLOCK], strict=True)
        columns = {
            "record": np.array(records, np.int32),
            "num_samples": np.array(num_samples, np.int32),
            "targets": np.concatenate(targets),
            "targets_lengths": np.array([len(ids) for ids in targets], np.int32),
        }
        yield Block(len(records), columns)


def _last_block(pieces: SentencePieceTokenizer, problems: list[str]) -> Iterator[Block]:
    """Yields the tokenizer, after all splits, and lists what could not be used."""
    yield tokenizer_block(pieces)
    if problems:
        _log.warning("%d problems; what they concern was left out:\n  %s", len(problems), "\n  ".join(problems))
