"""SentencePiece models, which turn text into token ids and back: finding, training, encoding and decoding.

Source: T. Kudo and J. Richardson, "SentencePiece: A simple and language independent subword tokenizer and detokenizer
for Neural Text Processing", EMNLP 2018 (https://github.com/google/sentencepiece). The ids are its defaults: 0 is the
unknown piece, 1 the start of a sentence, which is not used, 2 its end. No piece stands for padding: 0 means that, too.
"""

import dataclasses
import functools
import hashlib
import io
import logging
import pathlib
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from algoperf_jax.data import raw_files
from algoperf_jax.errors import DataError

UNKNOWN_ID, BEGIN_ID, END_ID = 0, 1, 2
TRAINING_BYTES = 10_000_000
"""Bytes of text that a model is trained on, line ends included."""
_TOO_LARGE = re.compile(r"Vocabulary size too high .*value <= (\d+)")

_log = logging.getLogger(__name__)


Detokenize = Callable[[Sequence[int]], str]
"""Token ids of one sentence -> its text."""


class Tokenizer(Protocol):
    """Turns token ids into text."""

    @property
    def vocab_size(self) -> int:
        """Number of token ids."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of a sequence of token ids below `vocab_size`; ids that mark the start or end add nothing."""
        ...


@dataclasses.dataclass(frozen=True)
class SentencePieceTokenizer:
    """A SentencePiece model, loaded on first use.

    Attributes:
      model: the content of a model file.
      name: its origin, for error messages.
    """

    model: bytes = dataclasses.field(repr=False)
    name: str = "the SentencePiece model"

    @property
    def vocab_size(self) -> int:
        """Number of pieces."""
        return self._processor.get_piece_size()

    @functools.cached_property
    def sha256(self) -> str:
        """Checksum of the model file, in hexadecimal."""
        return hashlib.sha256(self.model).hexdigest()

    def encode(self, sentences: Sequence[str], *, num_threads: int = 1) -> list[list[int]]:
        """The token ids of each sentence, with `END_ID` at the end; the same for any number of threads."""
        return self._processor.encode(list(sentences), out_type=int, add_eos=True, num_threads=num_threads)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of a sequence of token ids; unknown pieces become " ⁇ "."""
        return self._processor.decode([int(token) for token in ids])

    @functools.cached_property
    def _processor(self) -> Any:
        sentencepiece = _library()
        try:
            processor = sentencepiece.SentencePieceProcessor(model_proto=self.model)
        except RuntimeError as error:
            raise DataError(f"{self.name} is not a SentencePiece model ({error})") from error
        found = processor.unk_id(), processor.bos_id(), processor.eos_id()
        if found != (UNKNOWN_ID, BEGIN_ID, END_ID):
            raise DataError(
                f"ids of the unknown piece, the begin and the end of a sentence in {self.name}",
                value=found,
                expected=f"{(UNKNOWN_ID, BEGIN_ID, END_ID)}, the defaults of SentencePiece",
            )
        return processor


def find(folder: pathlib.Path, name: str, *, vocab_size: int) -> SentencePieceTokenizer | None:
    """The model in a folder or its subfolders, None if there is none.

    Args:
      folder: where to look.
      name: name of its file; without such a file, one called `*.model` is taken.
      vocab_size: number of pieces that it must have.

    Raises:
      DataError: there are several, it is damaged, or it has another number of pieces.
    """
    paths = raw_files.find_all(folder, name) or raw_files.find_all(folder, "*.model")
    if len(paths) > 1:
        raise DataError(
            f"tokenizers in {folder}",
            value=[str(path) for path in paths],
            expected="one",
            remedy=f"Rename the one to use to {name}." if paths[0].name != name else "Keep the one to use.",
        )
    if not paths:
        return None
    pieces = SentencePieceTokenizer(paths[0].read_bytes(), str(paths[0]))
    if pieces.vocab_size != vocab_size:
        raise DataError(
            f"vocabulary of the tokenizer {paths[0]}",
            value=pieces.vocab_size,
            expected=f"{vocab_size} pieces",
            remedy=f"Use another tokenizer, or pass --option=vocab_size={pieces.vocab_size} for a model of that size.",
        )
    _log.info("using the tokenizer %s", paths[0])
    return pieces


def train(groups: Iterable[Sequence[str]], *, vocab_size: int, num_bytes: int = TRAINING_BYTES) -> bytes:
    """Trains a unigram model. The same text gives the same model, byte for byte.

    Args:
      groups: sentences that belong together, such as a sentence and its translation.
      vocab_size: number of pieces.
      num_bytes: reading stops after the group that reaches this number of bytes, line ends included.

    Returns:
      The content of the model file.

    Raises:
      DataError: there is too little text for that many pieces.
    """
    sentences: list[str] = []
    size = 0
    for group in groups:
        if size >= num_bytes:
            break
        sentences += group
        size += sum(len(sentence.encode()) + 1 for sentence in group)
    model = io.BytesIO()
    try:
        _library().SentencePieceTrainer.train(
            sentence_iterator=iter(sentences),
            model_writer=model,
            vocab_size=vocab_size,
            character_coverage=1.0,
            model_type="unigram",
            # The default, made explicit: it determines the order of sums, hence the last digits of the scores and the
            # order of nearly equal pieces. It need not match the number of cores.
            num_threads=16,
            # Errors are raised as exceptions; all other messages report progress.
            minloglevel=4,
        )
    except RuntimeError as error:
        most = _TOO_LARGE.search(str(error))
        raise DataError(
            f"training a tokenizer of {vocab_size:,} pieces on {len(sentences):,} sentences of {size:,} bytes failed"
            + ("" if most else f" ({error})"),
            expected=f"at most {int(most[1]):,} pieces from so little text" if most else None,
            remedy="Provide more text, or choose a smaller vocabulary with --option=vocab_size=N.",
        ) from error
    return model.getvalue()


@functools.cache
def _library() -> Any:
    """Imports `sentencepiece`, which only preparation and decoding to text need."""
    with warnings.catch_warnings():
        # The types of its wrapper cause DeprecationWarnings, some only with the first object. If warnings are errors,
        # the wrapper crashes (https://github.com/google/sentencepiece/issues/1145).
        warnings.simplefilter("ignore", DeprecationWarning)
        import sentencepiece

        sentencepiece.SentencePieceProcessor()
    return sentencepiece
