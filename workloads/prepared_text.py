"""Prepared data sets that hold token ids, together with the SentencePiece model that made them.

The model is the split `TOKENIZER_SPLIT`, with the column `model` uint8 [bytes]; the facts in the manifest name its
checksum and its number of pieces.
"""

import functools
import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from algoperf_jax.data import prepared
from algoperf_jax.data.prepared import Block, DatasetSpec, Prepared
from algoperf_jax.data.sources import PreparedSource
from algoperf_jax.errors import DataError
from workloads.sentence_pieces import SentencePieceTokenizer

TOKENIZER_SPLIT = "tokenizer"


def tokenizer_block(pieces: SentencePieceTokenizer) -> Block:
    """The only block of the split with the tokenizer."""
    return Block(1, {"model": np.frombuffer(pieces.model, np.uint8)})


def tokenizer_facts(pieces: SentencePieceTokenizer) -> dict[str, Any]:
    """What the manifest says about the tokenizer."""
    return {"sha256": pieces.sha256, "vocab_size": pieces.vocab_size, "from": pieces.name}


class PreparedText(PreparedSource):
    """A prepared data set with a tokenizer, checked against the model that is trained.

    Args:
      data_dir: folder of all prepared data sets.
      dataset: the data set to open.
      vocab_size: token ids of the model; the tokenizer must have the same number.
      longest: fact in the manifest -> what it counts, and the largest number that the model takes.
      options: options of the preparation that fit the model, for errors.
    """

    def __init__(
        self,
        data_dir: str | os.PathLike[str],
        dataset: DatasetSpec,
        *,
        vocab_size: int,
        longest: Mapping[str, tuple[str, int]],
        options: Mapping[str, int],
    ) -> None:
        super().__init__(data_dir, dataset)
        self._name, self._vocab_size, self._longest = dataset.name, vocab_size, dict(longest)
        chosen = (f"--option={name}={value}" for name, value in options.items())
        self._again = f"Run: {prepared.command(dataset.name, data_dir, '--from=FOLDER', *chosen, '--force')}"

    def opened(self) -> Prepared:
        """The data set.

        Raises:
          DataError: as `PreparedSource`, and if its tokenizer or its text does not fit the model.
        """
        found = super().opened()
        try:
            vocab_size = int(found.facts["tokenizer"]["vocab_size"])
            lengths = {fact: int(found.facts[fact]) for fact in self._longest}
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"the manifest of the prepared {self._name} data names no tokenizer", remedy=self._again
            ) from error
        if vocab_size != self._vocab_size:
            raise DataError(
                f"vocabulary of the tokenizer of the prepared {self._name} data",
                value=vocab_size,
                expected=f"{self._vocab_size}, as in the model",
                remedy=self._again,
            )
        for fact, length in lengths.items():
            what, most = self._longest[fact]
            if length > most:
                raise DataError(
                    f"longest {what} in the prepared {self._name} data",
                    value=length,
                    expected=f"at most {most} tokens, as in the model",
                    remedy=self._again,
                )
        return found

    def tokenizer(self) -> SentencePieceTokenizer:
        """The tokenizer that encoded the data.

        Raises:
          DataError: its checksum is not that in the manifest.
        """
        found = self.opened()
        model = found.columns(TOKENIZER_SPLIT)["model"].tobytes()
        checksum = found.facts["tokenizer"]["sha256"]
        if (actual := hashlib.sha256(model).hexdigest()) != checksum:
            raise DataError(
                f"SHA-256 of the tokenizer in the prepared {self._name} data",
                value=actual,
                expected=f"{checksum}, as in the manifest",
                remedy=self._again,
            )
        return SentencePieceTokenizer(model, f"the tokenizer in the prepared {self._name} data")


class PreparedTokenizer:
    """The tokenizer of a prepared data set, read on first use."""

    def __init__(self, source: PreparedText, vocab_size: int) -> None:
        self._source = source
        self.vocab_size = vocab_size

    @functools.cached_property
    def _tokenizer(self) -> SentencePieceTokenizer:
        return self._source.tokenizer()

    def decode(self, ids: Sequence[int]) -> str:
        """See `Tokenizer.decode`; raises DataError if the data is missing or damaged."""
        return self._tokenizer.decode(ids)
