"""Molecules as flat arrays, and the feature codes of ogbg-molpcba.

Hydrogens are implicit. The codes are those of the Open Graph Benchmark (Hu et al. 2020), which follow RDKit's rules for
hybridization and conjugation.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

SINGLE, DOUBLE, TRIPLE, AROMATIC = 0, 1, 2, 3
BOND_ORDERS = np.array([1.0, 2.0, 3.0, 1.5], np.float32)
MAX_ATOMS = 60
"""Sets of a molecule's atoms are stored as the bits of one uint64."""

VALENCES = {6: (4,), 7: (3,), 8: (2,), 9: (1,), 16: (2, 4, 6), 17: (1,), 35: (1,), 53: (1,)}
"""Usual valences of the neutral elements."""
_SMALLEST_VALENCE = np.zeros(64, np.int8)
_OUTER_ELECTRONS = np.zeros(64, np.int8)
for _element, _usual in VALENCES.items():
    _SMALLEST_VALENCE[_element] = _usual[0]
    _OUTER_ELECTRONS[_element] = {6: 4, 7: 5, 8: 6, 16: 6}.get(_element, 7)


@dataclasses.dataclass(frozen=True)
class MolecularGraphs:
    """Several molecules; the arrays of their atoms, bonds and rings are concatenated.

    Attributes:
      num_atoms: number of atoms, int64 [molecules].
      num_bonds: number of bonds, int64 [molecules].
      num_rings: number of rings, int64 [molecules].
      element: atomic numbers, uint8 [atoms].
      charge: formal charges, int8 [atoms].
      hydrogens: implicit hydrogens, int8 [atoms].
      aromatic: bool [atoms].
      chirality: tetrahedral tag: 0 none, 1 clockwise, 2 counterclockwise, uint8 [atoms].
      bonds: begin and end atom of each bond, relative to the molecule's first atom, int64 [bonds, 2].
      bond_type: SINGLE, DOUBLE, TRIPLE or AROMATIC, uint8 [bonds].
      stereo: 0 none, 1 Z, 2 E, uint8 [bonds].
      rings: the atoms of each ring of a smallest set of smallest rings, as bits relative to the molecule's first atom,
        uint64 [rings].
    """

    num_atoms: np.ndarray
    num_bonds: np.ndarray
    num_rings: np.ndarray
    element: np.ndarray
    charge: np.ndarray
    hydrogens: np.ndarray
    aromatic: np.ndarray
    chirality: np.ndarray
    bonds: np.ndarray
    bond_type: np.ndarray
    stereo: np.ndarray
    rings: np.ndarray

    @property
    def molecule_of_atom(self) -> np.ndarray:
        """int64 [atoms]."""
        return np.repeat(np.arange(len(self.num_atoms)), self.num_atoms)

    @property
    def molecule_of_ring(self) -> np.ndarray:
        """int64 [rings]."""
        return np.repeat(np.arange(len(self.num_rings)), self.num_rings)

    @property
    def atom_bit(self) -> np.ndarray:
        """The bit of each atom in sets of its molecule's atoms, uint64 [atoms]."""
        return np.uint64(1) << (np.arange(len(self.element)) - self._atom_starts[self.molecule_of_atom]).astype(
            np.uint64
        )

    @property
    def in_ring(self) -> np.ndarray:
        """Whether each atom is in a ring, bool [atoms]."""
        members = np.zeros(len(self.num_atoms), np.uint64)
        np.bitwise_or.at(members, self.molecule_of_ring, self.rings)
        return (members[self.molecule_of_atom] & self.atom_bit) != 0

    @property
    def bond_atoms(self) -> np.ndarray:
        """Begin and end atom of each bond as rows of the atom arrays, int64 [bonds, 2]."""
        return self.bonds + np.repeat(self._atom_starts, self.num_bonds)[:, None]

    @property
    def _atom_starts(self) -> np.ndarray:
        return np.cumsum(self.num_atoms) - self.num_atoms


def concatenate(parts: Sequence[MolecularGraphs]) -> MolecularGraphs:
    """The molecules of all parts, in order."""
    fields = [field.name for field in dataclasses.fields(MolecularGraphs)]
    return MolecularGraphs(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in fields})


def first(molecules: MolecularGraphs, count: int) -> MolecularGraphs:
    """The first `count` molecules."""
    ends: dict[str, int] = dict.fromkeys(("num_atoms", "num_bonds", "num_rings"), count)
    ends |= dict.fromkeys(
        ("element", "charge", "hydrogens", "aromatic", "chirality"), int(molecules.num_atoms[:count].sum())
    )
    ends |= dict.fromkeys(("bonds", "bond_type", "stereo"), int(molecules.num_bonds[:count].sum()))
    ends["rings"] = int(molecules.num_rings[:count].sum())
    return MolecularGraphs(**{name: getattr(molecules, name)[:end] for name, end in ends.items()})


def node_features(molecules: MolecularGraphs) -> np.ndarray:
    """The nine codes of each atom, uint8 [atoms, 9].

    They are atomic number - 1, chiral tag, neighbours including hydrogens, charge + 5, hydrogens, radical electrons,
    hybridization (SP 0, SP2 1, SP3 2), aromatic, in a ring.
    """
    conjugated = np.zeros(len(molecules.element), bool)
    conjugated[molecules.bond_atoms[_conjugated(molecules)]] = True
    neighbors = _total_neighbors(molecules)
    charge = molecules.charge
    lone_pairs = (_OUTER_ELECTRONS[molecules.element] - _valence(molecules) - charge) // 2
    orbitals = neighbors + lone_pairs
    hybridization = np.where((orbitals == 4) & conjugated & (neighbors <= 3), 3, orbitals) - 2
    columns = (
        molecules.element - 1,
        molecules.chirality,
        neighbors,
        charge + 5,
        molecules.hydrogens,
        np.zeros(len(charge)),
        hybridization,
        molecules.aromatic,
        molecules.in_ring,
    )
    return np.stack(columns, 1).astype(np.uint8)


def bond_features(molecules: MolecularGraphs) -> np.ndarray:
    """The three codes of each bond, uint8 [bonds, 3]: type, stereo, conjugated."""
    return np.stack([molecules.bond_type, molecules.stereo, _conjugated(molecules)], 1).astype(np.uint8)


def _total_neighbors(molecules: MolecularGraphs) -> np.ndarray:
    """Number of neighbours including implicit hydrogens, int64 [atoms]."""
    return np.bincount(molecules.bond_atoms.ravel(), minlength=len(molecules.element)) + molecules.hydrogens


def _valence(molecules: MolecularGraphs) -> np.ndarray:
    """Sum of bond orders including hydrogens; for aromatic atoms, the smallest valence of their element and charge."""
    orders = np.repeat(BOND_ORDERS[molecules.bond_type], 2)
    total = np.bincount(molecules.bond_atoms.ravel(), orders, len(molecules.element)) + molecules.hydrogens
    fixed = _SMALLEST_VALENCE[molecules.element] + molecules.charge
    return np.where(molecules.aromatic, fixed, total).astype(np.int64)


def _conjugated(molecules: MolecularGraphs) -> np.ndarray:
    """Whether bonds are conjugated, by RDKit's rule, bool [bonds]: aromatic, or next to a bond that is at least double.

    Including hydrogens, the atom between the two bonds has two or three neighbours, and the atom at the far end of the
    other bond at most three; neither is hypervalent, a halogen, or a sulfur with more than one neighbour.
    """
    element, neighbors = molecules.element, _total_neighbors(molecules)
    hypervalent = (molecules.charge == 0) & (_valence(molecules) > _SMALLEST_VALENCE[element])
    candidate = ~hypervalent & (_OUTER_ELECTRONS[element] != 7) & ((element != 16) | (neighbors < 2))
    middle = candidate & (neighbors >= 2) & (neighbors <= 3)
    far = candidate & (neighbors <= 3)

    multiple = molecules.bond_type != SINGLE
    here, there = molecules.bond_atoms, molecules.bond_atoms[:, ::-1]
    reaches_far = far[there]
    count = len(element)
    multiples = np.bincount(here.ravel(), np.repeat(multiple, 2), count)[here]
    fars = np.bincount(here.ravel(), reaches_far.ravel(), count)[here]
    as_multiple = multiple[:, None] & (fars - reaches_far >= 1)
    as_other = reaches_far & (multiples - multiple[:, None] >= 1)
    return (middle[here] & (as_multiple | as_other)).any(1) | (molecules.bond_type == AROMATIC)
