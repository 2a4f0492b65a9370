"""From HDF5 files to batches: splits, order, widths, archives, and files that cannot be used."""

import os
import pathlib
import tarfile
from typing import Any

import h5py
import numpy as np
import pytest

import workloads
from algoperf_jax import prepare
from algoperf_jax.data import prepared
from algoperf_jax.workload import Placement
from workloads.fastmri import masks
from workloads.fastmri.data import PreparedSlices
from workloads.fastmri.prepare import DATASET
from workloads.fastmri.reconstruction import Slice, reconstruct, to_hybrid_space

TRAIN, VALIDATION = "knee_singlecoil_train", "knee_singlecoil_val"
WIDTHS = {"file1": 322, "file2": 368, "file3": 320, "file4": 334, "file5": 368}


def kspace_of(name: str) -> np.ndarray:
    rng = np.random.default_rng(int(name[-1]))
    return rng.standard_normal((1, 640, 2 * WIDTHS[name]), np.float32).view(np.complex64)


def write_volume(path: pathlib.Path, **changes: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    target = np.random.default_rng(0).random((1, 320, 320), np.float32)
    contents = {"kspace": kspace_of(path.stem), "reconstruction_esc": target, **changes}
    with h5py.File(path, "w") as file:
        for name, values in contents.items():
            if values is not None:
                file[name] = values
        file.attrs["max"] = 10.0 + int(path.stem[-1])


@pytest.fixture
def raw(tmp_path: pathlib.Path) -> pathlib.Path:
    for name in ("file2", "file1"):
        write_volume(tmp_path / "raw" / TRAIN / f"{name}.h5")
    for name in ("file5", "file3", "file4"):
        write_volume(tmp_path / "raw" / VALIDATION / f"{name}.h5")
    return tmp_path / "raw"


def run(raw: pathlib.Path, data_dir: pathlib.Path) -> int:
    return prepare.main(["fastmri", f"--data_dir={data_dir}", f"--from={raw}"])


def test_slices_are_those_of_the_files_in_order(raw: pathlib.Path, tmp_path: pathlib.Path) -> None:
    assert run(raw, tmp_path) == 0
    source = PreparedSlices(str(tmp_path))
    # The larger half of the official validation volumes is for validation.
    for split, names in {"train": ["file1", "file2"], "validation": ["file3", "file4"], "test": ["file5"]}.items():
        assert len(source.examples(split)) == len(names)
        for index, name in enumerate(names):
            example = source.examples(split).read(index)
            assert example.volume_max == 10 + int(name[-1])
            np.testing.assert_array_equal(example.hybrid, to_hybrid_space(kspace_of(name)[0], 320))


def test_batches_of_several_widths(raw: pathlib.Path, tmp_path: pathlib.Path) -> None:
    assert run(raw, tmp_path) == 0
    data = workloads.load("fastmri", data_dir=str(tmp_path)).data
    batch = data.open("validation", batch_size=2, seed=1, placement=Placement()).batch(0)
    drawn = masks.uniforms(masks.EVALUATION_SEED, 400)[0]
    for row, name in enumerate(("file3", "file4")):
        hybrid = to_hybrid_space(kspace_of(name)[0], 320)
        example = Slice(hybrid, np.zeros((320, 320), np.float32), 1.0)
        expected = reconstruct(example, masks.kept_columns(WIDTHS[name], drawn), (320, 320))
        np.testing.assert_array_equal(batch["inputs"][row], expected.inputs)
        assert batch["mean"][row] == expected.mean
    small = workloads.load("fastmri_small", data_dir=str(tmp_path)).data
    assert small.open("train", batch_size=2, seed=1, placement=Placement()).batch(0)["inputs"].shape == (2, 64, 64)
    assert prepared.load(tmp_path, DATASET).describe()["split_sizes"] == {"train": 2, "validation": 2, "test": 1}


def test_a_slice_keeps_its_mask_in_every_epoch(raw: pathlib.Path, tmp_path: pathlib.Path) -> None:
    assert run(raw, tmp_path) == 0
    data = workloads.load("fastmri_small", data_dir=str(tmp_path)).data

    def means(seed: int) -> list[tuple[float, ...]]:
        reader = data.open("train", batch_size=2, seed=seed, placement=Placement())
        return [tuple(sorted(reader.batch(epoch)["mean"])) for epoch in range(3)]

    assert len(set(means(1))) == 1
    assert means(1) != means(2)


@pytest.mark.parametrize("inside", [True, False], ids=["with a folder", "without"])
def test_archives(raw: pathlib.Path, tmp_path: pathlib.Path, inside: bool) -> None:
    packed = tmp_path / "packed"
    packed.mkdir()
    for name in (TRAIN, VALIDATION):
        with tarfile.open(packed / f"{name}.tar.gz", "w:gz", compresslevel=1) as archive:
            archive.add(raw / name, arcname=name if inside else ".")
    assert run(packed, tmp_path) == 0
    assert len(PreparedSlices(str(tmp_path)).examples("validation")) == 2


SMALL, NANS = np.zeros((1, 8, 8), np.float32), np.full((1, 640, 368), np.nan, np.complex64)
BAD = {
    "file6.h5": ({"kspace": None}, "has no dataset kspace"),
    "file7.h5": (
        {"reconstruction_esc": np.zeros((1, 8, 8), np.float32)},
        "have the shapes (1, 640, 368) and (1, 8, 8)",
    ),
    "file8.h5": ({"kspace": NANS}, "kspace holds numbers that are not finite"),
    "file9.h5": (
        {"reconstruction_esc": np.zeros((1, 320, 320), np.float32)},
        "reconstruction_esc has a slice of zeros",
    ),
}


def test_bad_files_are_left_out_and_listed(
    raw: pathlib.Path, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, (changes, _) in BAD.items():
        monkeypatch.setitem(WIDTHS, name[:-3], 368)
        write_volume(raw / TRAIN / name, **changes)
    whole = (raw / TRAIN / "file2.h5").read_bytes()
    (raw / TRAIN / "file0.h5").write_bytes(whole[: len(whole) // 2])
    assert run(raw, tmp_path) == 0
    assert len(PreparedSlices(str(tmp_path)).examples("train")) == 2
    lines = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "5 files were left out" in lines[0]
    for name, words in [("file0.h5", "cannot be read"), *((name, words) for name, (_, words) in BAD.items())]:
        assert sum(name in line and words in line for line in lines) == 1, (name, lines)


def test_nothing_left(raw: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (raw / TRAIN).iterdir():
        path.write_bytes(b"no HDF5")
    assert run(raw, tmp_path) == 2
    assert "no file of train can be used" in capsys.readouterr().err
    assert not (tmp_path / "fastmri").exists()


def test_missing_folders(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, tmp_path / "data") == 2
    error = capsys.readouterr().err
    assert "neither a folder knee_singlecoil_train nor an archive of it" in error
    assert "https://fastmri.med.nyu.edu/" in error


@pytest.mark.skipif("ALGOPERF_TEST_DATA" not in os.environ, reason="ALGOPERF_TEST_DATA is not set")
def test_volumes_in_the_official_format(tmp_path: pathlib.Path) -> None:
    assert run(pathlib.Path(os.environ["ALGOPERF_TEST_DATA"]) / "fastmri_sim", tmp_path) == 0
    source = PreparedSlices(str(tmp_path))
    assert [len(source.examples(split)) for split in ("train", "validation", "test")] == [20, 8, 4]
    # Without a mask, the reconstruction is the target, which is stored with 11 bits.
    example = source.examples("test").read(3)
    found = reconstruct(example, np.ones(368, bool), (320, 320))
    assert np.abs(found.inputs * found.std + found.mean - example.target).max() < 2**-11 * example.target.max()
