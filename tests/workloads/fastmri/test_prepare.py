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
from algoperf_jax.errors import DataError
from algoperf_jax.workload import Placement
from workloads.fastmri import masks
from workloads.fastmri import prepare as conversion
from workloads.fastmri.data import PreparedSlices
from workloads.fastmri.prepare import DATASET, Volume
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


@pytest.fixture
def empty_volumes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are distinguished by the number in their name, and not read."""

    def read_volume(_: Any, path: pathlib.Path) -> Volume:
        return Volume(np.zeros((1, 1, 1), np.complex64), np.zeros((1, 1, 1), np.float32), float(path.stem[-1]))

    monkeypatch.setattr(conversion, "read_volume", read_volume)
    monkeypatch.setattr(conversion, "to_hybrid_space", lambda kspace, _: kspace)


def touch(folder: pathlib.Path, *numbers: int) -> pathlib.Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (folder / f"file{number}.h5").write_bytes(b"")
    return folder


def numbers(folder: pathlib.Path) -> dict[str, list[int]]:
    """The files of each split."""
    return {
        split: [int(block.columns["volume_max"][0]) for block in blocks]
        for split, blocks in conversion.convert(folder).items()
    }


ALL = {"train": [1, 2], "validation": [3, 4], "test": [5]}


@pytest.mark.usefixtures("empty_volumes")
@pytest.mark.parametrize(
    "layout", ["{long}", "{short}", "{long}/{short}", "fastMRI/knee/{short}", "{long}/knee/{short}", "{short}/volumes"]
)
def test_layouts_of_folders(tmp_path: pathlib.Path, layout: str) -> None:
    touch(tmp_path / layout.format(long=TRAIN, short="singlecoil_train"), 2, 1)
    touch(tmp_path / layout.format(long=VALIDATION, short="singlecoil_val"), 4, 3, 5)
    # Splits and coils that are not used, and files left behind by programs.
    touch(tmp_path / "knee_singlecoil_test" / "singlecoil_test", 6)
    touch(tmp_path / "multicoil_train", 7)
    touch(tmp_path / ".trash" / TRAIN, 8)
    touch(tmp_path / "__MACOSX" / "singlecoil_val", 8)
    for path in list(tmp_path.rglob("file4.h5")):
        path.with_name("._file4.h5").write_bytes(b"")
    assert numbers(tmp_path) == ALL


@pytest.mark.usefixtures("empty_volumes")
@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tgz", "tar.xz"])
@pytest.mark.parametrize("inside", ["{short}", "{long}", ".", "{long}/{short}", "home/user/data"])
@pytest.mark.parametrize("name", ["{long}", "{short}"])
def test_layouts_of_archives(tmp_path: pathlib.Path, suffix: str, inside: str, name: str) -> None:
    packed = tmp_path / "packed" / "knee"
    packed.mkdir(parents=True)
    mode = {"tar": "w:", "tar.xz": "w:xz"}.get(suffix, "w:gz")
    for long, files in ((TRAIN, (1, 2)), (VALIDATION, (3, 4, 5))):
        names = {"long": long, "short": long.removeprefix("knee_")}
        unpacked = touch(tmp_path / long, *files)
        (unpacked / "._file3.h5").write_bytes(b"")
        path = packed / f"{name.format(**names)}.{suffix}"
        with tarfile.open(path, mode) as archive:  # pyright: ignore[reportCallIssue, reportArgumentType] -- a mode
            archive.add(unpacked, arcname=inside.format(**names))
        (packed / f"{path.name}.part").write_bytes(b"an interrupted download")
    assert numbers(tmp_path / "packed") == ALL
    assert sorted(path.name for path in packed.iterdir() if path.is_dir()) == [TRAIN, VALIDATION]
    assert numbers(tmp_path / "packed") == ALL, "what is unpacked is found"


@pytest.mark.usefixtures("empty_volumes")
def test_interrupted_unpacking_starts_again(tmp_path: pathlib.Path) -> None:
    touch(tmp_path / VALIDATION, 3, 4, 5)
    with tarfile.open(tmp_path / f"{TRAIN}.tar.gz", "w:gz") as archive:
        archive.add(touch(tmp_path / "elsewhere", 1, 2), arcname="singlecoil_train")
    touch(tmp_path / f".{TRAIN}.partial" / TRAIN, 1)
    assert numbers(tmp_path) == ALL


def fails(folder: pathlib.Path, *parts: str) -> None:
    with pytest.raises(DataError) as error:
        conversion.convert(folder)
    for part in parts:
        assert part in str(error.value), str(error.value)


def test_several_folders_of_a_split(tmp_path: pathlib.Path) -> None:
    touch(tmp_path / VALIDATION, 3, 4, 5)
    touch(tmp_path / TRAIN, 1, 2)
    touch(tmp_path / "copy" / "singlecoil_train", 1, 2)
    conversion.convert(tmp_path)
    touch(tmp_path / "copy" / "singlecoil_train", 6)
    fails(tmp_path, f"{tmp_path}/{TRAIN}: 2 files", f"{tmp_path}/copy/singlecoil_train: 3 files", "Remove all but one")


def test_volumes_in_both_splits(tmp_path: pathlib.Path) -> None:
    touch(tmp_path / TRAIN, 1, 2, 3)
    touch(tmp_path / VALIDATION, 3, 4, 5)
    fails(tmp_path, f"files in {tmp_path}/{TRAIN} and in {tmp_path}/{VALIDATION}: found ['file3.h5']")


def test_another_number_of_volumes_is_announced(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path / TRAIN, 1, 2)
    touch(tmp_path / VALIDATION, 3, 4, 5)
    (tmp_path / f"{TRAIN}.tar.xz").write_bytes(b"")
    monkeypatch.setitem(conversion._NUM_VOLUMES, VALIDATION, 3)
    conversion.convert(tmp_path)
    (message,) = [record.getMessage() for record in caplog.records]
    assert f"{tmp_path}/{TRAIN} contains 2 volumes, not the 973 of fastMRI: results are not comparable" in message
    assert f"to unpack {tmp_path}/{TRAIN}.tar.xz again, remove the folder" in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (["singlecoil_val/file1.h5"], "folders of .h5 files in"),
        (["a/file1.h5", "b/file2.h5"], "found ['a', 'b']; expected one, singlecoil_train"),
        (["README.txt"], "found []; expected one, singlecoil_train"),
        (None, "cannot be unpacked"),
    ],
)
def test_archives_of_something_else(tmp_path: pathlib.Path, content: list[str] | None, message: str) -> None:
    touch(tmp_path / VALIDATION, 3, 4, 5)
    path = tmp_path / f"{TRAIN}.tar.xz"
    with tarfile.open(path, "w:xz") as archive:
        for name in content or ["singlecoil_train/file1.h5"]:
            archive.addfile(tarfile.TarInfo(name))
    if content is None:
        damaged = bytearray(path.read_bytes())
        damaged[len(damaged) // 2] ^= 255
        path.write_bytes(damaged)
    fails(tmp_path, str(path), message)
    assert sorted(item.name for item in tmp_path.iterdir()) == [path.name, VALIDATION]


def test_a_folder_without_volumes_beside_the_archive(tmp_path: pathlib.Path) -> None:
    (tmp_path / TRAIN).mkdir()
    (tmp_path / f"{TRAIN}.tar").write_bytes(b"")
    fails(tmp_path, f"no .h5 files in {tmp_path}/{TRAIN}. Remove it")


SMALL, NANS = np.zeros((1, 8, 8), np.float32), np.full((1, 640, 368), np.nan, np.complex64)
BAD = {
    "file6.h5": ({"kspace": None}, "has no dataset kspace"),
    "file7.h5": (
        {"reconstruction_esc": np.zeros((1, 8, 8), np.float32)},
        "have the shapes (1, 640, 368) and (1, 8, 8)",
    ),
    "file8.h5": ({"kspace": NANS}, "kspace contains numbers that are not finite"),
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
    assert sum("5 files were left out" in line for line in lines) == 1
    for name, words in [("file0.h5", "cannot be read"), *((name, words) for name, (_, words) in BAD.items())]:
        assert sum(name in line and words in line for line in lines) == 1, (name, lines)


def test_no_usable_file(raw: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (raw / TRAIN).iterdir():
        path.write_bytes(b"no HDF5")
    assert run(raw, tmp_path) == 2
    assert "no file of train can be used" in capsys.readouterr().err
    assert not (tmp_path / "fastmri").exists()


def test_missing_folders(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, tmp_path / "data") == 2
    error = capsys.readouterr().err
    assert "contains neither a folder knee_singlecoil_train (or singlecoil_train) of .h5 files nor an archive" in error
    assert "https://fastmri.med.nyu.edu/" in error


@pytest.mark.skipif("ALGOPERF_TEST_DATA" not in os.environ, reason="ALGOPERF_TEST_DATA is not set")
def test_volumes_in_the_official_format(tmp_path: pathlib.Path) -> None:
    assert run(pathlib.Path(os.environ["ALGOPERF_TEST_DATA"]) / "fastmri_sim", tmp_path) == 0
    source = PreparedSlices(str(tmp_path))
    assert [len(source.examples(split)) for split in ("train", "validation", "test")] == [20, 8, 4]
    # Without a mask, the reconstruction equals the target, which is stored with 11 bits.
    example = source.examples("test").read(3)
    found = reconstruct(example, np.ones(368, bool), (320, 320))
    assert np.abs(found.inputs * found.std + found.mean - example.target).max() < 2**-11 * example.target.max()
