"""Splits of slices: each is read, masked, reconstructed and normalized when a batch asks for it."""

import functools
import threading
from collections.abc import Callable
from typing import Any, Literal, Protocol

import jax
import numpy as np

from algoperf_jax.data import arrays, prepared, shuffle
from algoperf_jax.data.prepared import Prepared
from algoperf_jax.data.records import Records
from algoperf_jax.workload import Batch, Data, Placement, SplitName, SplitReader
from workloads.fastmri import masks
from workloads.fastmri.prepare import DATASET
from workloads.fastmri.reconstruction import Slice, reconstruct

Seeds = Callable[[np.ndarray], np.ndarray]
"""The seeds of the masks of slices: their numbers int64 [n] -> int64 [n, 2]."""


class Source(Protocol):
    """Slices by split (`train`, `validation`, `test`) and number; any thread may ask for any."""

    def num_slices(self, split: str) -> int: ...

    def example(self, split: str, index: int) -> Slice: ...

    def describe(self) -> dict[str, Any]: ...


class PreparedSlices:
    """A source of prepared data; a slice is read from the disk whenever it is asked for."""

    def __init__(self, data_dir: str) -> None:
        self._data_dir = data_dir
        self._lock = threading.Lock()
        self._opened: Prepared | None = None
        self._records: dict[str, Records] = {}

    def _open(self) -> Prepared:
        with self._lock:
            if self._opened is None:
                self._opened = prepared.load(self._data_dir, DATASET)
            return self._opened

    def _split(self, split: str) -> Records:
        opened = self._open()
        with self._lock:
            if split not in self._records:
                self._records[split] = opened.records(split)
            return self._records[split]

    def num_slices(self, split: str) -> int:
        """Number of slices of a split."""
        return len(self._split(split))

    def example(self, split: str, index: int) -> Slice:
        """One slice, read from the disk."""
        columns = self._split(split).read(index)
        return Slice(columns["hybrid"].T, columns["target"][0], float(columns["volume_max"][0]))

    def describe(self) -> dict[str, Any]:
        """Version, origin, split sizes and checksums."""
        return self._open().describe()


def slice_data(source: Source, *, origin: Literal["builtin", "prepared"], size: int, num_eval_train: int) -> Data:
    """The splits of a source. Nothing is read before a split is opened.

    Args:
      source: the slices.
      origin: `builtin` or `prepared`.
      size: height and width of the images, cropped from the centre.
      num_eval_train: number of training slices that are evaluated, a fixed random subset.
    """

    def open_split(split: SplitName, *, batch_size: int, seed: int, placement: Placement) -> SplitReader:
        if split == "train":
            return _training_split(source, size, batch_size=batch_size, seed=seed, placement=placement)
        if split == "eval_train":
            chosen = shuffle.eval_train_indices(source.num_slices("train"), num_eval_train)
            read = _batch_reader(source, "train", training_seeds(shuffle.EVAL_TRAIN_SEED), size)
        else:
            chosen = np.arange(source.num_slices(split))
            read = _batch_reader(source, split, evaluation_seeds, size)
        return arrays.evaluation_split(
            {"index": chosen}, batch_size=batch_size, placement=placement, transform=lambda rows: read(rows["index"])
        )

    return Data(origin=origin, open=open_split, describe=source.describe)


def training_seeds(seed: int) -> Seeds:
    """A mask of its own for each slice, the same in every epoch."""
    key = jax.random.fold_in(jax.random.PRNGKey(seed), 0)
    return functools.partial(masks.fold_in, np.asarray(key).astype(np.int64))


def evaluation_seeds(indices: np.ndarray) -> np.ndarray:
    """The same mask for all slices of one width."""
    return np.broadcast_to(masks.EVALUATION_SEED, (len(indices), 2))


def _training_split(source: Source, size: int, *, batch_size: int, seed: int, placement: Placement) -> SplitReader:
    read = _batch_reader(source, "train", training_seeds(seed), size)
    return arrays.training_split(
        {"index": np.arange(source.num_slices("train"))},
        batch_size=batch_size,
        seed=seed,
        placement=placement,
        transform=lambda rows: read(rows["index"]),
    )


def _batch_reader(source: Source, split: str, seeds: Seeds, size: int) -> Callable[[np.ndarray], Batch]:
    """Numbers of slices -> their batch, without weights."""

    def read(indices: np.ndarray) -> Batch:
        shape = (len(indices), size, size)
        batch = {name: np.empty(shape, np.float32) for name in ("inputs", "targets")}
        batch |= {name: np.empty(len(indices), np.float32) for name in ("mean", "std", "volume_max")}
        examples = [source.example(split, int(index)) for index in indices]
        widest = max(example.hybrid.shape[1] for example in examples)
        for row, (example, uniforms) in enumerate(zip(examples, masks.uniforms(seeds(indices), widest), strict=True)):
            kept = masks.kept_columns(example.hybrid.shape[1], uniforms)
            for name, value in reconstruct(example, kept, shape[1:])._asdict().items():
                batch[name][row] = value
            batch["volume_max"][row] = example.volume_max
        return batch

    return read
