"""SentencePiece models: trained on parallel text, read from a file, and used on both languages.

Source: T. Kudo and J. Richardson, "SentencePiece: A simple and language independent subword tokenizer and detokenizer
for Neural Text Processing", EMNLP 2018 (https://github.com/google/sentencepiece). Ids are those of its defaults: 0 is
the unknown piece, 1 begins a sentence and is not used, 2 ends one. There is no piece for padding; 0 means that too.
"""

import dataclasses
import functools
import hashlib
import io
import re
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from algoperf_jax.errors import DataError

UNKNOWN_ID, BEGIN_ID, END_ID = 0, 1, 2
TRAINING_BYTES = 10_000_000
"""How much text a model is trained on, in bytes with the ends of lines."""
_TOO_LARGE = re.compile(r"Vocabulary size too high .*value <= (\d+)")


class Tokenizer(Protocol):
    """What makes text of token ids."""

    @property
    def vocab_size(self) -> int:
        """Number of token ids."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of a sequence of token ids, each below `vocab_size`; those that only mark a sentence give none."""
        ...


@dataclasses.dataclass(frozen=True)
class SentencePieceTokenizer:
    """A SentencePiece model. Loaded when it is first used.

    Attributes:
      model: the content of a model file.
      name: where it came from, for error messages.
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


def train(pairs: Iterable[tuple[str, str]], *, vocab_size: int, num_bytes: int = TRAINING_BYTES) -> bytes:
    """A unigram model of both languages, the same byte for byte whenever it is trained on the same text.

    Args:
      pairs: sentences in two languages, which are read in turn until they have `num_bytes`, ends of lines included.
      vocab_size: number of pieces.
      num_bytes: how much text is read; the last pair is completed.

    Returns:
      The content of the model file.

    Raises:
      DataError: the text is not enough for so many pieces.
    """
    sentences: list[str] = []
    size = 0
    for pair in pairs:
        if size >= num_bytes:
            break
        sentences += pair
        size += sum(len(sentence.encode()) + 1 for sentence in pair)
    model = io.BytesIO()
    try:
        _library().SentencePieceTrainer.train(
            sentence_iterator=iter(sentences),
            model_writer=model,
            vocab_size=vocab_size,
            character_coverage=1.0,
            model_type="unigram",
            # The default, spelled out: it decides the order of sums, and so the last digits of the pieces' scores and
            # the order of those that are nearly equal. It need not be the number of cores.
            num_threads=16,
            # Errors come as exceptions; the rest is progress.
            minloglevel=4,
        )
    except RuntimeError as error:
        most = _TOO_LARGE.search(str(error))
        raise DataError(
            f"training a tokenizer of {vocab_size:,} pieces on {len(sentences):,} sentences of {size:,} bytes failed"
            + ("" if most else f" ({error})"),
            expected=f"at most {int(most[1]):,} pieces from so little text" if most else None,
            remedy="Give more text, or a smaller vocabulary with --option vocab_size=N.",
        ) from error
    return model.getvalue()


@functools.cache
def _library() -> Any:
    """`sentencepiece`, which only preparation and the text of translations need."""
    with warnings.catch_warnings():
        # Python warns of the types that its wrapper makes, some of them with the first object. The wrapper does not
        # survive that the warning is an error (https://github.com/google/sentencepiece/issues/1145).
        warnings.simplefilter("ignore", DeprecationWarning)
        import sentencepiece

        sentencepiece.SentencePieceProcessor()
    return sentencepiece
