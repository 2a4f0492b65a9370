import threading

import numpy as np
import pytest

from algoperf_jax.errors import ConfigError
from workloads.ogbg import builtin, molecule_fragments
from workloads.ogbg.molecule_tasks import NUM_TASKS, TASKS, answers
from workloads.ogbg.molecules import MAX_ATOMS
from workloads.ogbg.smiles import parse, smallest_rings

SPLITS = ("train", "validation", "test")
VALENCES = {6: {4}, 7: {3}, 8: {2}, 9: {1}, 16: {2, 4, 6}, 17: {1}, 35: {1}, 53: {1}}


def starts(lengths: np.ndarray) -> np.ndarray:
    return np.cumsum(lengths) - lengths


def bond_atoms(columns: dict[str, np.ndarray]) -> np.ndarray:
    """Rows of `node_feat` at both ends of each bond."""
    return columns["bond_index"] + np.repeat(starts(columns["num_nodes"]), columns["num_bonds"])[:, None]


def shares(codes: np.ndarray, count: int) -> np.ndarray:
    return np.bincount(codes, minlength=count)[:count] / len(codes)


def formulas(split: str) -> set[bytes]:
    columns = builtin.columns(split)
    molecule = np.repeat(np.arange(len(columns["num_nodes"])), columns["num_nodes"])
    counts = np.zeros((len(columns["num_nodes"]), 64), np.int64)
    np.add.at(counts, (molecule, columns["node_feat"][:, 0]), 1)
    return {row.tobytes() for row in counts}


@pytest.mark.parametrize("split", SPLITS)
def test_schema(split):
    columns = builtin.columns(split)
    count, nodes, bonds = len(columns["num_nodes"]), columns["num_nodes"].sum(), columns["num_bonds"].sum()
    assert count == builtin.FACTS.split_sizes[split]
    assert {name: (column.dtype, column.shape) for name, column in columns.items()} == {
        "num_nodes": (np.int32, (count,)),
        "num_bonds": (np.int32, (count,)),
        "node_feat": (np.uint8, (nodes, 9)),
        "bond_feat": (np.uint8, (bonds, 3)),
        "bond_index": (np.uint16, (bonds, 2)),
        "labels": (np.int8, (count, 128)),
    }
    for column in columns.values():
        assert not column.flags.writeable
    assert (columns["bond_index"] < np.repeat(columns["num_nodes"], columns["num_bonds"])[:, None]).all()
    assert (columns["node_feat"].max(0) < [119, 5, 12, 12, 10, 6, 6, 2, 2]).all()
    assert (columns["bond_feat"].max(0) < [4, 3, 2]).all()
    assert set(np.unique(columns["labels"])) == {-1, 0, 1}


def test_an_unknown_split_is_an_error():
    with pytest.raises(ConfigError, match="eval_train"):
        builtin.columns("eval_train")


@pytest.mark.parametrize("split", SPLITS)
def test_the_smallest_shard_holds_the_largest_molecule(split):
    columns = builtin.columns(split)
    graphs, remainder = divmod(builtin.FACTS.batch_size, 8)
    assert remainder == builtin.FACTS.eval_batch_size % 8 == 0
    assert columns["num_nodes"].max() <= MAX_ATOMS <= 26 * graphs
    assert 2 * columns["num_bonds"].max() <= 56 * graphs


def test_valences_and_features_fit_the_bonds():
    columns = builtin.columns("train")
    features, ends = columns["node_feat"].astype(int), bond_atoms(columns)
    element, _, neighbors, charge, hydrogens, radicals, hybridization, aromatic, in_ring = features.T
    kind = columns["bond_feat"][:, 0]
    np.testing.assert_array_equal(np.bincount(ends.ravel(), minlength=len(features)) + hydrogens, neighbors)
    assert (radicals == 0).all()

    order = np.repeat(np.array([1, 2, 3, 1.5])[kind], 2)
    valence = np.bincount(ends.ravel(), order, len(features)) + hydrogens
    plain = (charge == 5) & (aromatic == 0)
    for number, allowed in VALENCES.items():
        assert set(valence[plain & (element == number - 1)]) <= allowed
    assert set(element) <= {number - 1 for number in VALENCES}
    assert set(valence[(charge == 6) & (element == 6)]) == {4}
    assert set(valence[(charge == 4) & (element == 7)]) == {1}
    assert set(charge) == {4, 5, 6}

    assert (aromatic[ends[kind == 3]] == 1).all()
    assert (in_ring[aromatic == 1] == 1).all()
    assert (np.bincount(ends[kind == 3].ravel(), minlength=len(features))[aromatic == 1] >= 2).all()
    assert (hybridization[aromatic == 1] == 1).all()
    carbon = element == 5
    multiples = [np.bincount(ends[kind == code].ravel(), minlength=len(features)) for code in (1, 2)]
    assert (hybridization[carbon & (multiples[1] == 1)] == 0).all()
    assert (hybridization[carbon & (multiples[0] == 1)] == 1).all()
    assert (hybridization[carbon & (aromatic == 0) & (multiples[0] + multiples[1] == 0)] == 2).all()


def test_stereochemistry_is_where_it_can_be():
    columns = builtin.columns("train")
    features = columns["node_feat"].astype(int)
    tagged = features[features[:, 1] > 0]
    assert (tagged[:, [0, 2, 6, 7]] == [5, 4, 2, 0]).all()
    assert tagged[:, 4].max() == 1
    ends, bonds = bond_atoms(columns), columns["bond_feat"]
    sided = bonds[:, 1] > 0
    assert (bonds[sided, 0] == 1).all()
    neighbors = np.bincount(ends.ravel(), minlength=len(features))
    assert neighbors[ends[sided]].min() >= 2
    assert features[ends[sided], 8].max() == 0


def test_molecules_are_connected_and_rings_are_found():
    molecules, _ = builtin.generate("validation", 100)
    first_bond, first_ring = starts(molecules.num_bonds), starts(molecules.num_rings)
    for molecule in range(100):
        size = int(molecules.num_atoms[molecule])
        bonds = molecules.bonds[first_bond[molecule] :][: molecules.num_bonds[molecule]].tolist()
        reached = {0}
        for _ in range(size):
            reached |= {atom for bond in bonds if reached & set(bond) for atom in bond}
        assert len(reached) == size
        rings = molecules.rings[first_ring[molecule] :][: molecules.num_rings[molecule]].tolist()
        assert sorted(rings) == sorted(smallest_rings(size, bonds))


def test_sizes_are_like_those_of_the_real_molecules():
    columns = builtin.columns("train")
    assert 25.5 < columns["num_nodes"].mean() < 26.5
    assert 27.5 < columns["num_bonds"].mean() < 28.7
    p1, median, p99 = np.percentile(columns["num_nodes"], [1, 50, 99])
    assert 12 <= p1 <= 14
    assert 25 <= median <= 27
    assert 40 <= p99 <= 45
    assert columns["num_nodes"].min() >= 8
    assert 50 < columns["num_nodes"].max() <= MAX_ATOMS


def test_features_are_like_those_of_the_real_molecules():
    columns = builtin.columns("train")
    nodes, bonds = columns["node_feat"], columns["bond_feat"]
    np.testing.assert_allclose(shares(bonds[:, 0], 4), [0.456, 0.077, 0.0016, 0.466], atol=0.015)
    np.testing.assert_allclose(shares(bonds[:, 1], 3), [0.996, 0.0013, 0.0029], atol=0.003)
    np.testing.assert_allclose(shares(bonds[:, 2], 2), [0.34, 0.66], atol=0.05)
    np.testing.assert_allclose(shares(nodes[:, 0], 9)[5:], [0.72, 0.12, 0.12, 0.01], atol=0.03)
    np.testing.assert_allclose(shares(nodes[:, 7], 2), [0.51, 0.49], atol=0.03)
    np.testing.assert_allclose(shares(nodes[:, 8], 2), [0.37, 0.63], atol=0.03)


def test_labels_are_answers_with_gaps():
    molecules, labelled = builtin.generate("validation", 200)
    labels = builtin.columns("validation")["labels"][:200]
    np.testing.assert_array_equal(labels >= 0, labelled)
    np.testing.assert_array_equal((labels == 1)[labelled], answers(molecules)[labelled])


@pytest.mark.parametrize("split", SPLITS)
def test_every_task_has_both_classes_and_gaps(split):
    labels = builtin.columns(split)["labels"]
    positive, labelled = (labels == 1).sum(0), (labels >= 0).sum(0)
    assert positive.min() >= 3
    assert (labelled - positive).min() >= 100
    missing = 1 - labelled / len(labels)
    assert 0.38 < missing.mean() < 0.42
    assert 0.18 < missing.min() < 0.3
    assert 0.5 < missing.max() < 0.62
    assert (labels >= 0).any(1).all()


def test_tasks_are_of_different_rarity():
    labels = builtin.columns("train")["labels"]
    rate = (labels == 1).sum(0) / (labels >= 0).sum(0)
    assert len(TASKS) == NUM_TASKS == len(rate)
    assert rate.min() > 0.01
    assert rate.max() < 0.6
    assert (rate < 0.05).sum() >= 15
    assert (rate > 0.2).sum() >= 25


def test_no_molecule_is_in_two_splits():
    """No formula is, although training molecules share formulas with each other."""
    train, validation, test = (formulas(split) for split in SPLITS)
    assert not train & validation
    assert not train & test
    assert not validation & test
    assert len(train) < builtin.FACTS.split_sizes["train"]


def test_molecules_depend_only_on_the_seed():
    columns = builtin.columns("test")
    molecules, labelled = builtin.generate("test", 50)
    np.testing.assert_array_equal(molecules.num_atoms, columns["num_nodes"][:50])
    np.testing.assert_array_equal(molecules.bonds, columns["bond_index"][: molecules.num_bonds.sum()])
    np.testing.assert_array_equal(molecules.element - 1, columns["node_feat"][: molecules.num_atoms.sum(), 0])
    np.testing.assert_array_equal(labelled, columns["labels"][:50] >= 0)


def test_threads_share_one_copy():
    found = []
    threads = [threading.Thread(target=lambda: found.append(builtin.columns("validation"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(columns is found[0] for columns in found)


@pytest.mark.parametrize("smiles", [*molecule_fragments.RING_SYSTEMS, *molecule_fragments.GROUPS])
def test_fragments_can_be_joined(smiles):
    fragment = parse(smiles)
    anchors = fragment.hydrogens if smiles in molecule_fragments.RING_SYSTEMS else fragment.hydrogens[:1]
    assert anchors.max() >= 1
