"""Sequences of tokens: packed, several per row, for training; padded, one per row, for evaluation.

Token 0 is padding. A packed row comes with positions, which start at 0 for each of its sequences, and with segments,
which number its sequences from 1 and are 0 on padding; models use them to separate the sequences. As in the reference
implementation of the benchmark's translation workload, the length of a sequence is its number of nonzero tokens: a
sequence with k zeros in it (unknown words) loses its last k tokens when packed, and a zero inside it has segment 0.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int, Int32, Int64

from algoperf_jax.data import shuffle
from algoperf_jax.data.arrays import Transform
from algoperf_jax.data.packing import BinStream
from algoperf_jax.data.shuffle import ranges
from algoperf_jax.workload import Batch, Placement, SplitReader

_AT_A_TIME = 1 << 16


@dataclasses.dataclass(frozen=True, eq=False)
class Sequences:
    """Concatenated sequences of token ids, as two columns of a prepared data set.

    Attributes:
      tokens: the tokens of all sequences, one after another.
      lengths: the number of tokens of each sequence.
    """

    tokens: Int[np.ndarray, " tokens"]
    lengths: Int[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.lengths)

    @functools.cached_property
    def starts(self) -> Int64[np.ndarray, " n"]:
        """The start of each sequence in `tokens`."""
        return np.cumsum(self.lengths, dtype=np.int64) - self.lengths

    def packed_lengths(self, chosen: Int[np.ndarray, " m"], limit: int) -> Int64[np.ndarray, " m"]:
        """The packed length of each chosen sequence: the number of nonzero tokens among the first `limit`."""
        lengths = np.minimum(self.lengths[chosen], limit)
        counted = self.tokens[ranges(self.starts[chosen], lengths)] != 0
        counts, ends = np.concatenate([[0], np.cumsum(counted, dtype=np.int64)]), np.cumsum(lengths, dtype=np.int64)
        return counts[ends] - counts[ends - lengths]

    def all_packed_lengths(self, limit: int) -> Int64[np.ndarray, " n"]:
        """The packed lengths of all sequences, computed with little memory."""
        parts = [np.arange(start, min(start + _AT_A_TIME, len(self))) for start in range(0, len(self), _AT_A_TIME)]
        return np.concatenate([self.packed_lengths(part, limit) for part in parts])


def pack_sequences(
    fields: Mapping[str, Sequences], rows: Sequence[Int[np.ndarray, " examples"]], length: int
) -> dict[str, Int32[np.ndarray, "rows length"]]:
    """Packs sequences into rows, in new arrays.

    Args:
      fields: the sequences of each field, for instance `inputs` and `targets`; example i has one of each.
      rows: the indices of the examples in each row, in order; they must fit, as `BinStream` ensures.
      length: tokens in a row; longer sequences are truncated.

    Returns:
      For each field `<field>`, `<field>_position` and `<field>_segmentation`.
    """
    examples = np.concatenate([np.asarray(row, np.int64) for row in rows]) if len(rows) else np.zeros(0, np.int64)
    row_of_example = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    packed = {}
    for name, sequences in fields.items():
        lengths = sequences.packed_lengths(examples, length)
        before = np.cumsum(lengths) - lengths
        # The offset of each example in its row.
        filled = np.bincount(row_of_example, lengths, minlength=len(rows)).astype(np.int64)
        offsets = before - (np.cumsum(filled) - filled)[row_of_example]
        places = ranges(row_of_example * length + offsets, lengths)
        tokens, positions = np.zeros((2, len(rows), length), np.int32)
        tokens.reshape(-1)[places] = sequences.tokens[ranges(sequences.starts[examples], lengths)]
        positions.reshape(-1)[places] = ranges(np.zeros_like(lengths), lengths)
        packed[name] = tokens
        packed[f"{name}_position"] = positions
        packed[f"{name}_segmentation"] = np.cumsum(positions == 0, axis=1, dtype=np.int32) * (tokens != 0)
    return packed


def pad_sequences(sequences: Sequences, chosen: Int[np.ndarray, " m"], length: int) -> Int32[np.ndarray, "m length"]:
    """Pads the chosen sequences to one row each; longer ones are truncated."""
    lengths = np.minimum(sequences.lengths[chosen], length)
    rows = np.zeros((len(chosen), length), np.int32)
    rows.reshape(-1)[ranges(np.arange(len(chosen)) * length, lengths)] = sequences.tokens[
        ranges(sequences.starts[chosen], lengths)
    ]
    return rows


def packed_training_split(
    fields: Mapping[str, Sequences],
    *,
    length: int,
    group: int | None,
    batch_size: int,
    seed: int,
    placement: Placement,
    transform: Transform,
) -> SplitReader:
    """The endless shuffled stream of packed rows, `batch_size` per global batch.

    Args:
      fields: the sequences of each field; example i has one of each.
      length: tokens in a row.
      group: no row crosses a multiple of this many examples of the stream; None for no such borders.
      batch_size: rows in a global batch.
      seed: determines the order of the examples.
      placement: determines the rows of this process.
      transform: turns the result of `pack_sequences` into the batch.
    """
    (num_examples,) = {len(sequences) for sequences in fields.values()}
    stream = BinStream(
        [sequences.all_packed_lengths(length).astype(np.int32) for sequences in fields.values()],
        [length] * len(fields),
        shuffle.endless_indices(num_examples, seed),
        most=length * len(fields),
        group=group,
    )
    rows = placement.rows(batch_size)

    def batch(k: int) -> Batch:
        chosen = stream.bins(k * batch_size + rows.start, k * batch_size + rows.stop)
        return transform(pack_sequences(fields, chosen, length))

    return SplitReader(num_examples=num_examples, num_batches=None, batch=batch)
