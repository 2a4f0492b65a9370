"""Packs molecules into padded shards of a fixed size.

A global batch is a stack of shards. Molecules are added to a shard in order until the next one would exceed the shard's
budget of graphs, nodes or edges; the rest of the budget is padding. Every index is local to its shard, so the stack can
be split over devices without edges between them.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jraph
import numpy as np

from algoperf_jax.data import packing
from algoperf_jax.data.shuffle import ranges

NODES_PER_GRAPH = 26
EDGES_PER_GRAPH = 56


@dataclasses.dataclass(frozen=True)
class ShardBudget:
    """The capacity of one shard.

    Attributes:
      graphs: number of molecules; nodes and directed edges follow from the data set's mean molecule.
    """

    graphs: int

    @property
    def nodes(self) -> int:
        return NODES_PER_GRAPH * self.graphs

    @property
    def edges(self) -> int:
        return EDGES_PER_GRAPH * self.graphs

    @property
    def capacities(self) -> tuple[int, int]:
        """The maximal numbers of nodes and of bonds; a bond is two directed edges."""
        return self.nodes, self.edges // 2

    @classmethod
    def for_molecule(cls, num_nodes: int, num_bonds: int) -> "ShardBudget":
        """The smallest budget that holds a molecule of this size."""
        return cls(max(1, -(-num_nodes // NODES_PER_GRAPH), -(-2 * num_bonds // EDGES_PER_GRAPH)))


@dataclasses.dataclass(frozen=True, eq=False)
class Molecules:
    """The molecules of a split, concatenated.

    Attributes:
      num_nodes: int32 [n].
      num_bonds: int32 [n], each bond once.
      node_feat: uint8 [nodes, 9], the atoms' codes.
      bond_feat: uint8 [bonds, 3], the bonds' codes.
      bond_index: uint16 [bonds, 2], begin and end atom, relative to the molecule.
      labels: int8 [n, 128], -1 = missing.
    """

    num_nodes: np.ndarray
    num_bonds: np.ndarray
    node_feat: np.ndarray
    bond_feat: np.ndarray
    bond_index: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.num_nodes)

    @functools.cached_property
    def node_starts(self) -> np.ndarray:
        """First row of each molecule in `node_feat`, int64 [n]."""
        return np.cumsum(self.num_nodes, dtype=np.int64) - self.num_nodes

    @functools.cached_property
    def bond_starts(self) -> np.ndarray:
        """First row of each molecule in `bond_feat` and `bond_index`, int64 [n]."""
        return np.cumsum(self.num_bonds, dtype=np.int64) - self.num_bonds

    @functools.cached_property
    def smallest_budget(self) -> ShardBudget:
        """The smallest budget that holds every molecule."""
        budgets = [
            ShardBudget.for_molecule(int(self.num_nodes[i]), int(self.num_bonds[i]))
            for i in {int(self.num_nodes.argmax()), int(self.num_bonds.argmax())}
        ]
        return max(budgets, key=lambda budget: budget.graphs)

    def take(self, chosen: np.ndarray) -> dict[str, np.ndarray]:
        """The columns of the chosen molecules, in that order."""
        num_nodes, num_bonds = self.num_nodes[chosen], self.num_bonds[chosen]
        nodes = ranges(self.node_starts[chosen], num_nodes)
        bonds = ranges(self.bond_starts[chosen], num_bonds)
        return {
            "num_nodes": num_nodes,
            "num_bonds": num_bonds,
            "node_feat": self.node_feat[nodes],
            "bond_feat": self.bond_feat[bonds],
            "bond_index": self.bond_index[bonds],
            "labels": self.labels[chosen],
        }


def fill_shards(num_nodes: np.ndarray, num_bonds: np.ndarray, budget: ShardBudget) -> np.ndarray:
    """Fills shards greedily in order, and returns where each starts.

    Args:
      num_nodes: numbers of atoms of the molecules in the order of filling [n]; each fits the budget.
      num_bonds: numbers of bonds, likewise.
      budget: the capacity of a shard.

    Returns:
      int64 [shards + 1]: the first molecule of each shard, and the end of the last.
    """
    return packing.greedy_starts((num_nodes, num_bonds), budget.capacities, most=budget.graphs)


def pack(molecules: Molecules, shards: Sequence[np.ndarray], budget: ShardBudget) -> dict[str, Any]:
    """Batches molecules into padded shards, in fresh arrays.

    The first padding graph of a shard gets the surplus nodes (at least one) and edges, which connect its first node to
    itself; further padding graphs are empty. Each bond becomes two directed edges; a molecule has first all forward
    edges, then all reversed ones.

    Args:
      molecules: the molecules to choose from.
      shards: molecule indices of each of S shards.
      budget: the capacity of a shard, b graphs.

    Returns:
      `inputs`: GraphsTuple of nodes [S, 26b + 1, 9], edges [S, 56b, 3] float32, senders and receivers [S, 56b],
      n_node and n_edge [S, b + 1] int32; `targets` and `weights` [S (b + 1), 128] float32, weight 0 if the label is
      missing.
    """
    num_shards, num_graphs = len(shards), budget.graphs + 1
    nodes = np.zeros((num_shards, budget.nodes + 1, molecules.node_feat.shape[1]), np.float32)
    edges = np.zeros((num_shards, budget.edges, molecules.bond_feat.shape[1]), np.float32)
    senders = np.empty((num_shards, budget.edges), np.int32)
    receivers = np.empty((num_shards, budget.edges), np.int32)
    n_node = np.zeros((num_shards, num_graphs), np.int32)
    n_edge = np.zeros((num_shards, num_graphs), np.int32)
    targets = np.zeros((num_shards, num_graphs, molecules.labels.shape[1]), np.float32)
    weights = np.zeros_like(targets)

    for shard, chosen in enumerate(shards):
        sizes, bonds = molecules.num_nodes[chosen], molecules.num_bonds[chosen]
        node_rows = ranges(molecules.node_starts[chosen], sizes)
        # Each molecule's bonds twice in a row: once forward, once reversed.
        bond_rows = ranges(np.repeat(molecules.bond_starts[chosen], 2), np.repeat(bonds, 2))
        used_nodes, used_edges = len(node_rows), len(bond_rows)
        nodes[shard, :used_nodes] = molecules.node_feat[node_rows]
        edges[shard, :used_edges] = molecules.bond_feat[bond_rows]
        reverse = np.repeat(np.arange(2 * len(chosen)) % 2 == 1, np.repeat(bonds, 2))
        ends = molecules.bond_index[bond_rows] + np.repeat(np.cumsum(sizes) - sizes, 2 * bonds)[:, None]
        senders[shard, :used_edges] = np.where(reverse, ends[:, 1], ends[:, 0])
        receivers[shard, :used_edges] = np.where(reverse, ends[:, 0], ends[:, 1])
        senders[shard, used_edges:] = receivers[shard, used_edges:] = used_nodes
        n_node[shard, : len(chosen)] = sizes
        n_node[shard, len(chosen)] = budget.nodes + 1 - used_nodes
        n_edge[shard, : len(chosen)] = 2 * bonds
        n_edge[shard, len(chosen)] = budget.edges - used_edges
        labels = molecules.labels[chosen]
        np.maximum(labels, 0, out=targets[shard, : len(chosen)], casting="unsafe")
        weights[shard, : len(chosen)] = labels >= 0

    graph: dict[str, Any] = {"nodes": nodes, "edges": edges, "senders": senders, "receivers": receivers}
    graph |= {"n_node": n_node, "n_edge": n_edge, "globals": None}
    rows = num_shards * num_graphs
    return {
        "inputs": jraph.GraphsTuple(**graph),
        "targets": targets.reshape(rows, -1),
        "weights": weights.reshape(rows, -1),
    }


def from_columns(columns: Mapping[str, np.ndarray]) -> Molecules:
    """Molecules from the columns of a prepared or generated split."""
    return Molecules(**{field.name: columns[field.name] for field in dataclasses.fields(Molecules)})
