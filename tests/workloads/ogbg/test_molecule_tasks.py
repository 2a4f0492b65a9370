import itertools

import numpy as np
import pytest

from workloads.ogbg.molecule_groups import Structure
from workloads.ogbg.molecule_growth import grow, recipes
from workloads.ogbg.molecule_tasks import NUM_TASKS, TASKS, answers
from workloads.ogbg.molecules import concatenate
from workloads.ogbg.smiles import parse

EXAMPLES = {
    "CC(=O)Oc1ccccc1C(=O)O": {
        "1 or more acid",
        "1 or more ester",
        "at most 9 bonds between any two atoms",
        "more hydroxyl than nitrogen donor",
    },
    "CC(=O)Nc1ccc(O)cc1": {
        "1 or more amide",
        "1 or more secondary amide",
        "1 or more anilide",
        "1 or more phenol",
        "phenol and amide",
        "at most 9 bonds between any two atoms",
    },
    "O=C(c1ccncc1)N1CCN(C)CC1": {
        "1 or more amide",
        "1 or more benzamide",
        "1 or more tertiary amine",
        "1 or more N-methyl",
        "1 or more pyridine nitrogen",
        "1 or more pyridine",
        "1 or more piperazine",
        "amide and basic amine",
        "heteroaromatic ring without benzene",
        "saturated ring without nitrogen donor",
        "at most 9 bonds between any two atoms",
        "more nitrogen than oxygen",
    },
    "NS(=O)(=O)c1ccc(C#N)cc1Cl": {
        "1 or more sulfonamide",
        "1 or more nitrile",
        "1 or more aryl chloride",
        "sulfonamide and benzene",
        "at most 9 bonds between any two atoms",
    },
    "Cn1cnc2c1c(=O)n(C)c(=O)n2C": {
        "1 or more lactam",
        "1 or more N-methyl",
        "3 or more crowded aromatic",
        "1 or more pyridine nitrogen",
        "1 or more substituted aromatic nitrogen",
        "1 or more diazine",
        "1 or more azole",
        "1 or more fused ring",
        "3 or more methyl",
        "2 or more aryl methyl",
        "2 or more heteroaromatic ring",
        "heteroaromatic ring without benzene",
        "carbonyl and carbonyl 2 bonds apart",
        "at most 9 bonds between any two atoms",
        "more nitrogen than oxygen",
    },
}
"""All tasks that are true of aspirin, paracetamol, an isonicotinamide, a sulfonamide and caffeine."""


def test_there_are_128_different_tasks():
    assert NUM_TASKS == len(TASKS) == len({task.name for task in TASKS}) == 128


@pytest.mark.parametrize("smiles", EXAMPLES)
def test_worked_examples(smiles):
    answer = answers(parse(smiles))
    assert answer.shape == (1, NUM_TASKS)
    assert {task.name for task, true in zip(TASKS, answer[0], strict=True) if true} == EXAMPLES[smiles]


def test_molecules_do_not_influence_each_other():
    together = answers(concatenate([parse(smiles) for smiles in EXAMPLES]))
    for row, smiles in zip(together, EXAMPLES, strict=True):
        np.testing.assert_array_equal(row, answers(parse(smiles))[0])


@pytest.mark.parametrize(
    ("smiles", "group", "atoms"),
    [
        ("CC(=O)OC", "ester", [1]),
        ("CC(=O)OC", "ether", []),
        ("COc1ccccc1", "methoxy", [1]),
        ("NC(=O)c1ccccc1", "primary amide", [1]),
        ("CNC(=O)NC", "urea", [2]),
        ("CNC(=O)OC", "carbamate", [2]),
        ("CC(=O)C", "ketone", [1]),
        ("CC=O", "aldehyde", [1]),
        ("CS(=O)(=O)C", "sulfone", [1]),
        ("CSC", "thioether", [1]),
        ("C[N+](=O)[O-]", "nitro", [1]),
        ("C[N+](=O)[O-]", "charged", [1, 3]),
        ("FC(F)(F)c1ccccc1", "trifluoromethyl", [1]),
        ("FC(F)(F)c1ccccc1", "alkyl halide", []),
        ("CC(C)(C)O", "tert-butyl", [1]),
        ("CC=NO", "oxime", [2]),
        ("C=CC(=O)C", "enone", [1]),
        ("C=Cc1ccccc1", "styrene", [1]),
        ("Nc1ccccc1", "aniline", [0]),
        ("Nc1ccccc1", "basic amine", []),
        ("c1cc[nH]c1", "aromatic NH", [3]),
        ("c1ccccc1-c1ccccc1", "biaryl", [5, 6]),
        ("c1ccc2ccccc2c1", "fused atom", [3, 8]),
    ],
)
def test_groups(smiles, group, atoms):
    np.testing.assert_array_equal(np.flatnonzero(Structure(parse(smiles)).groups[group]), atoms)


def test_distances_are_those_of_breadth_first_search():
    rng = np.random.default_rng(0)
    molecules = grow(rng, recipes(rng, 8))
    structure = Structure(molecules)
    starts = np.concatenate([[0], np.cumsum(molecules.num_atoms)])
    for molecule, (start, stop) in enumerate(itertools.pairwise(starts)):
        size = stop - start
        distance = np.where(np.eye(size, dtype=bool), 0, 10**6)
        inside = (molecules.bond_atoms[:, 0] >= start) & (molecules.bond_atoms[:, 0] < stop)
        for begin, end in molecules.bond_atoms[inside] - start:
            distance[begin, end] = distance[end, begin] = 1
        for middle in range(size):
            distance = np.minimum(distance, distance[:, [middle]] + distance[[middle]])
        for bonds in (0, 1, 3, 6):
            reached = structure.reach[bonds][start:stop, None] >> np.arange(size, dtype=np.uint64) & np.uint64(1)
            np.testing.assert_array_equal(reached, distance <= bonds)
        assert structure.diameter[molecule] == distance.max()
        nitrogen, oxygen = (structure.groups[name][start:stop] for name in ("nitrogen", "oxygen"))
        for nearest, farthest in ((1, 1), (2, 4), (5, 40)):
            between = distance[nitrogen][:, oxygen]
            expected = ((between >= nearest) & (between <= farthest)).any()
            found = structure.within(structure.groups["nitrogen"], structure.groups["oxygen"], nearest, farthest)
            assert found[molecule] == expected
