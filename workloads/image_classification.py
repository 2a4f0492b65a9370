"""What the workloads on small labelled images have in common: all examples fit in memory, a batch is a gather.

A source holds raw examples, `image` uint8 [N, H, W, C] and `label` uint8 [N], for train, validation and test.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from algoperf_jax.data import arrays, prepared, shuffle
from algoperf_jax.data.arrays import Columns, Draw, Transform
from algoperf_jax.data.prepared import DatasetSpec, Prepared
from algoperf_jax.workload import Data, Placement, SplitName, SplitReader

_BUILTIN_SEED = 20_250_601
"""Fixed: every run sees the same generated examples, whatever its own seed."""
_SPLITS = ("train", "validation", "test")


class GeneratedImages:
    """A source that draws its examples when they are first asked for and keeps them.

    Each split has a generator of its own, so that a split is the same whichever others are drawn.
    """

    def __init__(
        self, generate: Callable[[np.random.Generator, int], Columns], sizes: Mapping[str, int], version: str
    ) -> None:
        """Args:
        generate: draws so many examples.
        sizes: number of examples of each split.
        version: for the log of a run; changes whenever the examples do.
        """
        self._generate = generate
        self._sizes = dict(sizes)
        self._version = version
        self._lock = threading.Lock()
        self._drawn: dict[str, Columns] = {}

    def columns(self, split: str) -> Columns:
        """The examples of a split, read-only."""
        with self._lock:
            if split not in self._drawn:
                rng = np.random.default_rng([_BUILTIN_SEED, _SPLITS.index(split)])
                columns = self._generate(rng, self._sizes[split])
                for column in columns.values():
                    column.flags.writeable = False
                self._drawn[split] = columns
            return self._drawn[split]

    def describe(self) -> dict[str, Any]:
        """Version and split sizes."""
        return {"dataset": "generated", "version": self._version, "split_sizes": dict(self._sizes)}


class PreparedImages:
    """A source of prepared data whose manifest is opened when it is first needed."""

    def __init__(self, data_dir: str, dataset: DatasetSpec) -> None:
        self._data_dir = data_dir
        self._dataset = dataset
        self._lock = threading.Lock()
        self._opened: Prepared | None = None

    def _open(self) -> Prepared:
        with self._lock:
            if self._opened is None:
                self._opened = prepared.load(self._data_dir, self._dataset)
            return self._opened

    def columns(self, split: str) -> Columns:
        """The examples of a split, read-only."""
        return self._open().columns(split)

    def describe(self) -> dict[str, Any]:
        """Version, origin, split sizes and checksums."""
        return self._open().describe()


def image_data(
    source: GeneratedImages | PreparedImages,
    *,
    num_eval_train: int,
    transform: Transform,
    train_transform: Transform | None = None,
    draw: Draw | None = None,
) -> Data:
    """The splits of a source. Nothing is read before a split is opened.

    Args:
      source: raw examples.
      num_eval_train: number of training examples that are evaluated, a fixed random subset.
      transform: raw examples -> `inputs` and `targets`.
      train_transform: the same for training batches, with the columns of `draw`; by default `transform`.
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
        origin="prepared" if isinstance(source, PreparedImages) else "builtin",
        open=open_split,
        describe=source.describe,
    )
