"""From CSV files to prepared splits: worked examples, archives, and every kind of damage."""

import gzip
import logging
import os
import pathlib
import re
import shutil
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from algoperf_jax.data import prepared
from algoperf_jax.errors import DataError
from workloads.ogbg import graph_batching
from workloads.ogbg.graph_batching import Molecules
from workloads.ogbg.prepare import DATASET, DOWNLOADS, convert

# SMILES, atoms and bonds (begin, end, codes) from the data set's documentation, distributed over the three splits.
ETHANOL = (
    [(5, 0, 4, 5, 3, 0, 2, 0, 0), (5, 0, 4, 5, 2, 0, 2, 0, 0), (7, 0, 2, 5, 1, 0, 2, 0, 0)],
    [(0, 1, 0, 0, 0), (1, 2, 0, 0, 0)],
)
BENZENE = ([(5, 0, 3, 5, 1, 0, 1, 1, 1)] * 6, [(i, (i + 1) % 6, 3, 0, 1) for i in range(6)])
SALT = ([(10, 0, 0, 6, 0, 0, 5, 0, 0), (16, 0, 0, 4, 0, 0, 2, 0, 0)], [])
AMMONIUM = (
    [(5, 0, 4, 5, 3, 0, 2, 0, 0), (6, 0, 4, 6, 0, 0, 2, 0, 0), *[(5, 0, 4, 5, 3, 0, 2, 0, 0)] * 3],
    [(0, 1, 0, 0, 0), (1, 2, 0, 0, 0), (1, 3, 0, 0, 0), (1, 4, 0, 0, 0)],
)
MOLECULES = (ETHANOL, SALT, BENZENE, AMMONIUM, ETHANOL)
SPLITS = {"train": (0, 1, 3), "valid": (2,), "test": (4,)}


def label_fields(molecule: int) -> list[str]:
    """Every way to write a label."""
    fields = [("", "0.0", "1.0", "0", "1")[(molecule + task) % 5] for task in range(128)]
    return fields if molecule != 4 else [""] * 128


def lines_of(rows: Any) -> str:
    return "".join(",".join(map(str, row)) + "\n" for row in rows)


def tables() -> dict[str, str]:
    """The undamaged files."""
    return {
        "raw/num-node-list": lines_of([len(atoms)] for atoms, _ in MOLECULES),
        "raw/num-edge-list": lines_of([len(bonds)] for _, bonds in MOLECULES),
        "raw/node-feat": lines_of(atom for atoms, _ in MOLECULES for atom in atoms),
        "raw/edge": lines_of(bond[:2] for _, bonds in MOLECULES for bond in bonds),
        "raw/edge-feat": lines_of(bond[2:] for _, bonds in MOLECULES for bond in bonds),
        "raw/graph-label": lines_of(label_fields(i) for i in range(len(MOLECULES))),
        **{f"split/scaffold/{name}": lines_of([i] for i in chosen) for name, chosen in SPLITS.items()},
    }


def write(root: pathlib.Path, changes: Mapping[str, str] = {}, *, packed: bool = True) -> pathlib.Path:
    """Writes the files; `changes` replaces the content of some, by the last part of their names."""
    assert set(changes) <= {name.rpartition("/")[2] for name in tables()}
    for name, text in tables().items():
        text = changes.get(name.rpartition("/")[2], text)
        path = root / f"{name}.csv{'.gz' if packed else ''}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    return root


def converted(folder: pathlib.Path) -> dict[str, Molecules]:
    splits = {}
    for name, blocks in convert(folder).items():
        blocks = list(blocks)
        columns = {key: np.concatenate([block.columns[key] for block in blocks]) for key in blocks[0].columns}
        assert sum(block.num_examples for block in blocks) == len(columns["num_nodes"])
        splits[name] = graph_batching.from_columns(columns)
    return splits


def assert_worked_examples(splits: dict[str, Molecules]) -> None:
    assert list(splits) == ["train", "validation", "test"]
    for molecules, chosen in zip(splits.values(), SPLITS.values(), strict=True):
        atoms = [atom for i in chosen for atom in MOLECULES[i][0]]
        bonds = np.asarray([bond for i in chosen for bond in MOLECULES[i][1]]).reshape(-1, 5)
        meaning = {"": -1, "0": 0, "0.0": 0, "1": 1, "1.0": 1}
        labels = [[meaning[field] for field in label_fields(i)] for i in chosen]
        assert molecules.num_nodes.tolist() == [len(MOLECULES[i][0]) for i in chosen]
        assert molecules.num_bonds.tolist() == [len(MOLECULES[i][1]) for i in chosen]
        np.testing.assert_array_equal(molecules.node_feat, atoms)
        np.testing.assert_array_equal(molecules.bond_index, bonds[:, :2])
        np.testing.assert_array_equal(molecules.bond_feat, bonds[:, 2:])
        np.testing.assert_array_equal(molecules.labels, labels)
        dtypes = [molecules.num_nodes, molecules.num_bonds, molecules.node_feat, molecules.bond_feat]
        assert [column.dtype.name for column in dtypes] == ["int32", "int32", "uint8", "uint8"]
        assert (molecules.bond_index.dtype, molecules.labels.dtype) == (np.uint16, np.int8)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("subfolder", ["", "pcba"])
def test_worked_examples(tmp_path: pathlib.Path, subfolder: str, packed: bool) -> None:
    write(tmp_path / subfolder, packed=packed)
    assert_worked_examples(converted(tmp_path))


@pytest.mark.parametrize("inside", ["", "pcba/"])
def test_the_archive_need_not_be_unpacked(tmp_path: pathlib.Path, inside: str) -> None:
    root = write(tmp_path / "unpacked")
    with zipfile.ZipFile(tmp_path / DOWNLOADS[0].filename, "w") as archive:
        for path in sorted(root.rglob("*.gz")):
            archive.write(path, inside + str(path.relative_to(root)))
    shutil.rmtree(root)
    assert_worked_examples(converted(tmp_path))


def test_line_ends_of_other_systems_and_none_at_the_end(tmp_path: pathlib.Path) -> None:
    write(
        tmp_path,
        {name.rpartition("/")[2]: text.replace("\n", "\r\n").removesuffix("\r\n") for name, text in tables().items()},
    )
    assert_worked_examples(converted(tmp_path))


def changed(change: Callable[[str], str]) -> dict[str, str]:
    return {name.rpartition("/")[2]: change(text) for name, text in tables().items()}


@pytest.mark.parametrize("piece", [1, 2, 3, 40, 1 << 20], ids=lambda size: f"pieces of {size}")
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + "\n",
        lambda text: text + "\n\n \n\t\n  ",
        lambda text: text.removesuffix("\n"),
        lambda text: text.replace("\n", "\r\n") + "\r\n\r\n",
        lambda text: text.replace("\n", "\r"),
    ],
    ids=["a blank line", "blank lines and spaces", "no end of line", "Windows", "carriage returns alone"],
)
def test_ends_of_lines_and_files(
    tmp_path: pathlib.Path, change: Callable[[str], str], piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are read in pieces, which may end anywhere."""
    monkeypatch.setattr("workloads.ogbg.csv_tables._CHUNK_BYTES", piece)
    assert_worked_examples(converted(write(tmp_path, changed(change), packed=False)))


@pytest.mark.parametrize("packed", [True, False])
def test_a_byte_order_mark(tmp_path: pathlib.Path, packed: bool) -> None:
    assert_worked_examples(converted(write(tmp_path, changed("\ufeff{}".format), packed=packed)))


@pytest.mark.parametrize("piece", [40, 1 << 20], ids=lambda size: f"pieces of {size}")
def test_labels_as_spreadsheet_programs_write_them(
    tmp_path: pathlib.Path, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workloads.ogbg.csv_tables._CHUNK_BYTES", piece)
    spellings = {
        "": ("nan", "NaN", "NA", "N/A", "NULL", "None", "<NA>", "#N/A", " ", "-nan"),
        "0": ("0.00", "0.", "-0.0", " 0", "0e0", "0.000000000000000000e+00"),
        "1": ("1.00", "1.", "+1", "1 ", "1e0", "1.000000000000000000e+00"),
    }

    def spell(text: str) -> str:
        lines = []
        for row, line in enumerate(text.splitlines()):
            fields = [field.removesuffix(".0") for field in line.split(",")]
            spelt = [spellings[field][(row + task // 5) % len(spellings[field])] for task, field in enumerate(fields)]
            lines.append(",".join(spelt))
        return "\n".join(lines) + "\n"

    assert_worked_examples(converted(write(tmp_path, {"graph-label": spell(tables()["raw/graph-label"])})))


def test_the_official_data_set_is_chosen_among_several(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others of the same benchmark have the same files."""
    write(tmp_path / "ogbg_molhiv", {"num-node-list": "3\n"})
    write(tmp_path / "pcba")
    write(tmp_path / ".trash" / "pcba", {"num-node-list": "3\n"})
    fails(tmp_path, f"found ['{tmp_path}/ogbg_molhiv', '{tmp_path}/pcba']", "437,929", "--from=FOLDER")
    monkeypatch.setattr("workloads.ogbg.prepare.NUM_MOLECULES", len(MOLECULES))
    assert_worked_examples(converted(tmp_path))
    (tmp_path / "ogbg_molhiv" / "raw" / "num-node-list.csv.gz").write_bytes(b"no gzip")
    assert_worked_examples(converted(tmp_path))


def test_the_archive_is_preferred_to_a_part_of_its_content(tmp_path: pathlib.Path) -> None:
    root = write(tmp_path / "pcba")
    with zipfile.ZipFile(tmp_path / "pcba.zip", "w") as archive:
        archive.writestr("__MACOSX/raw/._edge.csv.gz", "")
        for path in sorted(root.rglob("*.gz")):
            archive.write(path, f"pcba/{path.relative_to(root)}")
    (root / "raw" / "edge.csv.gz").unlink()
    assert_worked_examples(converted(tmp_path))


def test_a_complete_data_set_is_preferred_to_a_partial_one(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "a")
    (tmp_path / "a" / "raw" / "edge.csv.gz").unlink()
    write(tmp_path / "b")
    assert_worked_examples(converted(tmp_path))


def test_prepared_and_read_back(tmp_path: pathlib.Path) -> None:
    prepared.write(tmp_path / "data", DATASET, convert(write(tmp_path / "raw_files")), source="test")
    columns = prepared.load(tmp_path / "data", DATASET)
    names = ("train", "validation", "test")
    assert_worked_examples({name: graph_batching.from_columns(columns.columns(name)) for name in names})


def test_other_data_than_the_official_are_named(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        convert(write(tmp_path))
    assert "5 molecules, not the 437,929 of ogbg-molpcba" in caplog.text


def fails(folder: pathlib.Path, *parts: str) -> None:
    with pytest.raises(DataError) as error:
        convert(folder)
    for part in parts:
        assert part in str(error.value), str(error.value)


@pytest.mark.parametrize("name", list(tables()))
def test_a_missing_file(tmp_path: pathlib.Path, name: str) -> None:
    write(tmp_path)
    (tmp_path / f"{name}.csv.gz").unlink()
    fails(tmp_path, name.rpartition("/")[2] + ".csv.gz", str(tmp_path))


def test_nothing_there(tmp_path: pathlib.Path) -> None:
    fails(tmp_path, "pcba.zip", str(tmp_path))


@pytest.mark.parametrize("name", list(tables()))
def test_a_truncated_file(tmp_path: pathlib.Path, name: str) -> None:
    write(tmp_path)
    path = tmp_path / f"{name}.csv.gz"
    path.write_bytes(path.read_bytes()[:-6])
    fails(tmp_path, str(path), "cannot be read")


@pytest.mark.parametrize("name", ["num-edge-list", "node-feat", "edge", "edge-feat", "graph-label"])
@pytest.mark.parametrize("difference", [-1, 1])
def test_a_wrong_number_of_lines(tmp_path: pathlib.Path, name: str, difference: int) -> None:
    lines = tables()[f"raw/{name}"].splitlines(keepends=True)
    changed = lines[:-1] if difference < 0 else [*lines, lines[-1]]
    write(tmp_path, {name: "".join(changed)})
    fails(tmp_path, f"number of lines in {tmp_path}/raw/{name}.csv.gz: found {len(changed)}; expected {len(lines)}")


@pytest.mark.parametrize(
    ("name", "line", "text"),
    [
        ("num-node-list", 2, "x"),
        ("num-node-list", 2, "-1"),
        ("num-node-list", 2, "2.0"),
        ("num-node-list", 2, ""),
        ("num-node-list", 5, "9" * 30),
        ("num-edge-list", 1, "2,3"),
        ("node-feat", 4, "1,2,3,4,5,6,7,8"),
        ("node-feat", 1, "1,2,3,4,5,6,7,8,9,10"),
        ("node-feat", 7, "1,2,3,,5,6,7,8,9"),
        ("node-feat", 7, "1,2,3,256,5,6,7,8,9"),
        ("node-feat", 7, "1,2,3, 4,5,6,7,8,9"),
        ("edge", 3, "70000,1"),
        ("edge-feat", 8, "1;2;3"),
        ("graph-label", 3, ",".join(["2"] * 128)),
        ("graph-label", 3, ",".join(["1.5"] * 128)),
        ("graph-label", 3, ",".join(["-1"] * 128)),
        ("graph-label", 3, ",".join(["nano"] * 128)),
        ("graph-label", 3, ",".join(["inf"] * 128)),
        ("graph-label", 3, ",".join(["1." + "0" * 40] * 128)),
        ("node-feat", 4, ""),
        ("node-feat", 4, "nan" + ",1" * 8),
        ("num-edge-list", 2, "nan"),
        ("graph-label", 5, "," * 126),
        ("train", 2, "one"),
    ],
)
def test_a_malformed_line(tmp_path: pathlib.Path, name: str, line: int, text: str) -> None:
    full_name = next(key for key in tables() if key.endswith(f"/{name}"))
    lines = tables()[full_name].splitlines()
    lines[line - 1] = text
    write(tmp_path, {name: "\n".join(lines) + "\n"})
    fails(tmp_path, f"line {line} of {tmp_path}/{full_name}.csv.gz: found '{text[:60]}", "expected")


def test_lines_are_counted_over_the_whole_file(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are read in pieces."""
    monkeypatch.setattr("workloads.ogbg.csv_tables._CHUNK_BYTES", 40)
    assert_worked_examples(converted(write(tmp_path)))
    lines = tables()["raw/node-feat"].splitlines(keepends=True)
    write(tmp_path, {"node-feat": "".join([*lines[:13], "bad\n", *lines[14:]])})
    fails(tmp_path, "line 14 of", "node-feat", "'bad'")


def test_a_bond_to_a_missing_atom(tmp_path: pathlib.Path) -> None:
    """The salt has no bonds, so the third bond belongs to benzene, molecule 2."""
    write(tmp_path, {"edge": re.sub("^0,1\n1,2\n0,1\n", "0,1\n1,2\n0,6\n", tables()["raw/edge"])})
    fails(tmp_path, "line 3 of", "edge.csv.gz, a bond of molecule 2: found (0, 6); expected atoms 0 to 5")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": "0\n1\n5\n"}, "line 3 of {}/split/scaffold/train.csv.gz: found 5; expected a molecule from 0 to 4"),
        ({"test": "4\n1\n"}, "line 2 of {}/split/scaffold/test.csv.gz: found 1; expected a molecule that is in no"),
        ({"train": "0\n3\n3\n"}, "{}/split/scaffold/train.csv.gz names a molecule twice"),
    ],
)
def test_splits_that_do_not_fit(tmp_path: pathlib.Path, changes: dict[str, str], message: str) -> None:
    fails(write(tmp_path, changes), message.format(tmp_path))


def damaged_archive(path: pathlib.Path) -> None:
    path.write_bytes(b"PK this is no archive")


def foreign_archive(path: pathlib.Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("something/else.txt", "")


@pytest.mark.parametrize("damage", [damaged_archive, foreign_archive])
def test_an_archive_that_is_not_the_data_set(tmp_path: pathlib.Path, damage: Callable[[pathlib.Path], None]) -> None:
    damage(tmp_path / "pcba.zip")
    fails(tmp_path, str(tmp_path / "pcba.zip"), "Download it again")


def test_real_molecules() -> None:
    if "ALGOPERF_TEST_DATA" not in os.environ:
        pytest.skip("ALGOPERF_TEST_DATA, the folder of raw data sets, is not set")
    splits = convert(pathlib.Path(os.environ["ALGOPERF_TEST_DATA"]) / "ogbg_standin128")
    counted = {name: [block.num_examples for block in blocks] for name, blocks in splits.items()}
    assert {name: sum(counts) for name, counts in counted.items()} == {
        "train": 108_590,
        "validation": 13_574,
        "test": 13_574,
    }
