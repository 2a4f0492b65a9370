"""Token files: what a preparation writes, and the stream of tokens that training reads.

A split is one or more files `*.tokens`, whose tokens follow one another as uint16, and as many files `*.documents`,
with the number of tokens of each document as uint32; see `algoperf_jax/data/row_files.py`.
"""

import bisect
import contextlib
import itertools
import pathlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt16, UInt32

from algoperf_jax.data import prepared, row_files
from algoperf_jax.data.manifest import Split
from algoperf_jax.data.prepared import DatasetSpec, Prepared
from algoperf_jax.data.row_files import RowFile, RowFormat
from algoperf_jax.errors import DataError

DATASET = DatasetSpec("finewebedu_lm", "1.0.0")
"""The prepared data set; its version changes whenever the tokens or their files do."""
TOKEN = RowFormat(np.dtype(np.uint16), (), rows_per_block=1 << 16)
"""Windows are read in random order, so the first one of each block costs the reading of the whole block."""
LENGTH = RowFormat(np.dtype(np.uint32), (), rows_per_block=1 << 16)
LARGEST_VOCABULARY = 1 << 16
"""Of the stored type."""

_SUFFIXES = (".tokens", ".documents")

Append = Callable[[UInt16[np.ndarray, " tokens"], UInt32[np.ndarray, " documents"]], None]
"""Appends the tokens of some documents, and the number of tokens of each."""


class TokenStream:
    """The tokens of several files, one after the other. Read by any number of threads.

    Args:
      files: the files, at least one.
    """

    def __init__(self, files: Sequence[RowFile]) -> None:
        self._files = files
        self._ends = list(itertools.accumulate(map(len, files)))

    def __len__(self) -> int:
        return self._ends[-1]

    def read(self, start: int, out: UInt16[np.ndarray, " tokens"]) -> None:
        """Reads `len(out)` tokens from position `start` on into `out`.

        Raises:
          DataError: a file is damaged; names it and the block.
        """
        number = bisect.bisect_right(self._ends, start)
        while len(out):
            remaining = self._ends[number] - start
            file = self._files[number]
            file.read(len(file) - remaining, out[:remaining])
            start, out, number = start + min(remaining, len(out)), out[remaining:], number + 1


class TokenWindows:
    """The windows of a stream of tokens; see `workloads.finewebedu_lm.data`.

    Args:
      stream: the stream.
      length: tokens of a window.
    """

    def __init__(self, stream: TokenStream, length: int) -> None:
        self._stream = stream
        self._length = length

    def __len__(self) -> int:
        return len(self._stream) // self._length

    def take(self, indices: Int64[np.ndarray, " n"]) -> UInt16[np.ndarray, "n length"]:
        """Reads windows into a new array."""
        windows = np.empty((len(indices), self._length), TOKEN.stored)
        for window, index in zip(windows, indices.tolist(), strict=True):
            self._stream.read(index * self._length, window)
        return windows


def open_stream(found: Prepared, split: str, *, remedy: str) -> TokenStream:
    """The tokens of a split of the prepared data set."""
    files = [(path, file) for path, file in found.files(split) if path.suffix == ".tokens"]
    return TokenStream(
        [RowFile(path, TOKEN, file.bytes // TOKEN.bytes_per_row, file.sha256, remedy=remedy) for path, file in files]
    )


def open_files(folder: pathlib.Path, names: Sequence[str]) -> tuple[TokenStream, UInt32[np.ndarray, " documents"]]:
    """Tokens and lengths of the documents in complete files, during the preparation."""
    remedy = f"Run: {prepared.command(DATASET.name, folder.parent, '--from=FOLDER', '--force')}"

    def opened(suffix: str, row: RowFormat) -> list[RowFile]:
        paths = [folder / f"{name}{suffix}" for name in names]
        entries = row_files.manifest_split(paths, row, column="rows").files
        return [
            RowFile(path, row, entry.bytes // row.bytes_per_row, entry.sha256, remedy=remedy)
            for path, entry in zip(paths, entries, strict=True)
        ]

    lengths = []
    for file in opened(".documents", LENGTH):
        lengths.append(np.empty(len(file), LENGTH.stored))
        file.read(0, lengths[-1])
    return TokenStream(opened(".tokens", TOKEN)), np.concatenate(lengths)


@contextlib.contextmanager
def writer(folder: pathlib.Path, name: str, *, source: Mapping[str, Any]) -> Iterator[Append]:
    """Opens the pair of files `name` for writing; both are complete when the context ends.

    Args:
      folder: the folder of the data set.
      name: the name of the files, without suffix.
      source: as for `row_files.writer`.
    """
    with (
        row_files.writer(folder / f"{name}.tokens", TOKEN, source=source) as append_tokens,
        row_files.writer(folder / f"{name}.documents", LENGTH, source=source) as append_lengths,
    ):

        def append(tokens: UInt16[np.ndarray, " tokens"], lengths: UInt32[np.ndarray, " documents"]) -> None:
            append_tokens(tokens)
            append_lengths(lengths)

        yield append


def is_complete(folder: pathlib.Path, name: str, *, source: Mapping[str, Any]) -> bool:
    """Whether both files were written to their end, from this source."""
    found = (
        row_files.complete(folder / f"{name}.tokens", TOKEN),
        row_files.complete(folder / f"{name}.documents", LENGTH),
    )
    return all(description is not None and description.source == source for description in found)


def remove_others(folder: pathlib.Path, names: Collection[str]) -> None:
    """Removes all files of tokens and documents but those with these names, such as what an earlier try left."""
    for suffix in _SUFFIXES:
        for path in folder.glob(f"*{suffix}"):
            if path.stem not in names:
                row_files.remove(path)


def manifest_split(folder: pathlib.Path, names: Sequence[str]) -> Split:
    """The entry of the manifest for a split of these pairs of files; its examples are documents."""
    tokens = row_files.manifest_split([folder / f"{name}.tokens" for name in names], TOKEN, column="tokens")
    documents = row_files.manifest_split([folder / f"{name}.documents" for name in names], LENGTH, column="documents")
    if not tokens.examples:
        raise DataError(f"no tokens in {', '.join(names)}", expected="at least one document")
    return Split(documents.examples, {**tokens.columns, **documents.columns}, (*tokens.files, *documents.files))
