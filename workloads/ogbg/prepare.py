"""ogbg-molpcba: converts the CSV files of the Open Graph Benchmark to the columns of `graph_batching.Molecules`.

Source: Hu et al. 2020, "Open Graph Benchmark", https://ogb.stanford.edu/docs/graphprop/ (scaffold split). The files
have no header. Atoms, bonds and labels of all molecules are concatenated, and each bond occurs once.
"""

import logging
import pathlib
import zipfile
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from algoperf_jax.data.download import Download
from algoperf_jax.data.prepared import Block, DatasetSpec
from algoperf_jax.data.raw_files import find_all, is_hidden
from algoperf_jax.errors import DataError
from workloads.ogbg import csv_tables
from workloads.ogbg.csv_tables import Folder
from workloads.ogbg.graph_batching import Molecules

DATASET = DatasetSpec("ogbg", "1.0.0")
DOWNLOADS = (
    Download(
        "http://snap.stanford.edu/ogb/data/graphproppred/csv_mol_download/pcba.zip",
        "pcba.zip",
        39_533_472,
        "sha256:0bb12da2f3ec8b0bb80564114a6174fad2df6a3a0d3c19470b3a27813a7d4e53",
    ),
)

NUM_MOLECULES = 437_929
NUM_TASKS = 128
_SPLIT_FILES = {"train": "train", "validation": "valid", "test": "test"}
_FILES = (
    *(f"raw/{stem}" for stem in ("num-node-list", "num-edge-list", "node-feat", "edge-feat", "edge", "graph-label")),
    *(f"split/scaffold/{stem}" for stem in _SPLIT_FILES.values()),
)
_MOLECULES_PER_BLOCK = 8192

_log = logging.getLogger(__name__)


def convert(folder: pathlib.Path) -> Mapping[str, Iterable[Block]]:
    """The scaffold split, molecules in the order of their official numbers.

    Args:
      folder: contains `pcba.zip` or its content, possibly in a subfolder, gzipped or not.

    Raises:
      DataError: a file is missing or damaged (the message names file and line), or there are several data sets in this
        format, none of them ogbg-molpcba.
    """
    root = _root(folder)
    raw = root / "raw"
    num_nodes, _ = csv_tables.integers(raw, "num-node-list", 1, np.int32)
    count = len(num_nodes)
    num_bonds, _ = csv_tables.integers(raw, "num-edge-list", 1, np.int32, rows=count)
    num_nodes, num_bonds = num_nodes[:, 0], num_bonds[:, 0]
    nodes, bonds = int(num_nodes.sum(dtype=np.int64)), int(num_bonds.sum(dtype=np.int64))
    node_feat, _ = csv_tables.integers(raw, "node-feat", 9, np.uint8, rows=nodes)
    bond_feat, _ = csv_tables.integers(raw, "edge-feat", 3, np.uint8, rows=bonds)
    bond_index, bond_file = csv_tables.integers(raw, "edge", 2, np.uint16, rows=bonds)
    beyond = np.flatnonzero((bond_index >= np.repeat(num_nodes, num_bonds)[:, None]).any(1))
    if beyond.size:
        molecule = int(np.searchsorted(np.cumsum(num_bonds), beyond[0], side="right"))
        raise DataError(
            f"line {beyond[0] + 1} of {bond_file}, a bond of molecule {molecule}",
            value=tuple(bond_index[beyond[0]].tolist()),
            expected=f"atoms 0 to {num_nodes[molecule] - 1}",
        )
    labels = csv_tables.labels(raw, "graph-label", NUM_TASKS, rows=count)
    splits = _splits(root / "split" / "scaffold", count)
    if count != NUM_MOLECULES:
        _log.warning(
            "there are %s molecules, not the %s of ogbg-molpcba: results are not comparable with published ones",
            f"{count:,}",
            f"{NUM_MOLECULES:,}",
        )
    molecules = Molecules(num_nodes, num_bonds, node_feat, bond_feat, bond_index, labels)
    return {name: _blocks(molecules, chosen) for name, chosen in splits.items()}


def _root(folder: pathlib.Path) -> Folder:
    """Finds the folders `raw` and `split`: of several data sets the official one, preferably unpacked."""
    markers = find_all(folder, "raw/num-node-list.csv.gz", "raw/num-node-list.csv")
    unpacked = list(dict.fromkeys(marker.parent.parent for marker in markers))
    archive = next(iter(find_all(folder, DOWNLOADS[0].filename)), None)
    complete = [root for root in unpacked if all(csv_tables.exists(root, file) for file in _FILES)]
    if archive is not None and not complete:
        return _packed(archive)
    candidates = complete or unpacked
    if not candidates:
        raise DataError(
            f"{folder} contains neither {DOWNLOADS[0].filename} nor raw/num-node-list.csv.gz",
            remedy="Provide the archive, or its files.",
        )
    official = [root for root in candidates if len(candidates) == 1 or _is_official(root)]
    if not official:
        raise DataError(
            f"data sets in {folder}",
            value=sorted(map(str, candidates)),
            expected=f"one, or ogbg-molpcba with its {NUM_MOLECULES:,} molecules among them",
            remedy="Name the folder of one with --from=FOLDER.",
        )
    return official[0]


def _is_official(root: Folder) -> bool:
    try:
        counts, _ = csv_tables.integers(root / "raw", "num-node-list", 1, np.int32)
    except DataError:
        return False
    return len(counts) == NUM_MOLECULES


def _packed(archive: pathlib.Path) -> Folder:
    try:
        opened = zipfile.Path(archive)
        subfolders = sorted((path for path in opened.iterdir() if not is_hidden(path.name)), key=lambda path: path.name)
        inside = [path for path in (opened, *subfolders) if (path / "raw").is_dir()]
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{archive} cannot be read ({error})", remedy="Download it again.") from error
    if not inside:
        raise DataError(f"{archive} contains no folder raw", remedy="Download it again.")
    return inside[0]


def _splits(folder: Folder, count: int) -> dict[str, np.ndarray]:
    splits = {}
    taken = np.zeros(count, bool)
    for name, stem in _SPLIT_FILES.items():
        indices, file = csv_tables.integers(folder, stem, 1, np.int64)
        indices = indices[:, 0]
        for bad, expected in (
            (indices >= count, f"a molecule from 0 to {count - 1}"),
            (taken[np.minimum(indices, count - 1)], "a molecule that is in no other split"),
        ):
            if bad.any():
                line = int(bad.argmax())
                raise DataError(f"line {line + 1} of {file}", value=int(indices[line]), expected=expected)
        if len(np.unique(indices)) != len(indices):
            raise DataError(f"{file} names a molecule twice")
        taken[indices] = True
        splits[name] = indices
    return splits


def _blocks(molecules: Molecules, chosen: np.ndarray) -> Iterator[Block]:
    for start in range(0, len(chosen), _MOLECULES_PER_BLOCK):
        columns = molecules.take(chosen[start : start + _MOLECULES_PER_BLOCK])
        yield Block(len(columns["num_nodes"]), columns)
