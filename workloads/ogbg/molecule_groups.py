"""Finds functional groups, rings and distances in the graphs of many molecules at once."""

import dataclasses
import functools

import numpy as np

from workloads.ogbg.molecules import AROMATIC, DOUBLE, SINGLE, TRIPLE, MolecularGraphs


@dataclasses.dataclass(frozen=True, eq=False)
class Structure:
    """The properties of molecules that tasks need; each is computed once.

    Every molecule must have at least two atoms and be connected.

    Attributes:
      molecules: the molecules.
    """

    molecules: MolecularGraphs

    @functools.cached_property
    def _directed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Both directions of every bond, sorted by atom: atom, neighbour, bond type; and each atom's first row."""
        ends = self.molecules.bond_atoms
        atom, neighbor = ends.ravel(), ends[:, ::-1].ravel()
        order = np.argsort(atom, kind="stable")
        degree = np.bincount(atom, minlength=len(self.molecules.element))
        kind = np.repeat(self.molecules.bond_type, 2)[order]
        return atom[order], neighbor[order], kind, np.cumsum(degree) - degree

    def neighbors(self, chosen: np.ndarray, bond_type: int | None = None) -> np.ndarray:
        """For each atom, the number of the chosen atoms (bool [atoms]) bonded to it (by one type of bond), int64
        [atoms].
        """
        atom, neighbor, kind, _ = self._directed
        counted = chosen[neighbor] if bond_type is None else chosen[neighbor] & (kind == bond_type)
        return np.bincount(atom[counted], minlength=len(chosen))

    def atoms_per_molecule(self, chosen: np.ndarray) -> np.ndarray:
        """The number of the chosen atoms (bool [atoms]) in each molecule, int64 [molecules]."""
        return np.bincount(self.molecule_of_atom[chosen], minlength=len(self.molecules.num_atoms))

    def rings_per_molecule(self, chosen: np.ndarray) -> np.ndarray:
        """The number of the chosen rings (bool [rings]) in each molecule, int64 [molecules]."""
        return np.bincount(self.molecules.molecule_of_ring[chosen], minlength=len(self.molecules.num_atoms))

    @functools.cached_property
    def molecule_of_atom(self) -> np.ndarray:
        """int64 [atoms]."""
        return self.molecules.molecule_of_atom

    @functools.cached_property
    def atom_bit(self) -> np.ndarray:
        """Bit of each atom in sets of its molecule's atoms, uint64 [atoms]."""
        return self.molecules.atom_bit

    def atom_sets(self, chosen: np.ndarray) -> np.ndarray:
        """The chosen atoms (bool [atoms]) of each molecule as bits, uint64 [molecules]."""
        starts = np.cumsum(self.molecules.num_atoms) - self.molecules.num_atoms
        return np.bitwise_or.reduceat(np.where(chosen, self.atom_bit, np.uint64(0)), starts)

    @functools.cached_property
    def reach(self) -> list[np.ndarray]:
        """Entry k: the atoms within k bonds of each atom, as bits, uint64 [atoms]; k is up to the largest diameter."""
        _, neighbor, _, first = self._directed
        reached = [self.atom_bit]
        while True:
            wider = reached[-1] | np.bitwise_or.reduceat(reached[-1][neighbor], first)
            if np.array_equal(wider, reached[-1]):
                return reached
            reached.append(wider)

    def within(self, one: np.ndarray, other: np.ndarray, nearest: int, farthest: int) -> np.ndarray:
        """Whether atoms of `one` and `other` are `nearest` to `farthest` bonds apart, bool [molecules].

        Args:
          one: first set of atoms, bool [atoms].
          other: second set of atoms, bool [atoms].
          nearest: least number of bonds along the shortest path, at least 1.
          farthest: greatest number of bonds, inclusive.
        """
        last = len(self.reach) - 1
        shell = self.reach[min(farthest, last)] & ~self.reach[min(nearest - 1, last)]
        hit = one & ((shell & self.atom_sets(other)[self.molecule_of_atom]) != 0)
        return self.atoms_per_molecule(hit) > 0

    @functools.cached_property
    def diameter(self) -> np.ndarray:
        """The greatest number of bonds between two atoms of each molecule, int64 [molecules]."""
        everything = self.atom_sets(np.ones(len(self.atom_bit), bool))[self.molecule_of_atom]
        return np.sum([self.atoms_per_molecule(reached != everything) > 0 for reached in self.reach], 0)

    @functools.cached_property
    def groups(self) -> dict[str, np.ndarray]:
        """Name -> the central atoms of the group, bool [atoms]."""
        return _groups(self)

    @functools.cached_property
    def rings(self) -> dict[str, np.ndarray]:
        """Name -> the rings of the kind, bool [rings]."""
        return _rings(self)

    @functools.cached_property
    def atom_rings(self) -> np.ndarray:
        """Number of rings that contain each atom, int64 [atoms]."""
        molecules = self.molecules
        first_ring = np.cumsum(molecules.num_rings) - molecules.num_rings
        count = np.zeros(len(self.atom_bit), np.int64)
        for k in range(int(molecules.num_rings.max())):
            kth = np.where(molecules.num_rings > k, molecules.rings.take(first_ring + k, mode="clip"), 0)
            count += (kth[self.molecule_of_atom] & self.atom_bit) != 0
        return count

    def ring_count(self, chosen: np.ndarray) -> np.ndarray:
        """The number of the chosen atoms (bool [atoms]) in each ring, int64 [rings]."""
        sets = self.atom_sets(chosen)[self.molecules.molecule_of_ring]
        return np.bitwise_count(sets & self.molecules.rings).astype(np.int64)


def _groups(structure: Structure) -> dict[str, np.ndarray]:
    molecules, neighbors = structure.molecules, structure.neighbors
    element, hydrogens, aromatic = molecules.element, molecules.hydrogens, molecules.aromatic
    chain = ~aromatic
    ring = structure.atom_rings > 0
    atom = np.ones(len(element), bool)
    carbon, nitrogen, oxygen, sulfur = (element == number for number in (6, 7, 8, 16))
    halogen = np.isin(element, (9, 17, 35, 53))
    degree = neighbors(atom)
    double, triple = neighbors(atom, DOUBLE), neighbors(atom, TRIPLE)
    saturated = chain & (double + triple == 0)

    carbonyl = carbon & (neighbors(oxygen, DOUBLE) > 0)
    open_carbonyl = carbonyl & ~ring
    near_nitrogen, near_oxygen = neighbors(nitrogen, SINGLE), neighbors(oxygen, SINGLE)
    amide = open_carbonyl & (near_nitrogen == 1) & (near_oxygen == 0)
    sulfonyl = sulfur & (neighbors(oxygen, DOUBLE) == 2)
    methyl = carbon & (hydrogens == 3)
    hydroxyl = oxygen & (hydrogens == 1)
    thiocarbonyl = carbon & (neighbors(sulfur, DOUBLE) > 0)
    ether = oxygen & chain & (degree == 2) & (neighbors(carbon) == 2) & (neighbors(carbonyl) == 0)
    acylated = neighbors(carbonyl | thiocarbonyl | sulfonyl) > 0
    amine = nitrogen & saturated & (molecules.charge == 0) & ~acylated & (neighbors(nitrogen | oxygen) == 0)
    on_aromatic = neighbors(aromatic & carbon, SINGLE) > 0
    arene = neighbors(aromatic, SINGLE) > 0
    nitro = nitrogen & (molecules.charge == 1) & (neighbors(oxygen, DOUBLE) > 0)
    alkene = carbon & chain & (neighbors(carbon & chain, DOUBLE) > 0)
    ring_nitrogen = nitrogen & aromatic
    return {
        "atom": atom,
        "carbonyl": carbonyl,
        "amide": amide,
        "primary amide": open_carbonyl & (near_oxygen == 0) & (neighbors(nitrogen & (hydrogens == 2), SINGLE) == 1),
        "secondary amide": open_carbonyl & (near_oxygen == 0) & (neighbors(nitrogen & (hydrogens == 1), SINGLE) == 1),
        "anilide": open_carbonyl & (neighbors(nitrogen & on_aromatic, SINGLE) > 0),
        "benzamide": open_carbonyl & on_aromatic & (near_nitrogen > 0),
        "lactam": carbonyl & ring & (near_nitrogen + neighbors(nitrogen, AROMATIC) > 0),
        "urea": carbonyl & (near_nitrogen == 2),
        "thiourea": thiocarbonyl,
        "acid": carbonyl & (neighbors(hydroxyl) == 1) & (near_nitrogen == 0),
        "carbamate": carbonyl & (near_nitrogen == 1) & (near_oxygen == 1),
        "ester": carbonyl & (neighbors(oxygen & (hydrogens == 0), SINGLE) == 1) & (near_nitrogen == 0),
        "ketone": open_carbonyl & (neighbors(carbon) == 2),
        "aldehyde": open_carbonyl & (hydrogens == 1),
        "sulfonyl": sulfonyl,
        "sulfonamide": sulfonyl & (near_nitrogen > 0),
        "sulfone": sulfonyl & (neighbors(carbon) == 2),
        "thioether": sulfur & chain & (neighbors(carbon) == 2) & (double == 0),
        "thiol": sulfur & (hydrogens == 1) & (double == 0),
        "nitrile": carbon & (neighbors(nitrogen, TRIPLE) > 0),
        "nitro": nitro,
        "alcohol": hydroxyl & (neighbors(carbon & saturated) > 0),
        "phenol": hydroxyl & arene,
        "hydroxyl": hydroxyl,
        "methoxy": ether & (neighbors(methyl) > 0),
        "aryl ether": ether & on_aromatic,
        "ether": ether,
        "ring ether": ether & ring,
        "primary amine": amine & (hydrogens == 2),
        "secondary amine": amine & (hydrogens == 1),
        "tertiary amine": amine & (hydrogens == 0),
        "basic amine": amine & ~on_aromatic,
        "aniline": amine & on_aromatic,
        "nitrogen donor": nitrogen & (hydrogens > 0),
        "N-N": nitrogen & chain & (neighbors(nitrogen) > 0),
        "imine": carbon & chain & (neighbors(nitrogen & chain, DOUBLE) > 0),
        "oxime": nitrogen & (double == 1) & (neighbors(hydroxyl) > 0),
        "alkene": alkene,
        "enone": alkene & (neighbors(carbonyl & chain, SINGLE) > 0),
        "styrene": alkene & on_aromatic,
        "alkyne": carbon & (neighbors(carbon, TRIPLE) > 0),
        "trifluoromethyl": carbon & (neighbors(element == 9) == 3),
        "aryl fluoride": (element == 9) & arene,
        "aryl chloride": (element == 17) & arene,
        "bromine or iodine": (element == 35) | (element == 53),
        "alkyl halide": halogen & ~arene & (neighbors(carbon & (neighbors(element == 9) == 3)) == 0),
        "halogen": halogen,
        "sulfur": sulfur,
        "oxygen": oxygen,
        "nitrogen": nitrogen,
        "carbon": carbon,
        "heteroatom": ~carbon,
        "charged": molecules.charge != 0,
        "methyl": methyl,
        "aryl methyl": methyl & arene,
        "N-methyl": methyl & (neighbors(nitrogen) > 0),
        "isopropyl": carbon & (hydrogens == 1) & (neighbors(methyl) == 2),
        "tert-butyl": carbon & (neighbors(methyl) >= 3),
        "quaternary carbon": carbon & saturated & (degree == 4),
        "benzylic CH2": carbon & (hydrogens == 2) & ~ring & on_aromatic,
        "chain CH2": carbon & (hydrogens == 2) & ~ring & (neighbors(carbon & (hydrogens == 2) & ~ring) > 0),
        "saturated ring atom": ring & saturated & (hydrogens > 0),
        "crowded aromatic": aromatic & (degree == 3) & (neighbors(aromatic & (degree == 3), AROMATIC) == 2),
        "biaryl": aromatic & arene,
        "aromatic nitrogen": ring_nitrogen,
        "pyridine nitrogen": ring_nitrogen
        & (degree == 2)
        & (hydrogens == 0)
        & (neighbors(nitrogen | oxygen | sulfur) == 0),
        "aromatic NH": ring_nitrogen & (hydrogens == 1),
        "substituted aromatic nitrogen": ring_nitrogen & (degree == 3) & (neighbors(atom, SINGLE) == 1),
        "aromatic sulfur": sulfur & aromatic,
        "aromatic oxygen": oxygen & aromatic,
        "fused atom": structure.atom_rings >= 2,
    }


def _rings(structure: Structure) -> dict[str, np.ndarray]:
    molecules, count, groups = structure.molecules, structure.ring_count, structure.groups
    size = count(groups["atom"])
    aromatic = count(molecules.aromatic) == size
    nitrogens, oxygens, sulfurs = count(groups["nitrogen"]), count(groups["oxygen"]), count(groups["sulfur"])
    hetero = nitrogens + oxygens + sulfurs
    alone = count(groups["fused atom"]) == 0
    five, six = size == 5, size == 6
    benzene = six & aromatic & (hetero == 0)
    substituents = size - count(structure.neighbors(groups["atom"]) == 2)
    return {
        "ring": size > 0,
        "aromatic ring": aromatic,
        "saturated ring": ~aromatic,
        "three-membered ring": size == 3,
        "five-membered ring": five,
        "six-membered ring": six,
        "benzene": benzene & alone,
        "pyridine": six & aromatic & (nitrogens == 1) & alone,
        "diazine": six & aromatic & (nitrogens == 2),
        "azole": five & aromatic & (nitrogens >= 2),
        "many-nitrogen ring": aromatic & (nitrogens >= 3),
        "thiazole": five & aromatic & (sulfurs == 1) & (nitrogens >= 1),
        "thiophene": five & aromatic & (sulfurs == 1) & (nitrogens == 0),
        "furan": five & aromatic & (oxygens == 1) & (nitrogens == 0),
        "oxazole": five & aromatic & (oxygens == 1) & (nitrogens >= 1),
        "pyrrole": five & aromatic & (nitrogens == 1) & (hetero == 1),
        "heteroaromatic ring": aromatic & (hetero > 0),
        "fused ring": ~alone,
        "fused benzene": benzene & ~alone,
        "piperidine": six & ~aromatic & (nitrogens == 1) & (hetero == 1) & alone,
        "piperazine": six & ~aromatic & (nitrogens == 2) & (hetero == 2) & alone,
        "morpholine": six & ~aromatic & (nitrogens == 1) & (oxygens == 1) & alone,
        "pyrrolidine": five & ~aromatic & (nitrogens == 1) & (hetero == 1) & alone,
        "carbocycle": ~aromatic & (hetero == 0) & (size >= 5),
        "oxygen ring": ~aromatic & (oxygens > 0),
        "one substituent": benzene & alone & (substituents == 1),
        "four substituents": aromatic & (substituents >= 4) & alone,
    }
