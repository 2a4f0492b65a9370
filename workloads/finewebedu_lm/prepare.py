"""FineWeb-Edu: from saved token ids, or from text and a tokenizer, to token files; see `tokens`.

Nothing is downloaded. One folder, passed with --from, holds:

- `train/` and `val/` with token ids, as the reference implementation of the benchmark saves them; see `saved_tokens`.
  Documents stay in their order and in their split;
- or text, see `raw_text`: the Parquet files of `sample-10BT` from
  https://huggingface.co/datasets/HuggingFaceFW/fineweb-edu, or text of any other origin; and the tokenizer of GPT-2,
  `tokenizer.json` or `vocab.json` and `merges.txt`, from https://huggingface.co/openai-community/gpt2.

Documents of text are shuffled; the first 90 % become the split `train`, the rest `validation`. The reference does the
same with another shuffle, and nobody has published the order that its scores were computed with.
"""

import itertools
import logging
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt32

from algoperf_jax.data.continued import Written
from algoperf_jax.data.download import Download
from algoperf_jax.data.manifest import Split
from algoperf_jax.errors import ConfigError, DataError
from workloads.finewebedu_lm import byte_pairs, raw_text, saved_tokens, tokens
from workloads.finewebedu_lm.byte_pairs import Tokenizer
from workloads.finewebedu_lm.raw_text import TextFile
from workloads.finewebedu_lm.tokens import LARGEST_VOCABULARY, TokenStream

DATASET = tokens.DATASET
DOWNLOADS: tuple[Download, ...] = ()
OPTIONS = ("vocab_size", "tokenizer", "documents")
"""`vocab_size=N`: token ids of the model. `tokenizer=train` trains a tokenizer of this size on the text.
`documents=files`: each file of plain text is a document; without it, blank lines separate them."""
VOCAB_SIZE = 50_257
TRAIN_SHARE = 0.9
SHUFFLE_SEED = 0

_REFERENCE_TRAIN_TOKENS = range(8_749_870 * 1_025, 8_749_871 * 1_025)
_TEXTS_AT_A_TIME = 1024
_TIMES_TO_REPORT = 64
_DOCUMENTS_AT_A_TIME = 4096
_TRAINING_CHARACTERS = 100_000_000
"""A tokenizer is trained on so much text."""

_log = logging.getLogger(__name__)


def convert_into(
    folder: pathlib.Path,
    own: pathlib.Path,
    *,
    vocab_size: str | None = None,
    tokenizer: str | None = None,
    documents: str = "paragraphs",
) -> Written:
    """Converts what is in `folder`; files that an earlier try completed from the same source are kept.

    Args:
      folder: holds the raw files.
      own: where the tokens go.
      vocab_size: token ids of the model, 50,257 if None.
      tokenizer: `train`, or None for the one in the folder.
      documents: `paragraphs` or `files`.

    Raises:
      DataError: raw files are missing, damaged, mixed or empty, or do not fit the vocabulary.
      ConfigError: an option has an invalid value.
    """
    size = VOCAB_SIZE if vocab_size is None else _vocab_size(vocab_size)
    if tokenizer not in (None, "train"):
        raise ConfigError("--option tokenizer", value=tokenizer, expected="train")
    if documents not in raw_text.SEPARATIONS:
        raise ConfigError("--option documents", value=documents, expected=" or ".join(raw_text.SEPARATIONS))
    saved, texts = saved_tokens.find(folder), raw_text.find(folder)
    if saved is not None and texts:
        raise DataError(
            f"{folder} mixes token ids and text",
            value=[f"{saved / 'train'}", f"{texts[0].path}"],
            expected="one of them",
            remedy="Move the other one elsewhere.",
        )
    if saved is not None:
        return _from_saved(saved, own, vocab_size=size)
    if texts:
        pieces = _tokenizer(folder, texts, size, separation=documents, is_trained=tokenizer is not None)
        return _from_text(folder, texts, own, pieces, separation=documents)
    raise DataError(
        f"no text and no token ids in {folder}",
        expected="train/ and val/ with Arrow files and a state.json, or Parquet files, JSON lines (.jsonl) or plain "
        "text (.txt)",
    )


def _vocab_size(text: str) -> int:
    if not text.isdecimal() or not 2 <= int(text) <= LARGEST_VOCABULARY:
        raise ConfigError("--option vocab_size", value=text, expected=f"a number from 2 to {LARGEST_VOCABULARY:,}")
    return int(text)


def _from_saved(folder: pathlib.Path, own: pathlib.Path, *, vocab_size: int) -> Written:
    """A pair of files for each Arrow file."""
    splits, kept = {}, []
    for split, part in saved_tokens.SPLITS.items():
        names = []
        for number, path in enumerate(saved_tokens.files(folder / part)):
            names.append(f"{split}-{number:05d}")
            source = {"file": f"{part}/{path.name}", "bytes": path.stat().st_size, "vocab_size": vocab_size}
            if tokens.is_complete(own, names[-1], source=source):
                continue
            with tokens.writer(own, names[-1], source=source) as append:
                for ids, lengths in saved_tokens.read(path, vocab_size=vocab_size):
                    append(ids, lengths)
        if not names:
            raise DataError(f"{folder / part} has no documents")
        splits[split] = tokens.manifest_split(own, names)
        kept += names
    tokens.remove_others(own, kept)
    if (count := _counts(splits)["train"]) not in _REFERENCE_TRAIN_TOKENS:
        _log.warning(
            "train has %s tokens, not the 8,749,870 windows of 1,025 of the reference: results are not comparable with "
            "published ones",
            f"{count:,}",
        )
    facts = {"tokenizer": {"vocab_size": vocab_size, "from": "the token ids"}, "kind": "token ids"}
    return Written(splits, {**facts, "tokens": _counts(splits)})


def _counts(splits: Mapping[str, Split]) -> dict[str, int]:
    """The number of tokens of each split."""
    return {name: split.columns["tokens"].shape[0] for name, split in splits.items()}


def _tokenizer(
    folder: pathlib.Path, texts: Sequence[TextFile], vocab_size: int, *, separation: str, is_trained: bool
) -> Tokenizer:
    """The tokenizer in the folder, or one trained on the text, of the right size."""
    if is_trained:
        _log.info("training a tokenizer of %s tokens", f"{vocab_size:,}")
        stream = itertools.chain.from_iterable(raw_text.read(file, separation=separation) for file in texts)
        found = byte_pairs.train(_first_characters(stream, _TRAINING_CHARACTERS), vocab_size=vocab_size)
    else:
        found = byte_pairs.find(folder)
    if found is None:
        raise DataError(
            f"no tokenizer in {folder}",
            expected="tokenizer.json, or vocab.json and merges.txt",
            remedy="Put those of GPT-2 there, or train one with --option=tokenizer=train --option=vocab_size=N.",
        )
    if found.vocab_size != vocab_size:
        remedy = (
            "A tokenizer of this size needs more text."
            if is_trained
            else f"Choose another tokenizer, or --option=vocab_size={found.vocab_size} for a model of that size."
        )
        raise DataError(
            f"vocabulary of the tokenizer {found.name}",
            value=found.vocab_size,
            expected=f"{vocab_size} token ids, as in the model",
            remedy=remedy,
        )
    return found


def _first_characters(texts: Iterator[str], count: int) -> Iterator[str]:
    for text in texts:
        yield text
        count -= len(text)
        if count <= 0:
            return


def _from_text(
    folder: pathlib.Path, texts: Sequence[TextFile], own: pathlib.Path, pieces: Tokenizer, *, separation: str
) -> Written:
    """Encodes each file by itself, and then writes the documents of all files in random order."""
    names = []
    for number, file in enumerate(texts):
        names.append(f"raw-{number:05d}")
        source = {
            "file": file.path.relative_to(folder).as_posix(),
            "bytes": file.path.stat().st_size,
            "tokenizer": pieces.sha256,
            "documents": separation,
        }
        if not tokens.is_complete(own, names[-1], source=source):
            _encode(file, own, names[-1], pieces, source=source, separation=separation)
        _log.info("encoded %s", file.path)
    stream, lengths = tokens.open_files(own, names)
    if len(lengths) < 2:
        raise DataError(f"number of documents in {folder}", value=len(lengths), expected="at least 2")
    order = np.random.Generator(np.random.Philox(SHUFFLE_SEED)).permutation(len(lengths))
    num_train = int(len(lengths) * TRAIN_SHARE)
    splits = {}
    for split, chosen in {"train": order[:num_train], "validation": order[num_train:]}.items():
        _write_chosen(stream, lengths, chosen, own, split)
        splits[split] = tokens.manifest_split(own, [split])
    (own / byte_pairs.FILE).write_text(pieces.content, encoding="utf-8")
    tokens.remove_others(own, ("train", "validation"))
    return Written(
        splits,
        {
            "tokenizer": {"vocab_size": pieces.vocab_size, "sha256": pieces.sha256, "from": pieces.name},
            **raw_text.described(texts, folder),
            "tokens": _counts(splits),
        },
    )


def _encode(
    file: TextFile, own: pathlib.Path, name: str, pieces: Tokenizer, *, source: Mapping[str, Any], separation: str
) -> None:
    texts = raw_text.read(file, separation=separation)
    with tokens.writer(own, name, source=source) as append:
        for number in itertools.count(1):
            if not (some := list(itertools.islice(texts, _TEXTS_AT_A_TIME))):
                break
            append(*pieces.encode(some))
            if number % _TIMES_TO_REPORT == 0:
                _log.info("%s: %s documents", file.path.name, f"{number * _TEXTS_AT_A_TIME:,}")


def _write_chosen(
    stream: TokenStream,
    lengths: UInt32[np.ndarray, " documents"],
    chosen: Int64[np.ndarray, " chosen"],
    own: pathlib.Path,
    name: str,
) -> None:
    """Writes some documents of a stream, in the given order."""
    starts = np.cumsum(lengths, dtype=np.int64) - lengths
    with tokens.writer(own, name, source={}) as append:
        for first in range(0, len(chosen), _DOCUMENTS_AT_A_TIME):
            some = chosen[first : first + _DOCUMENTS_AT_A_TIME]
            out = np.empty(lengths[some].sum(dtype=np.int64), np.uint16)
            place = 0
            for start, length in zip(starts[some].tolist(), lengths[some].tolist(), strict=True):
                stream.read(start, out[place : place + length])
                place += length
            append(out, lengths[some])
