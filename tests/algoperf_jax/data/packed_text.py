"""Pairs of random sentences as data of a text workload: packed rows for training, padded rows for evaluation."""

from collections.abc import Mapping

import numpy as np

from algoperf_jax.data import arrays
from algoperf_jax.data.sequences import Sequences, packed_training_split, pad_sequences
from algoperf_jax.workload import Batch, Data, Placement, SplitName, SplitReader

FIELDS = ("inputs", "targets")
LENGTH, GROUP, VOCABULARY = 32, 16, 50
SIZES = {"train": 200, "eval_train": 40, "validation": 50, "test": 30}


def random_pairs(count: int, seed: int, *, longest: int = LENGTH) -> dict[str, Sequences]:
    """Pairs of sentences of 1 to `longest` tokens, none of them 0; each ends with token 2."""
    rng = np.random.default_rng([seed, count])
    found = {}
    for name in FIELDS:
        lengths = rng.integers(1, longest + 1, count).astype(np.int32)
        tokens = rng.integers(3, VOCABULARY, lengths.sum()).astype(np.int32)
        tokens[np.cumsum(lengths) - 1] = 2
        found[name] = Sequences(tokens, lengths)
    return found


def with_weights(rows: Mapping[str, np.ndarray]) -> Batch:
    """Weight 1 for each token of `targets`, float32 [B, L]."""
    return {**rows, "weights": (rows["targets"] > 0).astype(np.float32)}


def packed_text() -> Data:
    """The schema of a training batch is `inputs`, `targets`, each also with `_position` and `_segmentation`, int32
    [B, L], and `weights` float32 [B, L]; evaluation batches have `inputs`, `targets` and `weights`.
    """

    def open_split(split: SplitName, *, batch_size: int, seed: int, placement: Placement) -> SplitReader:
        if split == "train":
            return packed_training_split(
                random_pairs(SIZES["train"], 0),
                length=LENGTH,
                group=GROUP,
                batch_size=batch_size,
                seed=seed,
                placement=placement,
                transform=with_weights,
            )
        pairs = random_pairs(SIZES[split], 1 + list(SIZES).index(split))
        reader = arrays.evaluation_split(
            {name: pad_sequences(pairs[name], np.arange(SIZES[split]), LENGTH) for name in FIELDS},
            batch_size=batch_size,
            placement=placement,
            transform=dict,
        )

        def batch(k: int) -> Batch:
            found = reader.batch(k)
            real = np.asarray(found["weights"])[:, None]
            # Padding repeats an example, which must not count.
            return with_weights({name: np.where(real > 0, found[name], 0).astype(np.int32) for name in FIELDS})

        return SplitReader(reader.num_examples, reader.num_batches, batch)

    return Data("builtin", open_split, lambda: {"dataset": "generated", "split_sizes": dict(SIZES)})
