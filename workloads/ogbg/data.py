"""Splits of molecules: an endless shuffled stream for training, one pass in order for evaluation."""

import functools
import itertools
import threading
from collections.abc import Callable, Mapping

import numpy as np

from algoperf_jax.data import shuffle
from algoperf_jax.data.packing import BinStream
from algoperf_jax.data.prepared import DatasetSpec
from algoperf_jax.data.sources import ColumnSource, GeneratedColumns, PreparedSource
from algoperf_jax.errors import ConfigError
from algoperf_jax.workload import Batch, Data, Placement, SplitName, SplitReader
from workloads.ogbg import graph_batching
from workloads.ogbg.graph_batching import Molecules, ShardBudget

_SHARDS = 8


def shard_count(device_count: int) -> int:
    """Number of shards of a global batch: 8 if the devices can share them equally, so that batches do not depend on the
    number of devices; else one per device.
    """
    return _SHARDS if _SHARDS % device_count == 0 else device_count


def molecule_data(source: ColumnSource, *, num_eval_train: int) -> Data:
    """The splits of a source with the columns of `Molecules`; nothing is read before a split is opened.

    Args:
      source: the molecules.
      num_eval_train: number of training molecules that are evaluated, a fixed random subset.
    """
    lock = threading.Lock()

    @functools.cache
    def read(split: str) -> Molecules:
        return graph_batching.from_columns(source.columns(split))

    def open_split(split: SplitName, *, batch_size: int, seed: int, placement: Placement) -> SplitReader:
        with lock:
            molecules = read("train" if split == "eval_train" else split)
        if split == "train":
            return training_split(molecules, batch_size=batch_size, seed=seed, placement=placement)
        chosen = np.arange(len(molecules))
        if split == "eval_train":
            chosen = shuffle.eval_train_indices(len(molecules), num_eval_train)
        return evaluation_split(molecules, chosen, batch_size=batch_size, placement=placement)

    return Data(origin=source.origin, open=open_split, describe=source.describe)


def prepared_data(data_dir: str, dataset: DatasetSpec, *, num_eval_train: int) -> Data:
    """The data set prepared in `data_dir`."""
    return molecule_data(PreparedSource(data_dir, dataset), num_eval_train=num_eval_train)


def generated_data(columns: Callable[[str], Mapping[str, np.ndarray]], split_sizes: Mapping[str, int]) -> Data:
    """The built-in molecules."""
    source = GeneratedColumns(columns, {"split_sizes": dict(split_sizes)})
    return molecule_data(source, num_eval_train=split_sizes["eval_train"])


def training_split(molecules: Molecules, *, batch_size: int, seed: int, placement: Placement) -> SplitReader:
    """The endless stream: one random order after another, split into shards. Batch k is shards k S to (k + 1) S - 1.

    Raises:
      ConfigError: the batch size is not a multiple of the number of shards, or is too small for a molecule.
    """
    num_shards = shard_count(placement.device_count)
    budget = _training_budget(molecules, batch_size, num_shards)
    stream = BinStream(
        (molecules.num_nodes, molecules.num_bonds),
        budget.capacities,
        shuffle.endless_indices(len(molecules), seed),
        most=budget.graphs,
    )
    rows = placement.rows(num_shards)

    def batch(k: int) -> Batch:
        shards = stream.bins(k * num_shards + rows.start, k * num_shards + rows.stop)
        return graph_batching.pack(molecules, shards, budget)

    return SplitReader(num_examples=len(molecules), num_batches=None, batch=batch)


def evaluation_split(molecules: Molecules, chosen: np.ndarray, *, batch_size: int, placement: Placement) -> SplitReader:
    """One pass over the chosen molecules in order, each exactly once; the last batch may contain empty shards.

    The number of batches is that of the molecules divided by `batch_size`, rounded up. Shards are as large as that
    requires: somewhat larger than in training if molecules are larger than average, and much smaller if the split is
    small or does not fill its last batch. `batch_size` need not be a multiple of the number of shards. If it is too
    small for shards that can hold the largest molecule, it is raised until they can.
    """
    num_shards = shard_count(placement.device_count)
    batch_size = max(batch_size, molecules.smallest_budget.graphs * num_shards)
    num_batches = -(-len(chosen) // batch_size)
    budget, starts = _smallest_cover(molecules, chosen, num_batches * num_shards)
    rows = placement.rows(num_shards)

    def batch(k: int) -> Batch:
        shards = np.arange(k * num_shards + rows.start, k * num_shards + rows.stop + 1)
        bounds = starts[np.minimum(shards, len(starts) - 1)]
        return graph_batching.pack(
            molecules,
            [chosen[start:stop] for start, stop in itertools.pairwise(bounds)],
            budget,
        )

    return SplitReader(num_examples=len(chosen), num_batches=num_batches, batch=batch)


def _smallest_cover(molecules: Molecules, chosen: np.ndarray, num_shards: int) -> tuple[ShardBudget, np.ndarray]:
    """About the smallest budget with which `num_shards` shards hold the chosen molecules, and each shard's start."""
    num_nodes, num_bonds = molecules.num_nodes[chosen], molecules.num_bonds[chosen]
    mean = ShardBudget.for_molecule(-(-int(num_nodes.sum()) // num_shards), -(-int(num_bonds.sum()) // num_shards))
    graphs = max(molecules.smallest_budget.graphs, mean.graphs, -(-len(chosen) // num_shards))
    while True:
        budget = ShardBudget(graphs)
        starts = graph_batching.fill_shards(num_nodes, num_bonds, budget)
        if len(starts) - 1 <= num_shards:
            return budget, starts
        graphs += max(1, graphs // 64)


def _training_budget(molecules: Molecules, batch_size: int, num_shards: int) -> ShardBudget:
    smallest = molecules.smallest_budget
    fitting = max(smallest.graphs, -(-batch_size // num_shards)) * num_shards
    if batch_size % num_shards:
        raise ConfigError(
            "--config.batch_size",
            value=batch_size,
            expected=f"a multiple of {num_shards}, the number of shards of a batch of molecules",
            remedy=f"Set --config.batch_size={fitting}.",
        )
    budget = ShardBudget(batch_size // num_shards)
    if budget.graphs < smallest.graphs:
        raise ConfigError(
            f"--config.batch_size={batch_size} makes shards of {budget.nodes} nodes and {budget.edges} edges, "
            f"too small for the largest molecule of {molecules.num_nodes.max()} nodes and "
            f"{2 * molecules.num_bonds.max()} directed edges",
            expected=f"at least {fitting}",
            remedy=f"Set --config.batch_size={fitting} or more.",
        )
    return budget
