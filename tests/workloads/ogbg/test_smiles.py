import numpy as np
import pytest

from workloads.ogbg.molecules import AROMATIC, SINGLE
from workloads.ogbg.smiles import parse, smallest_rings


def ring_sizes(smiles: str) -> list[int]:
    return sorted(int(atoms).bit_count() for atoms in parse(smiles).rings)


@pytest.mark.parametrize(
    ("smiles", "hydrogens", "charges"),
    [
        ("CC#N", [3, 0, 0], [0, 0, 0]),
        ("CS(=O)(=O)N", [3, 0, 0, 0, 2], [0] * 5),
        ("C[N+](=O)[O-]", [3, 0, 0, 0], [0, 1, 0, -1]),
        ("c1cc[nH]c1", [1, 1, 1, 1, 1], [0] * 5),
        ("Cn1ccnc1", [3, 0, 1, 1, 0, 1], [0] * 6),
        ("[NH4+]", [4], [1]),
    ],
)
def test_hydrogens_and_charges(smiles, hydrogens, charges):
    molecule = parse(smiles)
    assert molecule.hydrogens.tolist() == hydrogens
    assert molecule.charge.tolist() == charges


@pytest.mark.parametrize(
    ("smiles", "sizes"),
    [
        ("CCO", []),
        ("C1CC1", [3]),
        ("c1ccc2ccccc2c1", [6, 6]),
        ("C1CC2CCC1C2", [5, 5]),
        ("C1CCC2(CC1)CCNC2", [5, 6]),
        ("C1C2CC3CC1CC(C2)C3", [6, 6, 6]),
        ("c1ccc2c(c1)[nH]c1ccccc12", [5, 6, 6]),
    ],
)
def test_rings(smiles, sizes):
    assert ring_sizes(smiles) == sizes


def test_rings_of_a_cube():
    """Six faces, of which five are independent."""
    edges = [(a, a ^ bit) for a in range(8) for bit in (1, 2, 4) if a < a ^ bit]
    assert [ring.bit_count() for ring in smallest_rings(8, edges)] == [4] * 5


def test_a_bond_between_aromatic_rings_is_single():
    molecule = parse("c1ccccc1c1ccccc1")
    assert np.bincount(molecule.bond_type).tolist() == [1, 0, 0, 12]
    assert molecule.bond_type[molecule.bonds.tolist().index([5, 6])] == SINGLE
    assert molecule.bond_type[-1] == AROMATIC


@pytest.mark.parametrize(
    "smiles", ["C?C", "C=C(=C)(C)C", "[Na+]", "1CC1", "C1CC", "C(C", "CC)C", "CC=", "=C", "c1ccccc1(C)(C"]
)
def test_unreadable_smiles_are_an_error(smiles):
    with pytest.raises(ValueError, match="SMILES"):
        parse(smiles)
