"""Splits of utterances: shuffled for training, sorted by length for evaluation, in batches as long as they need to be.

A batch has `inputs` int16 [B, N], samples at 16 kHz; `input_lengths` int32 [B], the number of valid samples; `targets`,
the pair of token ids int32 [B, L] and of their paddings float32 [B, L], 1 behind the end; and `weights` float32 [B]. N
and L depend on the batch, see `sizes.shapes`: models mask what is behind the end, so the numbers do not depend on them.
"""

import functools
import os
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import Int16, Int64

from algoperf_jax.data import arrays, shuffle
from algoperf_jax.data.arrays import Columns
from algoperf_jax.data.sequences import Sequences, pad_sequences
from algoperf_jax.data.sources import ColumnSource, DecodedRecords, Examples, ExampleSource
from algoperf_jax.workload import Batch, Data, Placement, SplitName, SplitReader
from workloads.prepared_text import PreparedText, PreparedTokenizer
from workloads.sentence_pieces import Tokenizer
from workloads.speech import builtin
from workloads.speech.builtin import ToyUtterances
from workloads.speech.prepare import DATASET, index_of
from workloads.speech.sizes import FULL, Size, shape_of

Samples = Int16[np.ndarray, " samples"]


class SpeechData(NamedTuple):
    """Utterances, the tokenizer that turns token ids into text, and the limits of these data."""

    data: Data
    tokenizer: Tokenizer
    size: Size


class SpeechSource(ColumnSource, ExampleSource[Samples], Protocol):
    """A source of utterances; `columns(index_of(split))` has what is known of each without reading it."""


class PreparedSpeech(PreparedText):
    """The prepared utterances; one is read from disk each time it is needed."""

    def examples(self, split: str) -> DecodedRecords[Samples]:
        """The utterances of a split, in the order of the records."""
        return DecodedRecords(self.opened().records(split), _samples)


def _samples(columns: Columns) -> Samples:
    return columns["samples"]


def open_data(data_dir: str | os.PathLike[str] | None, *, size: Size, split_sizes: Mapping[str, int]) -> SpeechData:
    """The utterances prepared in `data_dir`, or the built-in ones; read or drawn on first use.

    Args:
      data_dir: folder of prepared data sets, or None.
      size: limits of the built-in utterances; prepared ones have its vocabulary and the other limits of `FULL`.
      split_sizes: sizes of the built-in splits; for prepared data, too, `eval_train` is the number of training
        utterances that are evaluated, a fixed random subset.
    """
    if data_dir is None:
        generated = ToyUtterances(size, {split: split_sizes[split] for split in builtin.SPLITS})
        return SpeechData(speech_data(generated, size, split_sizes["eval_train"]), generated.tokenizer, size)
    size = Size(size.vocab_size, FULL.max_samples, FULL.max_targets)
    source = PreparedSpeech(
        data_dir,
        DATASET,
        vocab_size=size.vocab_size,
        longest={},
        options={} if size == FULL else {"vocab_size": size.vocab_size},
    )
    tokenizer = PreparedTokenizer(source, size.vocab_size)
    return SpeechData(speech_data(source, size, split_sizes["eval_train"]), tokenizer, size)


def speech_data(source: SpeechSource, size: Size, num_eval_train: int) -> Data:
    """The splits of a source; nothing is read before a split is opened."""
    lock = threading.Lock()

    @functools.cache
    def opened(split: str) -> Utterances:
        return Utterances(source.columns(index_of(split)), source.examples(split), size)

    def open_split(split: SplitName, *, batch_size: int, seed: int, placement: Placement) -> SplitReader:
        with lock:
            utterances = opened("train" if split == "eval_train" else split)
        if split == "train":
            return training_split(utterances, batch_size=batch_size, seed=seed, placement=placement)
        count = len(utterances)
        chosen = shuffle.eval_train_indices(count, num_eval_train) if split == "eval_train" else np.arange(count)
        return evaluation_split(utterances, chosen, batch_size=batch_size, placement=placement)

    return Data(origin=source.origin, open=open_split, describe=source.describe)


class Utterances:
    """The utterances of a split.

    Args:
      columns: `record`, `num_samples` and `targets_lengths` integers [n], and `targets` [tokens].
      examples: the samples, by record.
      size: limits.
    """

    def __init__(self, columns: Columns, examples: Examples[Samples], size: Size) -> None:
        self.num_samples = columns["num_samples"]
        self._records = columns["record"]
        self._targets = Sequences(columns["targets"], columns["targets_lengths"])
        self._examples = examples
        self._size = size

    def __len__(self) -> int:
        return len(self.num_samples)

    def padded(self, chosen: Int64[np.ndarray, " m"], batch: Int64[np.ndarray, " b"]) -> dict[str, Any]:
        """The chosen utterances of a global batch, padded to the shape of the whole batch."""
        shape = shape_of(self._size, self.num_samples[batch], self._targets.lengths[batch])
        inputs = np.empty((len(chosen), shape.samples), np.int16)
        for row, record in zip(inputs, self._records[chosen].tolist(), strict=True):
            samples = self._examples.read(record)
            row[: len(samples)] = samples
            row[len(samples) :] = 0
        lengths = self._targets.lengths[chosen]
        paddings = np.arange(shape.targets) >= lengths[:, None]
        return {
            "inputs": inputs,
            "input_lengths": self.num_samples[chosen].astype(np.int32),
            "targets": (pad_sequences(self._targets, chosen, shape.targets), paddings.astype(np.float32)),
        }


def training_split(utterances: Utterances, *, batch_size: int, seed: int, placement: Placement) -> SplitReader:
    """The endless stream of full batches: every epoch is a random permutation, whatever the lengths."""
    between = shuffle.endless_indices(len(utterances), seed)
    rows = placement.rows(batch_size)

    def batch(k: int) -> Batch:
        indices = between(k * batch_size, (k + 1) * batch_size)
        own = indices[rows]
        return {**utterances.padded(own, indices), "weights": np.ones(len(own), np.float32)}

    return SplitReader(num_examples=len(utterances), num_batches=None, batch=batch)


def evaluation_split(
    utterances: Utterances, chosen: Int64[np.ndarray, " m"], *, batch_size: int, placement: Placement
) -> SplitReader:
    """One pass over the chosen utterances, each exactly once, the longest first.

    Utterances in a batch are thus about equally long, and a lack of memory shows at once. Rows without an utterance of
    their own repeat the first one of the batch, with weight 0. A split smaller than `batch_size` makes one batch.
    """
    order = chosen[np.argsort(-utterances.num_samples[chosen].astype(np.int64), kind="stable")]
    size = min(batch_size, len(order))
    count = arrays.round_up(size, placement.device_count)
    own = np.arange(count)[placement.rows(count)]

    def batch(k: int) -> Batch:
        stop = min((k + 1) * size, len(order))
        positions = k * size + own
        is_real = (own < size) & (positions < stop)
        # Padding is a copy, which is read only once.
        distinct, places = np.unique(np.where(is_real, positions, k * size), return_inverse=True)
        padded = utterances.padded(order[distinct], order[k * size : stop])
        inputs, lengths, (ids, paddings) = padded["inputs"], padded["input_lengths"], padded["targets"]
        if len(distinct) < len(places):
            inputs, lengths, ids, paddings = (array[places] for array in (inputs, lengths, ids, paddings))
        return {
            "inputs": inputs,
            "input_lengths": lengths,
            "targets": (ids, paddings),
            "weights": is_real.astype(np.float32),
        }

    return SplitReader(num_examples=len(order), num_batches=-(-len(order) // size), batch=batch)
