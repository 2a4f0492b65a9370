"""Splits of sentence pairs: packed rows for training, padded rows sorted by length for evaluation.

Training batches have `inputs` and `targets`, each also with `_position` and `_segmentation`, int32 [B, L], and
`weights` float32 [B, L]; see `algoperf_jax.data.sequences`. Evaluation batches have `inputs` and `targets` int32 [B, P]
and `weights` float32 [B, P], where P depends on the batch. Weights are 1 where a target is not 0.

The pairs come from a `ColumnSource` with the columns `inputs` and `targets` [tokens], `inputs_lengths` and
`targets_lengths` [examples].
"""

import functools
import os
import threading
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from algoperf_jax.data import arrays, shuffle
from algoperf_jax.data.sequences import Sequences, packed_training_split, pad_sequences
from algoperf_jax.data.sources import ColumnSource, GeneratedColumns
from algoperf_jax.workload import Batch, Data, Placement, SplitName, SplitReader
from workloads.prepared_text import PreparedText, PreparedTokenizer
from workloads.sentence_pieces import Tokenizer
from workloads.wmt import builtin
from workloads.wmt.architecture import row_lengths
from workloads.wmt.builtin import ToyPairs
from workloads.wmt.prepare import DATASET

FIELDS = ("inputs", "targets")


class TranslationData(NamedTuple):
    """Sentence pairs, and the tokenizer that turns them into text."""

    data: Data
    tokenizer: Tokenizer


def open_data(
    data_dir: str | os.PathLike[str] | None, *, vocab_size: int, max_length: int, split_sizes: Mapping[str, int]
) -> TranslationData:
    """The pairs prepared in `data_dir`, or the built-in pairs; read or generated on first use.

    Args:
      data_dir: folder of prepared data sets, or None.
      vocab_size: token ids of the model; the tokenizer of prepared data must have the same number.
      max_length: tokens in a row, L; prepared sentences must not be longer.
      split_sizes: sizes of the built-in splits; for prepared data, too, `eval_train` is the number of training pairs
        that are evaluated, a fixed random subset.
    """
    num_eval_train = split_sizes["eval_train"]
    if data_dir is None:
        generated = ToyPairs(vocab_size, max_length, {split: split_sizes[split] for split in builtin.SPLITS})
        source = GeneratedColumns(generated.columns, generated.describe())
        tokenizer: Tokenizer = generated.tokenizer
    else:
        source = PreparedText(
            data_dir,
            DATASET,
            vocab_size=vocab_size,
            longest={"max_length": ("sentence", max_length)},
            options={"vocab_size": vocab_size, "max_length": max_length},
        )
        tokenizer = PreparedTokenizer(source, vocab_size)
    return TranslationData(translation_data(source, max_length=max_length, num_eval_train=num_eval_train), tokenizer)


def translation_data(source: ColumnSource, *, max_length: int, num_eval_train: int) -> Data:
    """The splits of a source of pairs."""
    lock = threading.Lock()

    @functools.cache
    def read(split: str) -> Mapping[str, Sequences]:
        columns = source.columns(split)
        return {name: Sequences(columns[name], columns[f"{name}_lengths"]) for name in FIELDS}

    def open_split(split: SplitName, *, batch_size: int, seed: int, placement: Placement) -> SplitReader:
        with lock:
            pairs = read("train" if split == "eval_train" else split)
        if split == "train":
            return training_split(pairs, batch_size=batch_size, seed=seed, max_length=max_length, placement=placement)
        count = len(pairs["inputs"])
        chosen = shuffle.eval_train_indices(count, num_eval_train) if split == "eval_train" else np.arange(count)
        return evaluation_split(pairs, chosen, batch_size=batch_size, max_length=max_length, placement=placement)

    return Data(origin=source.origin, open=open_split, describe=source.describe)


def training_split(
    pairs: Mapping[str, Sequences], *, batch_size: int, seed: int, max_length: int, placement: Placement
) -> SplitReader:
    """The endless stream of packed rows. As in the reference, no row crosses a multiple of `max_length` pairs."""
    return packed_training_split(
        pairs,
        length=max_length,
        group=max_length,
        batch_size=batch_size,
        seed=seed,
        placement=placement,
        transform=_with_weights,
    )


def evaluation_split(
    pairs: Mapping[str, Sequences], chosen: np.ndarray, *, batch_size: int, max_length: int, placement: Placement
) -> SplitReader:
    """One pass over the chosen pairs, each exactly once, sorted by the length of the source, longest first.

    Translations in a batch are thus about equally long, and a lack of memory shows at once. Rows are as long as the
    first of `row_lengths` that holds the pairs of the batch. A split smaller than `batch_size` makes one batch. Rows
    without a pair are 0.
    """
    order = chosen[np.argsort(-pairs["inputs"].lengths[chosen].astype(np.int64), kind="stable")]
    longest = np.maximum(*(pairs[name].lengths[order] for name in FIELDS))
    lengths = np.array(row_lengths(max_length))
    size = min(batch_size, len(order))
    rows = arrays.round_up(size, placement.device_count)
    own = np.arange(rows)[placement.rows(rows)]

    def batch(k: int) -> Batch:
        stop = min((k + 1) * size, len(order))
        length = int(lengths[np.searchsorted(lengths, longest[k * size : stop].max())])
        positions = k * size + own
        is_real = (own < size) & (positions < stop)
        examples = order[np.where(is_real, positions, k * size)]
        padded = {name: pad_sequences(pairs[name], examples, length) for name in FIELDS}
        return _with_weights({name: np.where(is_real[:, None], rows, 0) for name, rows in padded.items()})

    return SplitReader(num_examples=len(order), num_batches=-(-len(order) // size), batch=batch)


def _with_weights(rows: Mapping[str, np.ndarray]) -> Batch:
    return {**rows, "weights": (rows["targets"] > 0).astype(np.float32)}
