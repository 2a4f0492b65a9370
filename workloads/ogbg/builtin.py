"""The built-in stand-in for ogbg-molpcba: grown molecules whose labels are questions about their graphs."""

import functools
import threading

import numpy as np

from algoperf_jax.errors import ConfigError
from algoperf_jax.workload import Budget, Facts, Goal
from workloads.ogbg.molecule_growth import formula_hashes, grow, recipes
from workloads.ogbg.molecule_tasks import NUM_TASKS, answers
from workloads.ogbg.molecules import MolecularGraphs, bond_features, concatenate, first, node_features

FACTS = Facts(
    goal=Goal(metric="mean_average_precision", direction="maximize", validation=0.51, test=0.51),
    budget=Budget(max_runtime_sec=600, eval_period_sec=30, step_hint=1800),
    batch_size=32,
    eval_batch_size=256,
    split_sizes={"train": 16384, "eval_train": 512, "validation": 768, "test": 768},
)

SEED = 20
_BLOCK = 1024
_SPLITS = ("train", "validation", "test")
# All molecules of one formula are in the same split, so that no molecule is in two.
_FORMULA_CLASSES = {"train": (0, 6), "validation": (6, 7), "test": (7, 8)}
_NUM_FORMULA_CLASSES = 8
_MISSING_SHARES = np.random.Generator(np.random.Philox(key=[SEED, 100])).permutation(np.linspace(0.25, 0.55, NUM_TASKS))

_lock = threading.Lock()


def columns(split: str) -> dict[str, np.ndarray]:
    """The molecules of one split, generated at the first call and then shared; they must not be changed.

    Args:
      split: `train`, `validation` or `test`.

    Returns:
      `num_nodes` int32 [n]; `num_bonds` int32 [n], each bond once; `node_feat` uint8 [nodes, 9] and `bond_feat` uint8
      [bonds, 3], codes as in ogbg-molpcba; `bond_index` uint16 [bonds, 2], begin and end atom relative to the molecule;
      `labels` int8 [n, 128], -1 = missing.

    Raises:
      ConfigError: there is no such split.
    """
    if split not in _SPLITS:
        raise ConfigError("unknown split of the built-in molecules", value=split, expected=f"one of {_SPLITS}")
    with _lock:
        return _columns(split)


@functools.cache
def _columns(split: str) -> dict[str, np.ndarray]:
    molecules, labelled = generate(split, FACTS.split_sizes[split])
    result = {
        "num_nodes": molecules.num_atoms.astype(np.int32),
        "num_bonds": molecules.num_bonds.astype(np.int32),
        "node_feat": node_features(molecules),
        "bond_feat": bond_features(molecules),
        "bond_index": molecules.bonds.astype(np.uint16),
        "labels": np.where(labelled, answers(molecules), -1).astype(np.int8),
    }
    for column in result.values():
        column.flags.writeable = False
    return result


def generate(split: str, count: int) -> tuple[MolecularGraphs, np.ndarray]:
    """Generates the first `count` molecules of a split, and which of their labels are known, bool [count, 128].

    They are generated in blocks with separate random generators: a smaller count gives the same first molecules.
    """
    blocks = [_block(split, block) for block in range(-(-count // _BLOCK))]
    molecules = concatenate([molecules for molecules, _ in blocks])
    return first(molecules, count), np.concatenate([labelled for _, labelled in blocks])[:count]


def _block(split: str, block: int) -> tuple[MolecularGraphs, np.ndarray]:
    rng = np.random.Generator(np.random.Philox(key=[SEED, _SPLITS.index(split)], counter=[0, 0, 0, block]))
    low, high = _FORMULA_CLASSES[split]
    # An eighth more than needed on average, so that one round usually suffices.
    candidates = _BLOCK * _NUM_FORMULA_CLASSES // (high - low) * 9 // 8
    parts, found = [], 0
    while found < _BLOCK:
        drawn = recipes(rng, candidates)
        formula_class = formula_hashes(drawn) % _NUM_FORMULA_CLASSES
        parts.append(grow(rng, drawn[(formula_class >= low) & (formula_class < high)]))
        found += len(parts[-1].num_atoms)
    labelled = rng.random((_BLOCK, NUM_TASKS), np.float32) >= _MISSING_SHARES
    # Every molecule has a label.
    labelled[np.arange(_BLOCK), rng.integers(0, NUM_TASKS, _BLOCK)] = True
    return first(concatenate(parts), _BLOCK), labelled
