"""The 128 binary tasks of the built-in molecules: easy and hard questions about a molecule's graph."""

import dataclasses
from collections.abc import Callable

import numpy as np

from workloads.ogbg.molecule_groups import Structure
from workloads.ogbg.molecules import MolecularGraphs


@dataclasses.dataclass(frozen=True)
class Task:
    """A yes-or-no question.

    Attributes:
      name: the question.
      answer: `Structure -> bool [molecules]`.
    """

    name: str
    answer: Callable[[Structure], np.ndarray]


def _group(name: str, at_least: int = 1) -> Task:
    return Task(f"{at_least} or more {name}", lambda s: s.atoms_per_molecule(s.groups[name]) >= at_least)


def _ring(name: str, at_least: int = 1) -> Task:
    return Task(f"{at_least} or more {name}", lambda s: s.rings_per_molecule(s.rings[name]) >= at_least)


def _has(structure: Structure, name: str) -> np.ndarray:
    if name in structure.groups:
        return structure.atoms_per_molecule(structure.groups[name]) > 0
    return structure.rings_per_molecule(structure.rings[name]) > 0


def _both(one: str, other: str) -> Task:
    return Task(f"{one} and {other}", lambda s: _has(s, one) & _has(s, other))


def _without(one: str, other: str) -> Task:
    return Task(f"{one} without {other}", lambda s: _has(s, one) & ~_has(s, other))


def _apart(one: str, other: str, nearest: int, farthest: int) -> Task:
    span = f"{nearest}" if nearest == farthest else f"{nearest} to {farthest}"
    return Task(
        f"{one} and {other} {span} bonds apart",
        lambda s: s.within(s.groups[one], s.groups[other], nearest, farthest),
    )


def _property(name: str, answer: Callable[[Structure], np.ndarray]) -> Task:
    return Task(name, answer)


def _share(structure: Structure, name: str) -> np.ndarray:
    return structure.atoms_per_molecule(structure.groups[name]) / structure.molecules.num_atoms


def _more(one: str, other: str) -> Task:
    return Task(
        f"more {one} than {other}",
        lambda s: s.atoms_per_molecule(s.groups[one]) > s.atoms_per_molecule(s.groups[other]),
    )


TASKS: tuple[Task, ...] = (
    # A group of one or a few atoms.
    _group("amide"),
    _group("primary amide"),
    _group("secondary amide"),
    _group("anilide"),
    _group("benzamide"),
    _group("lactam"),
    _group("urea"),
    _group("thiourea"),
    _group("acid"),
    _group("ester"),
    _group("carbamate"),
    _group("ketone"),
    _group("aldehyde"),
    _group("sulfonamide"),
    _group("sulfone"),
    _group("thioether"),
    _group("thiol"),
    _group("nitrile"),
    _group("nitro"),
    _group("alcohol"),
    _group("phenol"),
    _group("methoxy"),
    _group("ring ether"),
    _group("primary amine"),
    _group("secondary amine"),
    _group("tertiary amine"),
    _group("aniline"),
    _group("N-N"),
    _group("imine"),
    _group("oxime"),
    _group("enone"),
    _group("styrene"),
    _group("trifluoromethyl"),
    _group("aryl fluoride"),
    _group("aryl chloride"),
    _group("bromine or iodine"),
    _group("alkyl halide"),
    _group("charged"),
    _group("N-methyl"),
    _group("isopropyl"),
    _group("tert-butyl"),
    _group("quaternary carbon"),
    _group("benzylic CH2"),
    _group("chain CH2"),
    _group("crowded aromatic", 3),
    _group("pyridine nitrogen"),
    _group("aromatic NH"),
    _group("substituted aromatic nitrogen"),
    # Rings.
    _ring("three-membered ring"),
    _ring("pyridine"),
    _ring("diazine"),
    _ring("azole"),
    _ring("many-nitrogen ring"),
    _ring("thiazole"),
    _ring("thiophene"),
    _ring("furan"),
    _ring("oxazole"),
    _ring("pyrrole"),
    _ring("fused ring"),
    _ring("fused benzene"),
    _ring("piperidine"),
    _ring("piperazine"),
    _ring("morpholine"),
    _ring("pyrrolidine"),
    _ring("carbocycle"),
    _ring("one substituent"),
    _ring("four substituents"),
    # Counts.
    _group("carbonyl", 3),
    _group("hydroxyl", 2),
    _group("halogen", 2),
    _group("halogen", 3),
    _group("methyl", 3),
    _group("aryl methyl", 2),
    _group("nitrogen donor", 3),
    _group("nitrogen", 5),
    _group("oxygen", 5),
    _group("sulfur", 2),
    _group("heteroatom", 10),
    _group("ether", 2),
    _group("secondary amide", 2),
    _group("basic amine", 2),
    _group("biaryl", 4),
    _group("saturated ring atom", 6),
    _ring("ring", 4),
    _ring("aromatic ring", 3),
    _ring("benzene", 2),
    _ring("heteroaromatic ring", 2),
    _ring("five-membered ring", 2),
    _ring("saturated ring", 2),
    # Two at once, or one without another.
    _both("sulfonamide", "benzene"),
    _both("amide", "basic amine"),
    _both("acid", "fused ring"),
    _both("aryl fluoride", "azole"),
    _both("phenol", "amide"),
    _both("methoxy", "pyridine nitrogen"),
    _without("basic amine", "carbonyl"),
    _without("heteroaromatic ring", "benzene"),
    _without("halogen", "nitrogen donor"),
    _without("oxygen ring", "aromatic nitrogen"),
    _without("saturated ring", "nitrogen donor"),
    # Two at a distance along the bonds.
    _apart("halogen", "halogen", 3, 4),
    _apart("halogen", "hydroxyl", 3, 4),
    _apart("methyl", "halogen", 3, 3),
    _apart("amide", "amide", 2, 4),
    _apart("amide", "aromatic nitrogen", 2, 3),
    _apart("amide", "basic amine", 2, 3),
    _apart("carbonyl", "hydroxyl", 3, 3),
    _apart("carbonyl", "carbonyl", 2, 2),
    _apart("nitro", "heteroatom", 2, 4),
    _apart("methyl", "methyl", 3, 3),
    _apart("ether", "amide", 4, 6),
    _apart("sulfur", "nitrogen donor", 2, 2),
    _apart("sulfur", "carbonyl", 3, 5),
    _apart("biaryl", "biaryl", 2, 2),
    _apart("aromatic nitrogen", "aromatic sulfur", 3, 6),
    _apart("nitrogen donor", "pyridine nitrogen", 2, 2),
    _apart("basic amine", "aromatic nitrogen", 3, 4),
    _apart("halogen", "basic amine", 6, 8),
    _apart("nitrile", "nitrogen", 3, 5),
    _apart("acid", "halogen", 4, 7),
    _apart("aniline", "carbonyl", 3, 5),
    # The whole molecule.
    _property("30 or more atoms", lambda s: s.molecules.num_atoms >= 30),
    _property("17 or more bonds between two atoms", lambda s: s.diameter >= 17),
    _property("at most 9 bonds between any two atoms", lambda s: s.diameter <= 9),
    _property("85 % carbon", lambda s: _share(s, "carbon") >= 0.85),
    _property("a third of the atoms in saturated rings", lambda s: _share(s, "saturated ring atom") >= 0.33),
    _more("nitrogen", "oxygen"),
    _more("hydroxyl", "nitrogen donor"),
)
NUM_TASKS = 128


def answers(molecules: MolecularGraphs) -> np.ndarray:
    """The true label of every molecule and task, bool [molecules, 128]."""
    structure = Structure(molecules)
    return np.stack([task.answer(structure) for task in TASKS], 1)
