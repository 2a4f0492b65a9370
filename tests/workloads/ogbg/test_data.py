"""Which molecules are in which batch, in training and in evaluation."""

import concurrent.futures
import itertools

import jax
import numpy as np
import pytest

from algoperf_jax.data import shuffle
from algoperf_jax.errors import ConfigError
from algoperf_jax.workload import Placement, SplitReader
from tests.workloads.ogbg.molecule_columns import molecules_in, random_molecules
from tests.workloads.ogbg.test_graph_batching import greedy
from workloads.ogbg import graph_batching
from workloads.ogbg.data import evaluation_split, generated_data, shard_count, training_split
from workloads.ogbg.graph_batching import Molecules, ShardBudget

PLACEMENT = Placement()


def assert_same_batch(one: dict, other: dict) -> None:
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_shards_do_not_depend_on_the_number_of_devices_that_share_eight() -> None:
    assert [shard_count(devices) for devices in (1, 2, 4, 8, 3, 16)] == [8, 8, 8, 8, 3, 16]


@pytest.mark.parametrize(("count", "batch_size"), [(500, 32), (500, 24), (7, 64), (100, 200)])
def test_every_epoch_holds_every_molecule_once(count: int, batch_size: int) -> None:
    molecules = random_molecules(count)
    reader = training_split(molecules, batch_size=batch_size, seed=3, placement=PLACEMENT)
    assert reader.num_examples == count
    assert reader.num_batches is None
    stream = list(itertools.chain(*(molecules_in(dict(reader.batch(k))) for k in range(6 * count // batch_size + 6))))
    epochs = [stream[start : start + count] for start in range(0, len(stream) - count + 1, count)]
    assert len(epochs) >= 3
    assert all(sorted(epoch) == list(range(count)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == len(epochs)


def test_shards_are_filled_greedily_along_the_stream() -> None:
    """Also across the boundaries of epochs."""
    molecules = random_molecules(90)
    reader = training_split(molecules, batch_size=48, seed=4, placement=PLACEMENT)
    order = shuffle.endless_indices(90, 4)(0, 1000)
    starts = greedy(molecules.num_nodes[order], molecules.num_bonds[order], ShardBudget(6))
    for k in range(12):
        shards = [order[start:stop] for start, stop in itertools.pairwise(starts[8 * k : 8 * k + 9])]
        expected = graph_batching.pack(molecules, shards, ShardBudget(6))
        assert_same_batch(dict(reader.batch(k)), expected)


@pytest.mark.parametrize("device_count", [2, 4, 8])
def test_batches_do_not_depend_on_the_number_of_devices(device_count: int) -> None:
    molecules = random_molecules(200)
    one = training_split(molecules, batch_size=40, seed=1, placement=PLACEMENT)
    other = training_split(molecules, batch_size=40, seed=1, placement=Placement(device_count=device_count))
    for k in (0, 3, 11):
        assert_same_batch(dict(one.batch(k)), dict(other.batch(k)))


@pytest.mark.parametrize("split", ["train", "validation"])
def test_processes_read_their_own_shards(split: str) -> None:
    molecules = random_molecules(200)

    def batch(placement: Placement) -> dict:
        if split == "train":
            return dict(training_split(molecules, batch_size=40, seed=1, placement=placement).batch(2))
        return dict(evaluation_split(molecules, np.arange(200), batch_size=120, placement=placement).batch(1))

    whole = batch(Placement(device_count=8))
    halves = [batch(Placement(process_index=i, process_count=2, device_count=8)) for i in range(2)]
    assert_same_batch(whole, jax.tree.map(lambda *leaves: np.concatenate(leaves), *halves))


def test_any_batch_at_any_time_from_any_thread() -> None:
    molecules = random_molecules(100)
    in_order = training_split(molecules, batch_size=32, seed=1, placement=PLACEMENT)
    expected = [dict(in_order.batch(k)) for k in range(40)]
    at_random = training_split(molecules, batch_size=32, seed=1, placement=PLACEMENT)
    asked = np.random.default_rng(0).permutation(np.repeat(np.arange(40), 2)).tolist()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for k, batch in zip(asked, pool.map(at_random.batch, asked), strict=True):
            assert_same_batch(dict(batch), expected[k])


def test_batches_are_fresh_arrays() -> None:
    reader = training_split(random_molecules(100), batch_size=32, seed=1, placement=PLACEMENT)
    one, other = reader.batch(0), reader.batch(0)
    for leaf, same in zip(jax.tree.leaves(dict(one)), jax.tree.leaves(dict(other)), strict=True):
        assert leaf.flags.writeable
        assert not np.shares_memory(leaf, same)


def test_the_seed_decides_the_order() -> None:
    molecules = random_molecules(100)
    batches = [
        molecules_in(dict(training_split(molecules, batch_size=32, seed=seed, placement=PLACEMENT).batch(0)))
        for seed in (1, 1, 2)
    ]
    assert batches[0] == batches[1] != batches[2]


@pytest.mark.parametrize("device_count", [1, 2, 8, 3])
@pytest.mark.parametrize(
    ("count", "batch_size", "num_batches"),
    [(500, 240, 3), (500, 480, 2), (50, 480, 1), (1, 480, 1), (500, 251, 2), (500, 499, 2)],
)
def test_evaluation_sees_every_molecule_once_in_order(
    device_count: int, count: int, batch_size: int, num_batches: int
) -> None:
    molecules = random_molecules(count)
    placement = Placement(device_count=device_count)
    reader = evaluation_split(molecules, np.arange(count), batch_size=batch_size, placement=placement)
    assert reader.num_batches == num_batches
    assert reader.num_examples == count
    batches = [dict(reader.batch(k)) for k in range(num_batches)]
    assert list(itertools.chain(*map(molecules_in, batches))) == list(range(count))
    assert sum(batch["weights"].sum() for batch in batches) == (molecules.labels >= 0).sum()
    assert len({batch["inputs"].nodes.shape for batch in batches}) == 1


def test_a_small_split_is_not_padded_to_a_large_batch() -> None:
    molecules = random_molecules(100)
    nodes = int(molecules.num_nodes.sum())
    batch = evaluation_split(molecules, np.arange(100), batch_size=32_768, placement=PLACEMENT).batch(0)
    assert nodes < batch["inputs"].nodes[..., 0].size < 1.5 * nodes


def test_evaluated_training_molecules_are_a_fixed_subset() -> None:
    molecules = random_molecules(300)
    columns = {"train": molecules.take(np.arange(300)), "validation": molecules.take(np.arange(50))}
    sizes = {"train": 300, "eval_train": 40, "validation": 50}
    data = generated_data(columns.__getitem__, sizes)
    assert data.origin == "builtin"
    assert data.describe()["split_sizes"] == sizes
    chosen = shuffle.eval_train_indices(300, 40).tolist()
    for seed in (1, 2):
        reader = data.open("eval_train", batch_size=80, seed=seed, placement=PLACEMENT)
        assert molecules_in(dict(reader.batch(0))) == chosen
    assert data.open("validation", batch_size=80, seed=1, placement=PLACEMENT).num_examples == 50


def with_molecule(num_nodes: int, num_bonds: int) -> Molecules:
    """Ten small molecules and one of the given size."""
    sizes, bonds = np.full(11, 5, np.int32), np.full(11, 4, np.int32)
    sizes[6], bonds[6] = num_nodes, num_bonds
    return Molecules(
        num_nodes=sizes,
        num_bonds=bonds,
        node_feat=np.zeros((sizes.sum(), 9), np.uint8),
        bond_feat=np.zeros((bonds.sum(), 3), np.uint8),
        bond_index=np.zeros((bonds.sum(), 2), np.uint16),
        labels=np.zeros((11, 128), np.int8),
    )


def opened(molecules: Molecules, batch_size: int) -> SplitReader:
    return training_split(molecules, batch_size=batch_size, seed=0, placement=PLACEMENT)


LARGE_MOLECULES = pytest.mark.parametrize(
    ("num_nodes", "num_bonds", "smallest"), [(332, 336, 104), (30, 100, 32), (26, 28, 8)]
)


@LARGE_MOLECULES
def test_a_batch_too_small_for_a_molecule_is_an_error(num_nodes: int, num_bonds: int, smallest: int) -> None:
    molecules = with_molecule(num_nodes, num_bonds)
    assert opened(molecules, smallest).batch(0)["weights"].any()
    if smallest == 8:
        return
    with pytest.raises(ConfigError) as error:
        opened(molecules, smallest - 8)
    for part in (f"--config.batch_size={smallest - 8}", f"{num_nodes} nodes", f"{2 * num_bonds} directed"):
        assert part in str(error.value)
    assert f"{smallest}" in str(error.value)


def test_a_batch_that_the_shards_cannot_share_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"--config\.batch_size: found 60; expected a multiple of 8.*=64"):
        opened(random_molecules(100), 60)


@LARGE_MOLECULES
def test_an_evaluation_batch_too_small_for_a_molecule_takes_more(num_nodes: int, num_bonds: int, smallest: int) -> None:
    molecules = with_molecule(num_nodes, num_bonds)
    readers = [
        evaluation_split(molecules, np.arange(11), batch_size=batch_size, placement=PLACEMENT)
        for batch_size in (1, smallest)
    ]
    for reader in readers:
        assert sum(reader.batch(k)["weights"].any(axis=-1).sum() for k in range(reader.num_batches or 0)) == 11
    assert readers[0].num_batches == readers[1].num_batches
