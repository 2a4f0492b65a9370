"""A reader for plain SMILES (Weininger 1988): no stereochemistry, isotopes, dots or wildcards."""

import dataclasses
import re
from collections.abc import Sequence

import numpy as np

from workloads.ogbg.molecules import (
    AROMATIC,
    BOND_ORDERS,
    DOUBLE,
    SINGLE,
    TRIPLE,
    VALENCES,
    MolecularGraphs,
)

_SYMBOLS = {"C": 6, "N": 7, "O": 8, "F": 9, "S": 16, "Cl": 17, "Br": 35, "I": 53}
_BONDS = {"-": SINGLE, "=": DOUBLE, "#": TRIPLE}
_CHARGES = {"+": 1, "-": -1, "": 0}
_TOKEN = re.compile(
    r"(?P<symbol>Cl|Br|[CNOSFIcnos])"
    r"|\[(?P<bracketed>Cl|Br|[CNOSFIcnos])(?P<hydrogens>H\d?)?(?P<charge>[-+]?)\]"
    r"|(?P<bond>[-=#])|(?P<ring>\d)|(?P<open>\()|(?P<close>\))"
)


@dataclasses.dataclass
class _Atom:
    """An atom as written; `hydrogens` is None if they follow from the valence."""

    element: int
    aromatic: bool
    charge: int
    hydrogens: int | None


@dataclasses.dataclass
class _Bond:
    """A bond as written; `kind` is None if there is no symbol."""

    begin: int
    end: int
    kind: int | None


def parse(smiles: str) -> MolecularGraphs:
    """Parses one molecule.

    Atoms are in the order of the text; bonds that close a ring come after the others. Aromatic rings are those written
    in lower case. A bond without a symbol between aromatic atoms is aromatic if it is in a ring, else single.

    Raises:
      ValueError: the text is not understood, or an atom has more bonds than its valence allows.
    """
    atoms, bonds = _read(smiles)
    rings = smallest_rings(len(atoms), [(bond.begin, bond.end) for bond in bonds])
    kinds = [_kind(bond, atoms, rings) for bond in bonds]
    hydrogens = []
    for index, atom in enumerate(atoms):
        orders = [BOND_ORDERS[k] for bond, k in zip(bonds, kinds, strict=True) if index in (bond.begin, bond.end)]
        hydrogens.append(_hydrogens(atom, float(sum(orders)), smiles))
    return MolecularGraphs(
        num_atoms=np.array([len(atoms)]),
        num_bonds=np.array([len(bonds)]),
        num_rings=np.array([len(rings)]),
        element=np.array([atom.element for atom in atoms], np.uint8),
        charge=np.array([atom.charge for atom in atoms], np.int8),
        hydrogens=np.array(hydrogens, np.int8),
        aromatic=np.array([atom.aromatic for atom in atoms], bool),
        chirality=np.zeros(len(atoms), np.uint8),
        bonds=np.array([(bond.begin, bond.end) for bond in bonds], np.int64).reshape(-1, 2),
        bond_type=np.array(kinds, np.uint8),
        stereo=np.zeros(len(bonds), np.uint8),
        rings=np.array(rings, np.uint64),
    )


def _read(smiles: str) -> tuple[list[_Atom], list[_Bond]]:
    atoms: list[_Atom] = []
    bonds: list[_Bond] = []
    closures: list[_Bond] = []
    branches: list[int] = []
    openings: dict[str, _Bond] = {}
    previous, kind, position = -1, None, 0
    while position < len(smiles):
        token = _TOKEN.match(smiles, position)
        if token is None or (previous < 0 and token.lastgroup in ("bond", "ring", "open")):
            raise ValueError(f"SMILES {smiles!r} is not understood at {smiles[position:]!r}")
        position = token.end()
        text = token.group()
        match token.lastgroup:
            case "bond":
                kind = _BONDS[text]
            case "open":
                branches.append(previous)
            case "close" if branches:
                previous = branches.pop()
            case "ring" if text in openings:
                opening = openings.pop(text)
                closures.append(_Bond(previous, opening.begin, opening.kind if kind is None else kind))
                kind = None
            case "ring":
                openings[text] = _Bond(previous, previous, kind)
                kind = None
            case "symbol" | "charge":
                if atoms:
                    bonds.append(_Bond(previous, len(atoms), kind))
                previous, kind = len(atoms), None
                atoms.append(_atom(token))
            case _:
                raise ValueError(f"SMILES {smiles!r} closes a branch that is not open")
    if branches or openings or kind is not None:
        raise ValueError(f"SMILES {smiles!r} ends with an open branch, ring or bond")
    return atoms, bonds + closures


def _atom(token: re.Match[str]) -> _Atom:
    symbol = token["symbol"] or token["bracketed"]
    hydrogens = None
    if token["bracketed"]:
        hydrogens = int((token["hydrogens"] or "H0")[1:] or 1)
    return _Atom(_SYMBOLS[symbol.capitalize()], symbol.islower(), _CHARGES[token["charge"] or ""], hydrogens)


def _kind(bond: _Bond, atoms: Sequence[_Atom], rings: Sequence[int]) -> int:
    if bond.kind is not None:
        return bond.kind
    in_ring = any(ring >> bond.begin & ring >> bond.end & 1 for ring in rings)
    return AROMATIC if in_ring and atoms[bond.begin].aromatic and atoms[bond.end].aromatic else SINGLE


def _hydrogens(atom: _Atom, orders: float, smiles: str) -> int:
    """The number of hydrogens up to the next usual valence, for bonds of total order `orders`."""
    if atom.hydrogens is not None:
        return atom.hydrogens
    if atom.aromatic:
        return max(0, int(VALENCES[atom.element][0] - orders))
    fitting = [valence for valence in VALENCES[atom.element] if valence >= orders]
    if not fitting:
        raise ValueError(f"SMILES {smiles!r}: an atom of element {atom.element} has bonds of total order {orders}")
    return int(fitting[0] - orders)


def smallest_rings(num_atoms: int, bonds: Sequence[tuple[int, int]]) -> list[int]:
    """A smallest set of smallest rings, each as the bits of its atoms.

    For every bond, all shortest rings through it are candidates. They are added in order of size if they are
    independent in the cycle space (after Horton 1987).
    """
    neighbors: list[list[int]] = [[] for _ in range(num_atoms)]
    for begin, end in bonds:
        neighbors[begin].append(end)
        neighbors[end].append(begin)
    edge_bit = {frozenset(bond): 1 << i for i, bond in enumerate(bonds)}
    candidates = set()
    for begin, end in bonds:
        paths = [(begin,)]
        while paths and not any(path[-1] == end for path in paths):
            paths = [
                (*path, atom)
                for path in paths
                for atom in neighbors[path[-1]]
                if atom not in path and (path[-1], atom) != (begin, end)
            ]
        for path in paths:
            if path[-1] == end:
                edges = sum(edge_bit[frozenset(pair)] for pair in zip(path, (*path[1:], begin), strict=True))
                candidates.add((len(path), sum(1 << atom for atom in path), edges))
    rings, basis = [], []
    for _, atoms, edges in sorted(candidates):
        for other in basis:
            edges = min(edges, edges ^ other)
        if edges:
            basis.append(edges)
            rings.append(atoms)
    return rings
