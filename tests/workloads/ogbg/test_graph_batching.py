"""Filling and padding shards, compared with reference batches and with the definition."""

import itertools

import jax
import numpy as np
import pytest

from tests import golden_support
from tests.workloads.ogbg.molecule_columns import golden_molecules, molecules_in, random_molecules
from workloads.ogbg import graph_batching
from workloads.ogbg.graph_batching import ShardBudget

FIELDS = ("nodes", "edges", "senders", "receivers", "n_node", "n_edge")


def greedy(num_nodes: np.ndarray, num_bonds: np.ndarray, budget: ShardBudget) -> list[int]:
    """The definition, one molecule at a time."""
    starts, graphs, nodes, edges = [0], 0, 0, 0
    for i, (n, b) in enumerate(zip(num_nodes.tolist(), num_bonds.tolist(), strict=True)):
        if graphs + 1 > budget.graphs or nodes + n > budget.nodes or edges + 2 * b > budget.edges:
            starts.append(i)
            graphs = nodes = edges = 0
        graphs, nodes, edges = graphs + 1, nodes + n, edges + 2 * b
    return [*starts, len(num_nodes)]


@pytest.mark.parametrize("num_shards", [1, 2])
def test_batches_are_those_of_the_reference(num_shards: int) -> None:
    golden, molecules = golden_support.numbers("ogbg_batching"), golden_molecules()
    budget = ShardBudget(8 // num_shards)
    starts = graph_batching.fill_shards(molecules.num_nodes, molecules.num_bonds, budget)
    shards = [np.arange(start, stop) for start, stop in itertools.pairwise(starts)]
    num_batches = len({key.split("/")[1] for key in golden if key.startswith(f"batches_gbs8_shards{num_shards}/")})
    # The reference drops a last batch that lacks shards.
    assert num_batches == len(shards) // num_shards
    for k in range(num_batches):
        batch = graph_batching.pack(molecules, shards[k * num_shards : (k + 1) * num_shards], budget)
        expected = {
            key.rpartition("/")[2]: value
            for key, value in golden.items()
            if key.startswith(f"batches_gbs8_shards{num_shards}/{k}/")
        }
        graph = batch["inputs"]
        for field in FIELDS:
            ours = getattr(graph, field)
            if field in ("senders", "receivers"):
                # The reference counts nodes over all shards.
                ours = ours + np.arange(num_shards)[:, None] * graph.nodes.shape[1]
            np.testing.assert_array_equal(ours.reshape(-1, *ours.shape[2:]), expected[field], err_msg=field)
        for field in ("targets", "weights"):
            np.testing.assert_array_equal(batch[field], expected[field], err_msg=field)


def test_stacked_shards_are_those_of_the_reference() -> None:
    golden, molecules = golden_support.numbers("ogbg_batching"), golden_molecules()
    starts = graph_batching.fill_shards(molecules.num_nodes, molecules.num_bonds, ShardBudget(4))
    batch = graph_batching.pack(
        molecules, [np.arange(starts[0], starts[1]), np.arange(starts[1], starts[2])], ShardBudget(4)
    )
    prefix = "batches_gbs8_shards2_sharddim/0/"
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(batch["inputs"], field), golden[prefix + field], err_msg=field)
    for field in ("targets", "weights"):
        np.testing.assert_array_equal(batch[field].reshape(golden[prefix + field].shape), golden[prefix + field])


@pytest.mark.parametrize("graphs", [3, 8, 40])
def test_filling_is_greedy(graphs: int) -> None:
    molecules = random_molecules(300)
    starts = graph_batching.fill_shards(molecules.num_nodes, molecules.num_bonds, ShardBudget(graphs))
    assert starts.tolist() == greedy(molecules.num_nodes, molecules.num_bonds, ShardBudget(graphs))


def test_molecules_without_bonds_and_empty_shards() -> None:
    molecules = random_molecules(200)
    bare = np.flatnonzero(molecules.num_bonds == 0)[:3]
    assert len(bare) == 3
    batch = graph_batching.pack(molecules, [bare, bare[:0]], ShardBudget(8))
    graph = batch["inputs"]
    assert molecules_in(batch) == bare.tolist()
    used = int(molecules.num_nodes[bare].sum())
    assert graph.n_edge.tolist() == [[0, 0, 0, 448, 0, 0, 0, 0, 0], [448, 0, 0, 0, 0, 0, 0, 0, 0]]
    assert graph.n_node[:, :4].tolist() == [[*molecules.num_nodes[bare], 209 - used], [209, 0, 0, 0]]
    assert (graph.senders[0] == used).all()
    assert (graph.receivers[1] == 0).all()
    assert not batch["weights"][3:].any()
    assert not graph.nodes[1].any()


def test_packing_is_what_looping_over_the_molecules_gives() -> None:
    molecules = random_molecules(50)
    chosen = np.asarray([7, 3, 31, 12])
    batch = graph_batching.pack(molecules, [chosen], ShardBudget(12))
    graph = jax.tree.map(lambda leaf: leaf[0], batch["inputs"])
    node, edge = 0, 0
    for row, i in enumerate(chosen):
        bonds = slice(molecules.bond_starts[i], molecules.bond_starts[i] + molecules.num_bonds[i])
        begin, end = molecules.bond_index[bonds].astype(int).T + node
        directed = slice(edge, edge + 2 * molecules.num_bonds[i])
        np.testing.assert_array_equal(graph.senders[directed], np.concatenate([begin, end]))
        np.testing.assert_array_equal(graph.receivers[directed], np.concatenate([end, begin]))
        np.testing.assert_array_equal(graph.edges[directed], np.tile(molecules.bond_feat[bonds], (2, 1)))
        np.testing.assert_array_equal(batch["weights"][row], molecules.labels[i] >= 0)
        np.testing.assert_array_equal(batch["targets"][row], molecules.labels[i] == 1)
        node, edge = node + molecules.num_nodes[i], edge + 2 * molecules.num_bonds[i]
    dtypes = {leaf.dtype.name for leaf in (graph.senders, graph.receivers, graph.n_node, graph.n_edge)}
    assert dtypes == {"int32"}
    assert batch["targets"].dtype == batch["weights"].dtype == graph.nodes.dtype == graph.edges.dtype == np.float32


def test_smallest_budget_covers_nodes_and_edges() -> None:
    assert ShardBudget.for_molecule(26, 28).graphs == 1
    assert ShardBudget.for_molecule(27, 28).graphs == 2
    assert ShardBudget.for_molecule(26, 29).graphs == 2
    assert ShardBudget.for_molecule(1, 0).graphs == 1
    molecules = random_molecules(50)
    assert molecules.smallest_budget.graphs == max(
        ShardBudget.for_molecule(n, b).graphs
        for n, b in zip(molecules.num_nodes.tolist(), molecules.num_bonds.tolist(), strict=True)
    )


def test_taken_molecules_are_the_same_molecules() -> None:
    molecules, chosen = random_molecules(60), np.asarray([40, 2, 2, 59])
    taken = graph_batching.from_columns(molecules.take(chosen))
    ours = graph_batching.pack(taken, [np.arange(4)], ShardBudget(12))
    expected = graph_batching.pack(molecules, [chosen], ShardBudget(12))
    jax.tree.map(np.testing.assert_array_equal, ours, expected)
