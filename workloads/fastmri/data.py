"""Splits of slices, which are read, masked, reconstructed and normalized when a batch needs them."""

import functools
from collections.abc import Callable

import jax
import numpy as np

from algoperf_jax.data import arrays, shuffle
from algoperf_jax.data.arrays import Columns
from algoperf_jax.data.sources import Examples, ExampleSource, PreparedExamples
from algoperf_jax.workload import Batch, Data, Placement, SplitName, SplitReader
from workloads.fastmri import masks
from workloads.fastmri.prepare import DATASET
from workloads.fastmri.reconstruction import Slice, reconstruct

Seeds = Callable[[np.ndarray], np.ndarray]
"""Maps indices of slices int64 [n] to the seeds of their masks, int64 [n, 2]."""


class PreparedSlices(PreparedExamples[Slice]):
    """The prepared volumes; a slice is read from disk each time it is needed."""

    def __init__(self, data_dir: str) -> None:
        super().__init__(data_dir, DATASET, _slice)


def _slice(columns: Columns) -> Slice:
    return Slice(columns["hybrid"].T, columns["target"][0], float(columns["volume_max"][0]))


def slice_data(source: ExampleSource[Slice], *, size: int, num_eval_train: int) -> Data:
    """The splits of a source; nothing is read before a split is opened.

    Args:
      source: the slices.
      size: height and width of the images, cropped from the centre.
      num_eval_train: number of training slices that are evaluated, a fixed random subset.
    """

    def open_split(split: SplitName, *, batch_size: int, seed: int, placement: Placement) -> SplitReader:
        if split == "train":
            return _training_split(
                source.examples("train"), size, batch_size=batch_size, seed=seed, placement=placement
            )
        if split == "eval_train":
            slices, seeds = source.examples("train"), training_seeds(shuffle.EVAL_TRAIN_SEED)
            chosen = shuffle.eval_train_indices(len(slices), num_eval_train)
        else:
            slices, seeds = source.examples(split), evaluation_seeds
            chosen = np.arange(len(slices))
        read = _batch_reader(slices, seeds, size)
        return arrays.evaluation_split(
            {"index": chosen}, batch_size=batch_size, placement=placement, transform=lambda rows: read(rows["index"])
        )

    return Data(origin=source.origin, open=open_split, describe=source.describe)


def training_seeds(seed: int) -> Seeds:
    """Seeds that give each slice its own mask, the same in every epoch."""
    key = jax.random.fold_in(jax.random.PRNGKey(seed), 0)
    return functools.partial(masks.fold_in, np.asarray(key).astype(np.int64))


def evaluation_seeds(indices: np.ndarray) -> np.ndarray:
    """Seeds that give all slices of one width the same mask."""
    return np.broadcast_to(masks.EVALUATION_SEED, (len(indices), 2))


def _training_split(
    slices: Examples[Slice], size: int, *, batch_size: int, seed: int, placement: Placement
) -> SplitReader:
    read = _batch_reader(slices, training_seeds(seed), size)
    return arrays.training_split(
        {"index": np.arange(len(slices))},
        batch_size=batch_size,
        seed=seed,
        placement=placement,
        transform=lambda rows: read(rows["index"]),
    )


def _batch_reader(slices: Examples[Slice], seeds: Seeds, size: int) -> Callable[[np.ndarray], Batch]:
    """Maps indices of slices to their batch, without weights."""

    def read(indices: np.ndarray) -> Batch:
        shape = (len(indices), size, size)
        batch = {name: np.empty(shape, np.float32) for name in ("inputs", "targets")}
        batch |= {name: np.empty(len(indices), np.float32) for name in ("mean", "std", "volume_max")}
        examples = [slices.read(int(index)) for index in indices]
        widest = max(example.hybrid.shape[1] for example in examples)
        for row, (example, uniforms) in enumerate(zip(examples, masks.uniforms(seeds(indices), widest), strict=True)):
            kept = masks.kept_columns(example.hybrid.shape[1], uniforms)
            for name, value in reconstruct(example, kept, shape[1:])._asdict().items():
                batch[name][row] = value
            batch["volume_max"][row] = example.volume_max
        return batch

    return read
