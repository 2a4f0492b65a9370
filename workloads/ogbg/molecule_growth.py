"""Random drug-like molecules, grown from fragments by replacing hydrogens with bonds.

A molecule starts from one fragment; each further fragment is joined to it by a single bond between an atom that still
has a hydrogen and one of its own. Valences, rings and aromaticity therefore stay those of the fragments. Sizes
follow ogbg-molpcba up to `MAX_ATOMS`; the weights of the fragments are chosen so that the shares of elements, bond
types and rings come close to it. Everything is vectorized over the molecules.
"""

import dataclasses
import functools

import numpy as np

from workloads.ogbg.molecules import DOUBLE, MAX_ATOMS, SINGLE, MolecularGraphs, concatenate
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
"""SMILES -> weight among the ring systems; joined by any atom that has a hydrogen."""

GROUPS = {
    "C": 25,
    "CC": 8,
    "C(C)C": 1.2,
    "C(C)(C)C": 1.2,
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
"""SMILES -> weight among the groups; joined by the first atom."""

_SIZE_QUANTILES = (
    (0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.995, 1.0),
    (10, 13, 16, 18, 21, 23, 24.3, 26, 27.5, 29, 31, 33.5, 36, 42, 48, MAX_ATOMS),
)
"""Numbers of atoms in ogbg-molpcba, the upper tail cut off."""
_RING_FIRST = 0.97
_RING_SHARE = 0.36
_TAGGED_SHARE = 0.3
_E_SHARE = 0.7
_ELEMENTS = (6, 7, 8, 9, 16, 17, 35, 53)

# Kinds of sites: a carbon takes any fragment, an acyl group no halogen, a heteroatom only carbon.
_CARBON, _ACYL, _HETERO = 1, 2, 4


@dataclasses.dataclass(frozen=True)
class _Library:
    """The fragments, with what growing needs to know of each atom (rows as in `fragments`)."""

    fragments: MolecularGraphs
    starts: np.ndarray
    bond_starts: np.ndarray
    ring_starts: np.ndarray
    site_weight: np.ndarray
    site_kind: np.ndarray
    accepted_kinds: np.ndarray
    anchors: np.ndarray
    num_anchors: np.ndarray
    anchor_starts: np.ndarray
    elements: np.ndarray
    choice: np.ndarray
    ring_choice: np.ndarray


@functools.cache
def _library() -> _Library:
    fragments = concatenate([parse(smiles) for smiles in (*RING_SYSTEMS, *GROUPS)])
    num_fragments = len(fragments.num_atoms)
    starts = _starts(fragments.num_atoms)
    ring_weights, group_weights = np.array([*RING_SYSTEMS.values()]), np.array([*GROUPS.values()])
    weights = np.concatenate(
        [
            _RING_SHARE * ring_weights / ring_weights.sum(),
            (1 - _RING_SHARE) * group_weights / group_weights.sum(),
        ]
    )
    is_ring_system = np.arange(num_fragments) < len(RING_SYSTEMS)

    ends = fragments.bond_atoms
    oxo = (fragments.bond_type == DOUBLE)[:, None] & (fragments.element[ends[:, ::-1]] == 8)
    acyl = np.bincount(ends.ravel(), oxo.ravel(), len(fragments.element)) > 0
    element, aromatic = fragments.element, fragments.aromatic
    hetero = element != 6
    site_weight = np.select(
        [fragments.hydrogens == 0, acyl, aromatic, element == 7, element == 16, element == 8],
        [0.0, 12.0, 1.0, 1.5, 6.0, 0.4],
        0.5,
    )
    accepted = np.select([fragments.charge != 0, element > 8, hetero], [_CARBON, _CARBON, _CARBON | _ACYL], 7)
    accepted = np.where(element == 16, _CARBON, accepted)

    is_anchor = (fragments.hydrogens > 0) & np.repeat(is_ring_system, fragments.num_atoms)
    is_anchor[starts[~is_ring_system]] = True
    counts = np.stack([np.add.reduceat(element == e, starts, dtype=np.uint64) for e in _ELEMENTS], 1)
    num_anchors = np.add.reduceat(is_anchor, starts, dtype=np.int64)
    fits = fragments.num_atoms <= np.arange(MAX_ATOMS + 1)[:, None]
    return _Library(
        fragments=fragments,
        starts=starts,
        bond_starts=_starts(fragments.num_bonds),
        ring_starts=_starts(fragments.num_rings),
        site_weight=site_weight,
        site_kind=np.select([acyl, hetero], [_ACYL, _HETERO], _CARBON),
        accepted_kinds=accepted,
        anchors=np.flatnonzero(is_anchor) - np.repeat(starts, num_anchors),
        num_anchors=num_anchors,
        anchor_starts=_starts(num_anchors),
        elements=counts,
        choice=_cumulative(np.where(fits, weights, 0)),
        ring_choice=_cumulative(np.where(fits & is_ring_system, weights, 0)),
    )


def _starts(lengths: np.ndarray) -> np.ndarray:
    return np.cumsum(lengths) - lengths


def _cumulative(weights: np.ndarray) -> np.ndarray:
    """Row i is i plus the cumulative distribution of its weights, so that one search serves draws from any row."""
    total = np.cumsum(weights, 1)
    return (total / np.maximum(total[:, -1:], 1e-9) + np.arange(len(weights))[:, None]).ravel()


def _ragged(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The concatenation of `arange(start, start + length)`."""
    return np.arange(lengths.sum()) + np.repeat(starts - _starts(lengths), lengths)


def recipes(rng: np.random.Generator, count: int) -> np.ndarray:
    """The fragments of `count` molecules in the order of growth, padded with -1, int64 [count, slots]."""
    library = _library()
    num_fragments = len(library.starts)
    remaining = np.interp(rng.random(count), *_SIZE_QUANTILES).round().astype(np.int64)
    slots = []
    while remaining.any():
        drawn = remaining + rng.random(count)
        chosen = np.searchsorted(library.choice, drawn, side="right") - remaining * num_fragments
        if not slots:
            ring = np.searchsorted(library.ring_choice, drawn, side="right") - remaining * num_fragments
            chosen = np.where(rng.random(count) < _RING_FIRST, ring, chosen)
        chosen[remaining == 0] = -1
        remaining -= np.where(chosen < 0, 0, library.fragments.num_atoms[chosen])
        slots.append(chosen)
    return np.stack(slots, 1)


def formula_hashes(recipe: np.ndarray) -> np.ndarray:
    """A number that depends on how many atoms of each element (but hydrogen) a molecule has, uint64 [molecules]."""
    elements = np.concatenate([_library().elements, np.zeros((1, len(_ELEMENTS)), np.uint64)])
    counts = elements[recipe].sum(1)
    # Digits of base 64: counts are below MAX_ATOMS.
    return mixed((counts << (np.uint64(6) * np.arange(len(_ELEMENTS), dtype=np.uint64))).sum(1))


def grow(rng: np.random.Generator, recipe: np.ndarray) -> MolecularGraphs:
    """Joins fragments at random; molecules that run out of hydrogens on the way are left out.

    Args:
      rng: decides where fragments are joined, and the stereochemistry.
      recipe: from `recipes`.
    """
    joints, complete = _join(rng, recipe)
    recipe, joints = recipe[complete], joints[complete]
    molecules = _assemble(recipe, joints)
    return _with_stereo(rng, molecules)


def _join(rng: np.random.Generator, recipe: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each fragment is joined.

    Returns:
      joints: atom of the molecule and atom of the fragment (counted from the molecule's first atom), int64
        [molecules, slots, 2]; 0 in the first slot.
      complete: bool [molecules].
    """
    library = _library()
    count, slots = recipe.shape
    weight = np.zeros((count, MAX_ATOMS))
    kind = np.zeros((count, MAX_ATOMS), np.uint8)
    hydrogens = np.zeros((count, MAX_ATOMS), np.int8)
    used = np.zeros(count, np.int64)
    joints = np.zeros((count, slots, 2), np.int64)
    complete = np.ones(count, bool)
    for slot in range(slots):
        rows = np.flatnonzero(complete & (recipe[:, slot] >= 0))
        fragment = recipe[rows, slot]
        lengths = library.fragments.num_atoms[fragment]
        source = _ragged(library.starts[fragment], lengths)
        target = np.repeat(rows, lengths), _ragged(used[rows], lengths)
        weight[target] = library.site_weight[source]
        hydrogens[target] = library.fragments.hydrogens[source]
        if slot:
            drawn = rng.random((2, count))[:, rows]
            picked = (drawn[0] * library.num_anchors[fragment]).astype(np.int64)
            anchor = library.anchors[library.anchor_starts[fragment] + picked]
            accepted = library.accepted_kinds[library.starts[fragment] + anchor]
            allowed = np.where(kind[rows] & accepted[:, None], weight[rows], 0)
            cumulative = np.cumsum(allowed, 1)
            site = (drawn[1, :, None] * cumulative[:, -1:] >= cumulative).sum(1)
            complete[rows] = cumulative[:, -1] > 0
            site = np.minimum(site, MAX_ATOMS - 1)
            for atom in (site, used[rows] + anchor):
                hydrogens[rows, atom] -= 1
                # Substitution of an atom that was just used is less likely.
                weight[rows, atom] *= 0.5 * (hydrogens[rows, atom] > 0)
            joints[rows, slot] = np.stack([site, used[rows] + anchor], 1)
        kind[target] = library.site_kind[source]
        used[rows] += lengths
    return joints, complete


def _assemble(recipe: np.ndarray, joints: np.ndarray) -> MolecularGraphs:
    library = _library()
    fragments = library.fragments
    rows, slots = np.nonzero(recipe >= 0)
    fragment = recipe[rows, slots]
    num_molecules = len(recipe)

    def total(per_fragment: np.ndarray) -> np.ndarray:
        return np.bincount(rows, per_fragment, num_molecules).astype(np.int64)

    lengths = fragments.num_atoms[fragment]
    num_atoms = total(lengths)
    molecule_starts = _starts(num_atoms)
    offset = _starts(lengths) - molecule_starts[rows]
    atoms = _ragged(library.starts[fragment], lengths)

    bond_lengths = fragments.num_bonds[fragment]
    inner = _ragged(library.bond_starts[fragment], bond_lengths)
    joined = np.flatnonzero(slots > 0)
    joint_bonds = joints[rows[joined], slots[joined]]
    bonds = np.concatenate([joint_bonds, fragments.bonds[inner] + np.repeat(offset, bond_lengths)[:, None]])
    bond_type = np.concatenate([np.full(len(joined), SINGLE, np.uint8), fragments.bond_type[inner]])
    order = np.argsort(np.concatenate([joined, np.repeat(np.arange(len(rows)), bond_lengths)]), kind="stable")

    hydrogens = fragments.hydrogens[atoms].copy()
    np.subtract.at(hydrogens, joint_bonds + molecule_starts[rows[joined]][:, None], 1)

    ring_lengths = fragments.num_rings[fragment]
    rings = fragments.rings[_ragged(library.ring_starts[fragment], ring_lengths)]
    return MolecularGraphs(
        num_atoms=num_atoms,
        num_bonds=total(bond_lengths) + total(slots > 0),
        num_rings=total(ring_lengths),
        element=fragments.element[atoms],
        charge=fragments.charge[atoms],
        hydrogens=hydrogens,
        aromatic=fragments.aromatic[atoms],
        chirality=fragments.chirality[atoms],
        bonds=bonds[order],
        bond_type=bond_type[order],
        stereo=np.zeros(len(bonds), np.uint8),
        rings=rings << np.repeat(offset, ring_lengths).astype(np.uint64),
    )


def _with_stereo(rng: np.random.Generator, molecules: MolecularGraphs) -> MolecularGraphs:
    """Tags some carbons with four different neighbours, and chain double bonds with two different sides."""
    classes = _refined_classes(molecules)
    ends = molecules.bond_atoms
    source, target = ends.ravel(), ends[:, ::-1].ravel()
    order = np.lexsort((classes[target], source))
    source, neighbor_class = source[order], classes[target][order]
    twin = np.zeros(len(classes), bool)
    equal = (source[1:] == source[:-1]) & (neighbor_class[1:] == neighbor_class[:-1])
    twin[source[1:][equal]] = True
    neighbors = np.bincount(source, minlength=len(classes))
    saturated = neighbors + molecules.hydrogens == 4
    center = (molecules.element == 6) & saturated & (molecules.hydrogens <= 1) & ~twin
    tag = np.where(rng.random(len(center)) < 0.5, 1, 2) * (center & (rng.random(len(center)) < _TAGGED_SHARE))

    # Each end needs one or two other neighbours that differ.
    sided = ((neighbors == 2) | ((neighbors == 3) & ~twin)) & ~molecules.in_ring
    double = (molecules.bond_type == DOUBLE) & sided[ends].all(1)
    stereo = np.where(rng.random(len(double)) < _E_SHARE, 2, 1) * double
    return dataclasses.replace(molecules, chirality=tag.astype(np.uint8), stereo=stereo.astype(np.uint8))


def _refined_classes(molecules: MolecularGraphs, rounds: int = 4) -> np.ndarray:
    """Weisfeiler-Lehman colours, uint64 [atoms]: atoms of different surroundings differ but for hash collisions."""
    ends = molecules.bond_atoms
    source, target = ends.ravel(), ends[:, ::-1].ravel()
    order = np.argsort(source, kind="stable")
    kind = np.repeat(molecules.bond_type, 2)[order].astype(np.uint64)
    target, first = target[order], _starts(np.bincount(source, minlength=len(molecules.element)))
    colour = molecules.element.astype(np.uint64) * np.uint64(64) + (molecules.charge + 8).astype(np.uint64)
    for _ in range(rounds):
        messages = mixed(colour[target] + kind)
        colour = mixed(colour) + np.add.reduceat(messages, first)
    return colour


def mixed(values: np.ndarray) -> np.ndarray:
    """A bijection of uint64 that spreads close values (Steele et al. 2014, splitmix64)."""
    values = values * np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
