"""The fragments from which the built-in molecules are grown.

Their weights are chosen so that the shares of elements, bond types and rings are close to those of ogbg-molpcba.
"""

import dataclasses
import functools

import numpy as np

from workloads.ogbg.molecules import DOUBLE, MAX_ATOMS, MolecularGraphs, concatenate
from workloads.ogbg.smiles import parse

RING_SYSTEMS = {
    "c1ccccc1": 52,
    "c1ccncc1": 5,
    "c1cncnc1": 2.5,
    "c1cnccn1": 1,
    "c1ccnnc1": 1,
    "c1ccsc1": 4,
    "c1ccoc1": 3,
    "c1cc[nH]c1": 1.2,
    "c1cn[nH]c1": 3.5,
    "c1c[nH]cn1": 2,
    "c1cscn1": 3,
    "c1cocn1": 0.8,
    "c1ccon1": 1.5,
    "c1nnc[nH]1": 2,
    "c1nnco1": 1.5,
    "c1nncs1": 1.2,
    "c1nnn[nH]1": 0.7,
    "c1nocn1": 1,
    "c1ccc2[nH]ccc2c1": 2.5,
    "c1ccc2[nH]cnc2c1": 2.2,
    "c1ccc2scnc2c1": 1.7,
    "c1ccc2occc2c1": 0.8,
    "c1ccc2ccccc2c1": 1.8,
    "c1ccc2ncccc2c1": 2,
    "c1ccc2c(c1)nccn2": 0.8,
    "c1cnc2ccnn2c1": 0.9,
    "c1ncc2nc[nH]c2n1": 0.8,
    "c1nc2sccc2cn1": 0.8,
    "c1ccc2c(c1)[nH]c1ccccc12": 0.5,
    "O=c1cccc[nH]1": 1,
    "O=c1cc[nH]c(=O)[nH]1": 0.7,
    "O=c1[nH]cnc2ccccc12": 1.4,
    "O=c1ccc2ccccc2o1": 1.1,
    "c1ccc2c(c1)OCO2": 1.8,
    "c1ccc2c(c1)OCCO2": 1,
    "c1ccc2c(c1)CCN2": 0.8,
    "c1ccc2c(c1)CCNC2": 1,
    "O=C1NC(=O)c2ccccc21": 1.1,
    "C1CCNCC1": 5,
    "C1CNCCN1": 4.5,
    "C1COCCN1": 3,
    "C1CCNC1": 2.5,
    "C1CCCCC1": 2.2,
    "C1CCCC1": 1.2,
    "C1CC1": 1.3,
    "C1CCOC1": 1.2,
    "C1CCOCC1": 0.8,
    "C1=CCCCC1": 0.6,
    "O=C1CCCN1": 1,
    "O=C1CCC(=O)N1": 0.7,
    "O=C1CSC(=O)N1": 0.7,
    "O=C1CNC(=O)N1": 0.5,
    "C1CC2CCC1C2": 0.4,
    "C1CC2CCCC2C1": 0.3,
    "C1CCC2C(C1)CCC1C2CCC2CCCC12": 0.15,
}
"""SMILES -> weight among the ring systems; they can be joined at any atom that has a hydrogen."""

GROUPS = {
    "C": 25,
    "CC": 8,
    "C(C)C": 1.2,
    "C(C)(C)C": 1.8,
    "CCC": 1,
    "CCN": 1.2,
    "CCO": 0.6,
    "O": 4.5,
    "OC": 5.5,
    "OCC": 1.2,
    "N": 4,
    "NC": 2.5,
    "N(C)C": 1.5,
    "F": 2.7,
    "Cl": 3,
    "Br": 1.2,
    "I": 0.25,
    "C(F)(F)F": 1.2,
    "C(=O)N": 11,
    "NC=O": 10,
    "CC(=O)N": 1.5,
    "OCC(=O)N": 0.9,
    "SCC(=O)N": 1.1,
    "NC(=O)N": 1.4,
    "NC(=S)N": 0.8,
    "NC(=O)O": 0.5,
    "C(=O)O": 3,
    "C(=O)OC": 1.6,
    "C(=O)OCC": 1.2,
    "OC(C)=O": 0.5,
    "C=O": 4,
    "C(C)=O": 1.3,
    "S": 2,
    "SC": 1,
    "S(=O)(=O)N": 2,
    "N[SH](=O)=O": 1.6,
    "S(C)(=O)=O": 0.7,
    "[SH](C)=O": 0.3,
    "C#N": 0.9,
    "C#C": 0.2,
    "[NH+](=O)[O-]": 1.8,
    "[NH4+]": 0.15,
    "C(=O)[O-]": 0.2,
    "C=C": 2,
    "C=CC=O": 1,
    "C=NN": 1.1,
    "C=NO": 0.7,
}
"""SMILES -> weight among the groups; they are joined at the first atom."""

ELEMENTS = (6, 7, 8, 9, 16, 17, 35, 53)
_RING_SHARE = 0.36

# Kinds of sites: a carbon accepts any fragment, an acyl group neither halogen nor sulfur, a heteroatom only carbon.
_CARBON, _ACYL, _HETERO = 1, 2, 4


@dataclasses.dataclass(frozen=True)
class Library:
    """The fragments, with the facts that growing molecules needs.

    Attributes:
      fragments: first `RING_SYSTEMS`, then `GROUPS`.
      atom_starts: each fragment's first atom in the arrays of `fragments`.
      bond_starts: each fragment's first bond.
      ring_starts: each fragment's first ring.
      site_weight: relative probability of joining a fragment to an atom, 0 without hydrogens, float64 [atoms].
      site_kind: one of three bits, [atoms].
      accepted_kinds: the kinds of sites that an atom may be joined to, as bits [atoms].
      anchors: the atoms at which fragments may be joined, relative to the fragment, int64 [anchors].
      num_anchors: number of anchors of each fragment, int64 [fragments].
      anchor_starts: each fragment's first anchor, int64 [fragments].
      element_counts: number of atoms of each of `ELEMENTS` in a fragment, uint64 [fragments, elements].
      choice: for every number of atoms 0 to `MAX_ATOMS`, that number plus the cumulative distribution over the
        fragments that are not larger, flattened: `searchsorted(choice, size + u)` draws a fragment.
      ring_choice: the same over only the ring systems.
    """

    fragments: MolecularGraphs
    atom_starts: np.ndarray
    bond_starts: np.ndarray
    ring_starts: np.ndarray
    site_weight: np.ndarray
    site_kind: np.ndarray
    accepted_kinds: np.ndarray
    anchors: np.ndarray
    num_anchors: np.ndarray
    anchor_starts: np.ndarray
    element_counts: np.ndarray
    choice: np.ndarray
    ring_choice: np.ndarray


@functools.cache
def library() -> Library:
    """All fragments."""
    fragments = concatenate([parse(smiles) for smiles in (*RING_SYSTEMS, *GROUPS)])
    atom_starts = starts(fragments.num_atoms)
    weights = np.concatenate(
        [
            share * np.array([*table.values()]) / sum(table.values())
            for table, share in ((RING_SYSTEMS, _RING_SHARE), (GROUPS, 1 - _RING_SHARE))
        ]
    )
    is_ring_system = np.arange(len(weights)) < len(RING_SYSTEMS)

    element, hydrogens = fragments.element, fragments.hydrogens
    ends = fragments.bond_atoms
    oxo = (fragments.bond_type == DOUBLE)[:, None] & (element[ends[:, ::-1]] == 8)
    acyl = np.bincount(ends.ravel(), oxo.ravel(), len(element)) > 0
    hetero = element != 6
    # Aldehydes and thiols are rare; amines and hydroxyl groups are often unsubstituted.
    site_weight = np.select(
        [hydrogens == 0, acyl, fragments.aromatic, element == 7, element == 16, element == 8],
        [0.0, 12.0, 1.0, 1.5, 6.0, 0.4],
        0.5,
    )
    any_site = _CARBON | _ACYL | _HETERO
    picky = (fragments.charge != 0) | (element > 8)
    is_anchor = (hydrogens > 0) & np.repeat(is_ring_system, fragments.num_atoms)
    is_anchor[atom_starts[~is_ring_system]] = True
    num_anchors = np.add.reduceat(is_anchor, atom_starts, dtype=np.int64)
    fits = fragments.num_atoms <= np.arange(MAX_ATOMS + 1)[:, None]
    return Library(
        fragments=fragments,
        atom_starts=atom_starts,
        bond_starts=starts(fragments.num_bonds),
        ring_starts=starts(fragments.num_rings),
        site_weight=site_weight,
        site_kind=np.select([acyl, hetero], [_ACYL, _HETERO], _CARBON),
        accepted_kinds=np.select([picky, hetero], [_CARBON, _CARBON | _ACYL], any_site),
        anchors=np.flatnonzero(is_anchor) - np.repeat(atom_starts, num_anchors),
        num_anchors=num_anchors,
        anchor_starts=starts(num_anchors),
        element_counts=np.stack([np.add.reduceat(element == e, atom_starts, dtype=np.uint64) for e in ELEMENTS], 1),
        choice=_cumulative(np.where(fits, weights, 0)),
        ring_choice=_cumulative(np.where(fits & is_ring_system, weights, 0)),
    )


def starts(lengths: np.ndarray) -> np.ndarray:
    """Where consecutive runs of these lengths start."""
    return np.cumsum(lengths) - lengths


def _cumulative(weights: np.ndarray) -> np.ndarray:
    total = np.cumsum(weights, 1)
    return (total / np.maximum(total[:, -1:], 1e-9) + np.arange(len(weights))[:, None]).ravel()
