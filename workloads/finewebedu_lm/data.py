"""Splits of windows of text.

The documents of a split are one stream of tokens, which is cut into windows that do not overlap. Each window of L + 1
tokens is an example: the first L are its inputs, and the last L its targets. What is left at the end of the stream is
dropped. Training batches take the windows in random order, a new one in each epoch; `eval_train` and `validation` are
the first windows of their streams. There is no test split.

Batches have `inputs` and `targets` int32 [B, L], and `weights` float32 [B, L], 1 but for padding: a row without a
window has token 0 and weight 0.
"""

import functools
import os
from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
from jaxtyping import Int64, UInt16

from algoperf_jax.data import prepared, shuffle
from algoperf_jax.data.arrays import round_up
from algoperf_jax.data.sources import ColumnSource, GeneratedColumns
from algoperf_jax.errors import DataError
from algoperf_jax.workload import Batch, Data, Placement, SplitName, SplitReader
from workloads.finewebedu_lm import builtin
from workloads.finewebedu_lm.builtin import ToyText
from workloads.finewebedu_lm.tokens import DATASET, TokenWindows, open_stream
from workloads.prepared_text import PreparedText


class Windows(Protocol):
    """The windows of a stream of tokens, read by index by any number of threads."""

    def __len__(self) -> int: ...

    def take(self, indices: Int64[np.ndarray, " n"]) -> UInt16[np.ndarray, "n length+1"]:
        """Reads windows into a new array."""
        ...


def open_data(
    data_dir: str | os.PathLike[str] | None, *, sequence_length: int, vocab_size: int, split_sizes: Mapping[str, int]
) -> Data:
    """The text prepared in `data_dir`, or the built-in text; read or generated on first use.

    Args:
      data_dir: folder of all prepared data sets, or None.
      sequence_length: tokens that a window predicts, L.
      vocab_size: token ids of the model.
      split_sizes: the number of windows of each split; of prepared data, the most windows of `eval_train` and
        `validation` that are evaluated.
    """
    length = sequence_length + 1
    if data_dir is not None:
        source = PreparedText(data_dir, DATASET, vocab_size=vocab_size, longest={}, options={"vocab_size": vocab_size})
        return Data(
            origin=source.origin,
            open=functools.partial(
                _open_split, functools.partial(prepared_windows, source, data_dir, length), split_sizes
            ),
            describe=source.describe,
        )
    sizes = {split: split_sizes[split] for split in builtin.SPLITS}
    generated = ToyText(vocab_size, sequence_length, sizes)
    columns = GeneratedColumns(generated.columns, generated.describe())
    return Data(
        origin=columns.origin,
        open=functools.partial(_open_split, functools.partial(WindowsInMemory, columns), split_sizes),
        describe=columns.describe,
    )


def prepared_windows(source: PreparedText, data_dir: str | os.PathLike[str], length: int, split: str) -> TokenWindows:
    """The windows of `length` tokens of a prepared split.

    Raises:
      DataError: the data is missing, incomplete, or of another version or vocabulary; or is shorter than a window.
    """
    remedy = f"Prepare the data again: {prepared.command(DATASET.name, data_dir, '--from=FOLDER', '--force')}"
    stream = open_stream(source.opened(), split, remedy=remedy)
    if len(stream) < length:
        raise DataError(
            f"tokens of the split {split} of the prepared {DATASET.name} data",
            value=len(stream),
            expected=f"at least {length:,}, the length of a window",
            remedy="Prepare more text.",
        )
    return TokenWindows(stream, length)


class WindowsInMemory:
    """The windows of a split of generated text.

    Args:
      source: has the column `windows`, uint16 [windows, length + 1].
      split: the split.
    """

    def __init__(self, source: ColumnSource, split: str) -> None:
        self._windows = source.columns(split)["windows"]

    def __len__(self) -> int:
        return len(self._windows)

    def take(self, indices: Int64[np.ndarray, " n"]) -> UInt16[np.ndarray, "n length+1"]:
        """See `Windows`."""
        return self._windows[indices]


def _open_split(
    windows_of: Callable[[str], Windows],
    most: Mapping[str, int],
    split: SplitName,
    *,
    batch_size: int,
    seed: int,
    placement: Placement,
) -> SplitReader:
    if split == "test":
        raise ValueError("finewebedu_lm has no test split")
    if split == "train":
        return training_split(windows_of(split), batch_size=batch_size, seed=seed, placement=placement)
    windows = windows_of("train" if split == "eval_train" else split)
    return evaluation_split(windows, batch_size=batch_size, placement=placement, most=most[split])


def training_split(windows: Windows, *, batch_size: int, seed: int, placement: Placement) -> SplitReader:
    """The endless stream of full batches: every epoch takes all windows in another random order."""
    between, own = shuffle.endless_indices(len(windows), seed), placement.rows(batch_size)

    def batch(k: int) -> Batch:
        return _batch(windows.take(between(k * batch_size, (k + 1) * batch_size)[own]), own.stop - own.start)

    return SplitReader(num_examples=len(windows), num_batches=None, batch=batch)


def evaluation_split(windows: Windows, *, batch_size: int, placement: Placement, most: int) -> SplitReader:
    """One pass over the first windows, at most `most`; batches are padded as by `arrays.evaluation_split`."""
    num_examples = min(most, len(windows))
    size = min(batch_size, num_examples)
    own = placement.rows(round_up(size, placement.device_count))

    def batch(k: int) -> Batch:
        start = k * size + own.start
        stop = max(start, min(k * size + min(own.stop, size), num_examples))
        return _batch(windows.take(np.arange(start, stop)), own.stop - own.start)

    return SplitReader(num_examples=num_examples, num_batches=-(-num_examples // size), batch=batch)


def _batch(windows: UInt16[np.ndarray, "n length+1"], num_rows: int) -> Batch:
    """The batch of these windows and as many rows of padding as it takes to fill `num_rows`."""
    num_windows, length = len(windows), windows.shape[1] - 1
    inputs, targets = np.zeros((2, num_rows, length), np.int32)
    inputs[:num_windows], targets[:num_windows] = windows[:, :-1], windows[:, 1:]
    weights = np.zeros((num_rows, length), np.float32)
    weights[:num_windows] = 1
    return {"inputs": inputs, "targets": targets, "weights": weights}
