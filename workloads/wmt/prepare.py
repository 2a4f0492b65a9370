"""WMT German-English: from TensorFlow Datasets, plain text or the archives of WMT to columns of token ids.

Nothing is downloaded. One folder, passed with --from, holds:

- `wmt17_translate/de-en` (train) and `wmt14_translate/de-en` (validation, test) as TensorFlow Datasets writes them, in
  either file format;
- or parallel text, see `parallel_text`, below the folder or in tar archives: of WMT 2017
  training-parallel-{europarl-v7,commoncrawl,nc-v12}.tgz and rapid2016.tgz, with newstest2013 (dev.tgz) and newstest2014
  (test-full.tgz), all from https://www.statmt.org; or `train.{de,en}`, `val.{de,en}` and `test.{de,en}`;
- optionally a tokenizer, `wmt_sentencepiece_model` or `*.model`; without one, a tokenizer is trained.

Each split has the columns `inputs` and `targets` uint16 [tokens], German and English, with `inputs_lengths` and
`targets_lengths` int32 [examples]. The SentencePiece model is stored as a further split,
`tokenizer`, with the column `model` uint8 [bytes].
"""

import collections
import importlib
import itertools
import logging
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np

from algoperf_jax.data.download import Download
from algoperf_jax.data.prepared import Block, Conversion, DatasetSpec
from algoperf_jax.data.workers import usable_cores
from algoperf_jax.errors import ConfigError, DataError
from workloads import sentence_pieces
from workloads.prepared_text import TOKENIZER_SPLIT, tokenizer_block, tokenizer_facts
from workloads.sentence_pieces import SentencePieceTokenizer
from workloads.wmt import parallel_text, tfds_text
from workloads.wmt.parallel_text import Document, Pair

DATASET = DatasetSpec("wmt", "1.0.0")
DOWNLOADS: tuple[Download, ...] = ()
OPTIONS = ("vocab_size", "max_length", "train", "validation", "test")
"""`vocab_size=N`: pieces of the tokenizer. `max_length=N`: pairs with a longer side are left out. `train=PATTERN,...`,
and likewise for the other splits: the names of its documents, as in `parallel_text.corpora`."""
VOCAB_SIZE, MAX_LENGTH = 32_000, 256

_LARGEST_VOCABULARY = 1 << 16
"""Of the stored type."""
_TFDS = {
    "train": ("wmt17_translate/de-en", "train"),
    "validation": ("wmt14_translate/de-en", "validation"),
    "test": ("wmt14_translate/de-en", "test"),
}
_PATTERNS = {
    "train": (
        "train.*",
        "europarl-v7.de-en.*",
        "commoncrawl.de-en.*",
        "news-commentary-v12.de-en.*",
        "rapid2016.de-en.*",
    ),
    "validation": ("val.*", "valid.*", "validation.*", "dev.*", "newstest2013-*", "newstest2013.de-en.*"),
    "test": ("test.*", "test_*", "newstest2014-deen-*", "newstest2014.de-en.*"),
}
_NUM_PAIRS = {"train": 5_906_184, "validation": 3_000, "test": 3_003}
_PAIRS_PER_BLOCK = 8192

_log = logging.getLogger(__name__)


class Corpus(Protocol):
    """Pairs of sentences from one place."""

    @property
    def name(self) -> str: ...

    def pairs(self) -> Iterator[Pair]: ...


def convert(
    folder: pathlib.Path,
    *,
    vocab_size: str | None = None,
    max_length: str | None = None,
    train: str | None = None,
    validation: str | None = None,
    test: str | None = None,
) -> Conversion:
    """Trains a tokenizer if the folder has none, and encodes the splits while they are read.

    Args:
      folder: holds the raw files.
      vocab_size: number of pieces, 32,000 if None.
      max_length: tokens of the longest sentence that is kept, its end included, 256 if None.
      train, validation, test: patterns of names of documents, separated by commas.

    Raises:
      DataError: text is missing or damaged (names file and line), the tokenizer is damaged or has another size, or no
        pair of a split is left.
      ConfigError: an option has an invalid value.
    """
    wanted_size = None if vocab_size is None else _number("vocab_size", vocab_size, 4, _LARGEST_VOCABULARY)
    length = MAX_LENGTH if max_length is None else _number("max_length", max_length, 2, 1 << 20)
    corpora = _corpora(folder, {"train": train, "validation": validation, "test": test})
    for split, of_split in corpora.items():
        _log.info("%s is made of %s", split, ", ".join(corpus.name for corpus in of_split))
    pieces = _tokenizer(folder, corpora["train"], wanted_size)
    counts: dict[str, collections.Counter[str]] = {split: collections.Counter() for split in corpora}
    splits: dict[str, Iterable[Block]] = {
        split: _blocks(split, of_split, pieces, length, counts[split]) for split, of_split in corpora.items()
    }
    splits[TOKENIZER_SPLIT] = [tokenizer_block(pieces)]
    return Conversion(
        splits,
        lambda: {
            "tokenizer": tokenizer_facts(pieces),
            "max_length": length,
            "corpora": {split: [corpus.name for corpus in of_split] for split, of_split in corpora.items()},
            "pairs": {split: dict(counter) for split, counter in counts.items()},
        },
    )


def _number(option: str, text: str, least: int, most: int) -> int:
    if not text.isdecimal() or not least <= int(text) <= most:
        raise ConfigError(f"--option {option}", value=text, expected=f"a number from {least} to {most:,}")
    return int(text)


def _corpora(folder: pathlib.Path, patterns: Mapping[str, str | None]) -> dict[str, list[Corpus]]:
    """Finds the text of each split."""
    found: dict[str, list[Corpus]] = {}
    documents: list[Document] | None = None
    for split, given in patterns.items():
        dataset, stored_split = _TFDS[split]
        if given is None and (stored := tfds_text.find(folder, dataset, stored_split, _example_parser)) is not None:
            found[split] = [stored]
            continue
        # Only where they are needed: listing archives takes as long as unpacking them.
        documents = parallel_text.documents(folder) if documents is None else documents
        names = _PATTERNS[split] if given is None else tuple(given.split(","))
        found[split] = [*parallel_text.corpora(documents, names)]
        if not found[split]:
            raise DataError(
                f"no text for the split {split} in {folder}",
                value=[document.name for document in documents[:20]],
                expected=f"{dataset} of TensorFlow Datasets, or pairs of documents that end with .de and .en, named "
                + " or ".join(names),
                remedy=f"Name the documents with --option={split}=PATTERN.",
            )
    return found


def _example_parser() -> Callable[[bytes], Any]:
    """Parses messages `tf.train.Example`, which TensorFlow Datasets defines without TensorFlow."""
    try:
        return importlib.import_module("tensorflow_datasets.proto").tf_example_pb2.Example.FromString
    except ImportError as error:
        raise DataError(
            "reading text from TensorFlow Datasets needs tensorflow-datasets, which is not installed",
            remedy='Install it with: pip install -e ".[prepare]"',
        ) from error


def _tokenizer(folder: pathlib.Path, corpora: Iterable[Corpus], wanted_size: int | None) -> SentencePieceTokenizer:
    """The tokenizer in the folder, or one trained on the training pairs."""
    size = VOCAB_SIZE if wanted_size is None else wanted_size
    if (found := sentence_pieces.find(folder, "wmt_sentencepiece_model", vocab_size=size)) is not None:
        return found
    _log.info("training a tokenizer of %s pieces", f"{size:,}")
    # The corpora take turns, so that the first one does not decide all pieces.
    trained = sentence_pieces.train(_in_turn([corpus.pairs() for corpus in corpora]), vocab_size=size)
    return SentencePieceTokenizer(trained, "trained on the first pairs of train")


def _in_turn(streams: Iterable[Iterator[Pair]]) -> Iterator[Pair]:
    """Interleaves the streams until all are exhausted; skips pairs with an empty side."""
    for pairs in itertools.zip_longest(*streams):
        yield from (pair for pair in pairs if pair is not None and _is_whole(pair))


def _is_whole(pair: Pair) -> bool:
    return all(sentence.strip() for sentence in pair)


def _blocks(
    split: str,
    corpora: Iterable[Corpus],
    pieces: SentencePieceTokenizer,
    max_length: int,
    counts: collections.Counter[str],
) -> Iterator[Block]:
    """Encodes the pairs; counts those that were read, kept, and left out for each reason in `counts`."""
    counts.update({"read": 0, "kept": 0, "with an empty side": 0, f"over {max_length} tokens": 0})
    stream = itertools.chain.from_iterable(corpus.pairs() for corpus in corpora)
    while pairs := list(itertools.islice(stream, _PAIRS_PER_BLOCK)):
        whole = [pair for pair in pairs if _is_whole(pair)]
        sides = ([pair[side] for pair in whole] for side in (0, 1))
        encoded = (pieces.encode(sentences, num_threads=usable_cores()) for sentences in sides)
        kept = [ids for ids in zip(*encoded, strict=True) if max(map(len, ids)) <= max_length]
        counts["read"] += len(pairs)
        counts["with an empty side"] += len(pairs) - len(whole)
        counts[f"over {max_length} tokens"] += len(whole) - len(kept)
        counts["kept"] += len(kept)
        if kept:
            yield _block(kept)
    dropped = {reason: n for reason, n in counts.items() if reason not in ("read", "kept") and n}
    reasons = ", ".join(f"{n:,} {reason}" for reason, n in dropped.items())
    summary = f"{split}: {counts['read']:,} pairs, {counts['kept']:,} kept" + (
        f", left out: {reasons}" if reasons else ""
    )
    if not counts["kept"]:
        raise DataError(f"no pair is left in the split {split}", value=summary, expected="at least one")
    _log.info("%s", summary)
    if counts["read"] != _NUM_PAIRS[split]:
        _log.warning(
            "%s does not have the %s pairs of WMT: results are not comparable with published ones",
            split,
            f"{_NUM_PAIRS[split]:,}",
        )


def _block(pairs: list[tuple[list[int], list[int]]]) -> Block:
    columns: dict[str, np.ndarray] = {}
    for name, sentences in zip(("inputs", "targets"), zip(*pairs, strict=True), strict=True):
        columns[name] = np.fromiter(itertools.chain.from_iterable(sentences), np.uint16)
        columns[f"{name}_lengths"] = np.array([len(sentence) for sentence in sentences], np.int32)
    return Block(len(pairs), columns)
