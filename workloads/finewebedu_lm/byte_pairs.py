"""The byte-pair tokenizer that turns text into token ids, from its vocabulary files or trained on the text."""

import hashlib
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt16, UInt32

from algoperf_jax.data import raw_files
from algoperf_jax.errors import DataError
from workloads.finewebedu_lm.raw_libraries import tokenizers
from workloads.finewebedu_lm.tokens import LARGEST_VOCABULARY

END_OF_TEXT = "<|endoftext|>"
FILE = "tokenizer.json"
_VOCABULARY_FILES = ("vocab.json", "merges.txt")
_LEAST_VOCABULARY = 257
"""All bytes, and the end of a text."""


class Tokenizer:
    """A tokenizer of the package `tokenizers`.

    Args:
      tokenizer: `tokenizers.Tokenizer` with the token `END_OF_TEXT`.
      name: where it comes from, for the manifest and for errors.

    Raises:
      DataError: it has no such token, too many tokens, or no token for some byte.
    """

    def __init__(self, tokenizer: Any, name: str) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        if tokenizer.token_to_id(END_OF_TEXT) is None:
            raise DataError(f"the tokenizer {name} has no token {END_OF_TEXT}")
        alphabet = tokenizers().pre_tokenizers.ByteLevel.alphabet()
        if lacking := [byte for byte in alphabet if tokenizer.token_to_id(byte) is None]:
            # See findings/tokenizers_leave_bytes_out.sh.
            raise DataError(f"the tokenizer {name} has no tokens for {len(lacking)} of the 256 bytes")
        self._tokenizer = tokenizer
        self.name = name
        self.vocab_size = 1 + max(tokenizer.get_vocab(with_added_tokens=True).values())
        if self.vocab_size > LARGEST_VOCABULARY:
            raise DataError(
                f"token ids of {name}",
                value=self.vocab_size,
                expected=f"at most {LARGEST_VOCABULARY:,}, which fit uint16",
            )

    @property
    def content(self) -> str:
        """The tokenizer as a file `tokenizer.json`."""
        return self._tokenizer.to_str(pretty=True)

    @property
    def sha256(self) -> str:
        """The checksum of `content`."""
        return hashlib.sha256(self.content.encode()).hexdigest()

    def encode(self, texts: Sequence[str]) -> tuple[UInt16[np.ndarray, " tokens"], UInt32[np.ndarray, " documents"]]:
        """The tokens of texts, one after the other, and their numbers.

        `END_OF_TEXT` is appended to each text; where it occurs within a text, it is the same token. An empty text has
        no tokens and is no document.
        """
        found = self._tokenizer.encode_batch_fast(
            [text + END_OF_TEXT for text in texts if text], add_special_tokens=False
        )
        lengths = np.array([len(encoding) for encoding in found], np.uint32)
        tokens = np.empty(lengths.sum(dtype=np.int64), np.uint16)
        start = 0
        for encoding, length in zip(found, lengths.tolist(), strict=True):
            tokens[start : start + length] = encoding.ids
            start += length
        return tokens, lengths


def find(folder: pathlib.Path) -> Tokenizer | None:
    """The tokenizer in a folder or its subfolders: `tokenizer.json`, or else `vocab.json` and `merges.txt`; or None.

    Raises:
      DataError: only one of the two is there, there are several tokenizers, or files are damaged.
    """
    path = _only(folder, FILE)
    if path is not None:
        return _loaded(path.name, path, lambda library: library.Tokenizer.from_file(str(path)))
    vocabulary, merges = (_only(folder, name) for name in _VOCABULARY_FILES)
    if vocabulary is None and merges is None:
        return None
    if vocabulary is None or merges is None:
        present, absent = _VOCABULARY_FILES if merges is None else _VOCABULARY_FILES[::-1]
        raise DataError(f"{folder} has {present} but not {absent}, which belong together")

    def make(library: Any) -> Any:
        tokenizer = _byte_level(library, library.models.BPE.from_file(str(vocabulary), str(merges)))
        if tokenizer.token_to_id(END_OF_TEXT) is not None:  # Otherwise this would add a token.
            tokenizer.add_special_tokens([END_OF_TEXT])
        return tokenizer

    return _loaded(" and ".join(_VOCABULARY_FILES), vocabulary, make)


def train(texts: Iterable[str], *, vocab_size: int) -> Tokenizer:
    """Trains a tokenizer on bytes; the last of its `vocab_size` ids, or of fewer for a short text, ends a text.

    Raises:
      DataError: the vocabulary is too small.
    """
    if vocab_size < _LEAST_VOCABULARY:
        raise DataError("vocabulary of the tokenizer", value=vocab_size, expected=f"at least {_LEAST_VOCABULARY}")
    library = tokenizers()
    tokenizer = _byte_level(library, library.models.BPE())
    trainer = library.trainers.BpeTrainer(
        vocab_size=vocab_size - 1, initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([END_OF_TEXT])
    return Tokenizer(tokenizer, "trained on the text")


def _byte_level(library: Any, model: Any) -> Any:
    """A tokenizer like that of GPT-2."""
    tokenizer = library.Tokenizer(model)
    tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = library.decoders.ByteLevel()
    return tokenizer


def _loaded(name: str, path: pathlib.Path, make: Any) -> Tokenizer:
    library = tokenizers()
    try:
        tokenizer = make(library)
    except Exception as error:  # The library raises nothing more specific.
        raise DataError(f"{path} cannot be read as a tokenizer ({error})", remedy="Get it again.") from error
    return Tokenizer(tokenizer, name)


def _only(folder: pathlib.Path, name: str) -> pathlib.Path | None:
    found = raw_files.find_all(folder, name)
    if len(found) > 1:
        raise DataError(f"files {name} in {folder}", value=[str(path) for path in found], expected="one")
    return found[0] if found else None
