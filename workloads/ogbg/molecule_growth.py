"""Random drug-like molecules, grown from fragments by replacing hydrogens with bonds.

A molecule starts from one fragment. Each further fragment is joined to it by a single bond between one of its own atoms
and an atom of the molecule that still has a hydrogen. Valences, rings and aromaticity are therefore those of the
fragments. Sizes follow ogbg-molpcba up to `MAX_ATOMS`. The weights of the fragments are chosen so that the shares of
elements, bond types and rings are close to it. Everything is vectorized over the molecules.
"""

import dataclasses

import numpy as np

from workloads.ogbg.molecule_fragments import ELEMENTS, library, starts
from workloads.ogbg.molecules import DOUBLE, MAX_ATOMS, SINGLE, MolecularGraphs

_SIZE_QUANTILES = (
    (0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.995, 1.0),
    (10, 13, 16, 18, 21, 23, 24.3, 26, 27.5, 29, 31, 33.5, 36, 42, 48, MAX_ATOMS),
)
"""Distribution of numbers of atoms in ogbg-molpcba, without the upper tail."""
_RING_FIRST = 0.97
_TAGGED_SHARE = 0.3
_E_SHARE = 0.7


def _ragged(begins: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The concatenation of `arange(begin, begin + length)`."""
    return np.arange(lengths.sum()) + np.repeat(begins - starts(lengths), lengths)


def recipes(rng: np.random.Generator, count: int) -> np.ndarray:
    """Draws the fragments of `count` molecules in the order of growth, padded with -1, int64 [count, slots]."""
    parts = library()
    num_fragments = len(parts.atom_starts)
    remaining = np.interp(rng.random(count), *_SIZE_QUANTILES).round().astype(np.int64)
    slots = []
    while remaining.any():
        drawn = remaining + rng.random(count)
        chosen = np.searchsorted(parts.choice, drawn, side="right") - remaining * num_fragments
        if not slots:
            ring = np.searchsorted(parts.ring_choice, drawn, side="right") - remaining * num_fragments
            chosen = np.where(rng.random(count) < _RING_FIRST, ring, chosen)
        chosen[remaining == 0] = -1
        remaining -= np.where(chosen < 0, 0, parts.fragments.num_atoms[chosen])
        slots.append(chosen)
    return np.stack(slots, 1)


def formula_hashes(recipe: np.ndarray) -> np.ndarray:
    """A hash of the number of atoms of each element (except hydrogen) in each molecule, uint64 [molecules]."""
    elements = np.concatenate([library().element_counts, np.zeros((1, len(ELEMENTS)), np.uint64)])
    counts = elements[recipe].sum(1)
    # Digits of base 64: counts are below MAX_ATOMS.
    return mixed((counts << (np.uint64(6) * np.arange(len(ELEMENTS), dtype=np.uint64))).sum(1))


def grow(rng: np.random.Generator, recipe: np.ndarray) -> MolecularGraphs:
    """Joins fragments at random; molecules that run out of hydrogens are left out.

    Args:
      rng: decides where fragments are joined, and the stereochemistry.
      recipe: from `recipes`.
    """
    joints, complete = _join(rng, recipe)
    recipe, joints = recipe[complete], joints[complete]
    molecules = _assemble(recipe, joints)
    return _with_stereo(rng, molecules)


def _join(rng: np.random.Generator, recipe: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Chooses where each fragment is joined.

    Returns:
      joints: atom of the molecule and atom of the fragment (relative to the molecule's first atom), int64 [molecules,
        slots, 2]; 0 in the first slot.
      complete: bool [molecules].
    """
    parts = library()
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
        lengths = parts.fragments.num_atoms[fragment]
        source = _ragged(parts.atom_starts[fragment], lengths)
        target = np.repeat(rows, lengths), _ragged(used[rows], lengths)
        weight[target] = parts.site_weight[source]
        hydrogens[target] = parts.fragments.hydrogens[source]
        if slot:
            drawn = rng.random((2, count))[:, rows]
            picked = (drawn[0] * parts.num_anchors[fragment]).astype(np.int64)
            anchor = parts.anchors[parts.anchor_starts[fragment] + picked]
            accepted = parts.accepted_kinds[parts.atom_starts[fragment] + anchor]
            allowed = np.where(kind[rows] & accepted[:, None], weight[rows], 0)
            cumulative = np.cumsum(allowed, 1)
            site = (drawn[1, :, None] * cumulative[:, -1:] >= cumulative).sum(1)
            complete[rows] = cumulative[:, -1] > 0
            site = np.minimum(site, MAX_ATOMS - 1)
            for atom in (site, used[rows] + anchor):
                hydrogens[rows, atom] -= 1
                # An atom that was just used is less likely to be substituted.
                weight[rows, atom] *= 0.5 * (hydrogens[rows, atom] > 0)
            joints[rows, slot] = np.stack([site, used[rows] + anchor], 1)
        kind[target] = parts.site_kind[source]
        used[rows] += lengths
    return joints, complete


def _assemble(recipe: np.ndarray, joints: np.ndarray) -> MolecularGraphs:
    parts = library()
    fragments = parts.fragments
    rows, slots = np.nonzero(recipe >= 0)
    fragment = recipe[rows, slots]
    num_molecules = len(recipe)

    def total(per_fragment: np.ndarray) -> np.ndarray:
        return np.bincount(rows, per_fragment, num_molecules).astype(np.int64)

    lengths = fragments.num_atoms[fragment]
    num_atoms = total(lengths)
    molecule_starts = starts(num_atoms)
    offset = starts(lengths) - molecule_starts[rows]
    atoms = _ragged(parts.atom_starts[fragment], lengths)

    bond_lengths = fragments.num_bonds[fragment]
    inner = _ragged(parts.bond_starts[fragment], bond_lengths)
    joined = np.flatnonzero(slots > 0)
    joint_bonds = joints[rows[joined], slots[joined]]
    bonds = np.concatenate([joint_bonds, fragments.bonds[inner] + np.repeat(offset, bond_lengths)[:, None]])
    bond_type = np.concatenate([np.full(len(joined), SINGLE, np.uint8), fragments.bond_type[inner]])
    order = np.argsort(np.concatenate([joined, np.repeat(np.arange(len(rows)), bond_lengths)]), kind="stable")

    hydrogens = fragments.hydrogens[atoms].copy()
    np.subtract.at(hydrogens, joint_bonds + molecule_starts[rows[joined]][:, None], 1)

    ring_lengths = fragments.num_rings[fragment]
    rings = fragments.rings[_ragged(parts.ring_starts[fragment], ring_lengths)]
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

    # Each end needs one or two other neighbours, which must differ.
    sided = ((neighbors == 2) | ((neighbors == 3) & ~twin)) & ~molecules.in_ring
    double = (molecules.bond_type == DOUBLE) & sided[ends].all(1)
    stereo = np.where(rng.random(len(double)) < _E_SHARE, 2, 1) * double
    return dataclasses.replace(molecules, chirality=tag.astype(np.uint8), stereo=stereo.astype(np.uint8))


def _refined_classes(molecules: MolecularGraphs, rounds: int = 4) -> np.ndarray:
    """Weisfeiler-Lehman colours, uint64 [atoms]: they differ for atoms in different surroundings, except for
    collisions.
    """
    ends = molecules.bond_atoms
    source, target = ends.ravel(), ends[:, ::-1].ravel()
    order = np.argsort(source, kind="stable")
    kind = np.repeat(molecules.bond_type, 2)[order].astype(np.uint64)
    target, first = target[order], starts(np.bincount(source, minlength=len(molecules.element)))
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
