"""Data of the workloads on small labelled images: all examples fit in memory, and a batch is a gather.

A source holds raw examples, `image` uint8 [N, H, W, C] and `label` uint8 [N], for train, validation and test.
"""

from collections.abc import Callable, Mapping

import numpy as np

from algoperf_jax.data import arrays, shuffle
from algoperf_jax.data.arrays import Columns, Draw, Transform
from algoperf_jax.data.sources import ColumnSource, GeneratedColumns
from algoperf_jax.workload import Data, Placement, SplitName, SplitReader

_BUILTIN_SEED = 20_250_601
"""Fixed: every run sees the same generated examples, regardless of its own seed."""
_SPLITS = ("train", "validation", "test")


def generated_images(
    generate: Callable[[np.random.Generator, int], Columns], sizes: Mapping[str, int], version: str
) -> GeneratedColumns:
    """Makes a source of built-in images. Each split has its own generator, so it does not depend on the other splits.

    Args:
      generate: draws a given number of examples.
      sizes: number of examples of each split.
      version: version for the log of a run; changes whenever the examples do.
    """

    def split_of(split: str) -> Columns:
        return generate(np.random.default_rng([_BUILTIN_SEED, _SPLITS.index(split)]), sizes[split])

    return GeneratedColumns(split_of, {"version": version, "split_sizes": dict(sizes)})


def image_data(
    source: ColumnSource,
    *,
    num_eval_train: int,
    transform: Transform,
    train_transform: Transform | None = None,
    draw: Draw | None = None,
) -> Data:
    """The splits of a source; nothing is read before a split is opened.

    Args:
      source: raw examples.
      num_eval_train: number of training examples that are evaluated, a fixed random subset.
      transform: raw examples -> `inputs` and `targets`.
      train_transform: the same for training batches, which include the columns of `draw`; by default `transform`.
      draw: draws the augmentation of a training batch.
    """

    def open_split(split: SplitName, *, batch_size: int, seed: int, placement: Placement) -> SplitReader:
        if split == "train":
            return arrays.training_split(
                source.columns("train"),
                batch_size=batch_size,
                seed=seed,
                placement=placement,
                transform=train_transform or transform,
                draw=draw,
            )
        if split == "eval_train":
            train = source.columns("train")
            chosen = shuffle.eval_train_indices(len(train["label"]), num_eval_train)
            examples = arrays.take(train, chosen)
        else:
            examples = source.columns(split)
        return arrays.evaluation_split(examples, batch_size=batch_size, placement=placement, transform=transform)

    return Data(
        origin=source.origin,
        open=open_split,
        describe=source.describe,
    )
