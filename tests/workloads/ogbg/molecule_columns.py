"""Molecules for tests: those of the reference numbers, and random ones."""

import numpy as np

from tests import golden_support
from workloads.ogbg.graph_batching import Molecules


def golden_molecules() -> Molecules:
    """The 24 molecules of `ogbg_batching.npz`."""
    golden = golden_support.numbers("ogbg_batching")
    labels = golden["raw/labels"]
    return Molecules(
        num_nodes=golden["raw/num_nodes"].astype(np.int32),
        num_bonds=golden["raw/num_edges"].astype(np.int32),
        node_feat=golden["raw/node_feat"].astype(np.uint8),
        bond_feat=golden["raw/edge_feat"].astype(np.uint8),
        bond_index=golden["raw/edge_index"].astype(np.uint16),
        labels=np.where(np.isnan(labels), -1, labels).astype(np.int8),
    )


def random_molecules(count: int, *, most_nodes: int = 60, seed: int = 0) -> Molecules:
    """Molecules of 1 to `most_nodes` atoms, some without a bond; the first task's labels and the codes of the first
    atom encode the molecule's number, so that it can be recovered from a batch.
    """
    rng = np.random.default_rng(seed)
    num_nodes = rng.integers(1, most_nodes + 1, count).astype(np.int32)
    num_bonds = np.where(rng.random(count) < 0.1, 0, (num_nodes * rng.uniform(0.9, 1.2, count)).astype(np.int32))
    num_bonds = np.where(num_nodes == 1, 0, num_bonds).astype(np.int32)
    atoms = np.repeat(num_nodes, num_bonds)[:, None]
    node_feat = rng.integers(0, 120, (num_nodes.sum(), 9), np.uint8)
    first_atoms = np.cumsum(num_nodes) - num_nodes
    node_feat[first_atoms, 0], node_feat[first_atoms, 1] = np.divmod(np.arange(count), 256)
    return Molecules(
        num_nodes=num_nodes,
        num_bonds=num_bonds,
        node_feat=node_feat,
        bond_feat=rng.integers(0, 5, (num_bonds.sum(), 3), np.uint8),
        bond_index=(rng.random((num_bonds.sum(), 2)) * atoms).astype(np.uint16),
        labels=rng.integers(-1, 2, (count, 128), np.int8),
    )


def molecules_in(batch: dict) -> list[int]:
    """The numbers of the random molecules in a batch, in order."""
    graph = batch["inputs"]
    numbers = []
    for nodes, n_node in zip(graph.nodes, graph.n_node, strict=True):
        # A shard's first padding graph ends with its last node; everything before is molecules.
        starts = np.cumsum(n_node) - n_node
        molecules = int(np.searchsorted(np.cumsum(n_node), len(nodes)))
        firsts = nodes[starts[:molecules]]
        numbers += (256 * firsts[:, 0] + firsts[:, 1]).astype(int).tolist()
    return numbers
