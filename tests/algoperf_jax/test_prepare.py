import fcntl
import hashlib
import logging
import os
import pathlib
import subprocess
import sys
import types
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pytest

import workloads
from algoperf_jax import prepare
from algoperf_jax.data import continued, prepared
from algoperf_jax.data.download import Download
from algoperf_jax.data.manifest import File, Split
from algoperf_jax.data.prepared import Block, DatasetSpec
from algoperf_jax.errors import DataError


@pytest.fixture
def conversion(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """The preparation of `mnist`, replaced by one whose raw file holds the numbers to be stored."""
    raw = tmp_path / "site" / "numbers.bin"
    raw.parent.mkdir()
    raw.write_bytes(bytes(range(60)))
    checksum = f"md5:{hashlib.md5(raw.read_bytes()).hexdigest()}"

    def convert(folder: pathlib.Path) -> Mapping[str, Iterable[Block]]:
        conversion.converted += 1
        numbers = np.frombuffer((folder / "numbers.bin").read_bytes(), np.uint8)
        if not numbers.size:
            raise DataError("numbers.bin is damaged")
        logging.getLogger("workloads").info("a note of the conversion")
        return {name: prepared.in_blocks({"x": part}) for name, part in (("train", numbers[:50]), ("test", numbers))}

    conversion = types.SimpleNamespace(
        DATASET=DatasetSpec("mnist", "1.0.0"),
        DOWNLOADS=(Download(raw.as_uri(), raw.name, raw.stat().st_size, checksum),),
        convert=convert,
        converted=0,
        raw=raw,
    )
    monkeypatch.setattr(workloads, "preparation", lambda name: conversion)
    return conversion


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr().err
    (line,) = captured.splitlines()
    assert line.startswith("error: ")
    return line


def test_download_and_conversion(
    conversion: types.SimpleNamespace, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data_dir = tmp_path / "new" / "data"
    assert prepare.main(["mnist", f"--data_dir={data_dir}"]) == 0
    data = prepared.load(data_dir, conversion.DATASET)
    np.testing.assert_array_equal(data.columns("train")["x"], np.arange(50))
    assert data.describe()["source"] == conversion.DOWNLOADS[0].url
    assert (data_dir / "downloads" / "mnist" / "numbers.bin").read_bytes() == bytes(range(60))
    output = capsys.readouterr().out
    assert f"mnist 1.0.0 is ready in {data_dir} (train: 50, test: 60)" in output


def test_files_at_hand(conversion: types.SimpleNamespace, tmp_path: pathlib.Path) -> None:
    data_dir = tmp_path / "data"
    assert prepare.main(["mnist", f"--data_dir={data_dir}", f"--from={conversion.raw.parent}"]) == 0
    data = prepared.load(data_dir, conversion.DATASET)
    assert data.num_examples("test") == 60
    assert data.describe()["source"] == f"files from {conversion.raw.parent}"
    assert not (data_dir / "downloads").exists()


def test_facts_of_a_conversion(conversion: types.SimpleNamespace, tmp_path: pathlib.Path) -> None:
    splits = conversion.convert
    conversion.convert = lambda folder: prepared.Conversion(splits(folder), lambda: {"numbers": conversion.converted})
    assert prepare.main(["mnist", f"--data_dir={tmp_path}", f"--from={conversion.raw.parent}"]) == 0
    assert prepared.load(tmp_path, conversion.DATASET).describe()["facts"] == {"numbers": 1}


def test_files_of_a_conversion_of_its_own_survive_an_interruption(
    conversion: types.SimpleNamespace, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def convert_into(folder: pathlib.Path, own: pathlib.Path, days: str = "all") -> continued.Written:
        found.append(sorted(path.name for path in own.glob("*.bin")))
        (own / f"{len(found)}.bin").write_bytes((folder / "numbers.bin").read_bytes())
        if len(found) == 1:
            raise DataError("the disk is full")
        files = tuple(File(path.name, 1, 60, "") for path in sorted(own.glob("*.bin")))
        return continued.Written({"train": Split(60 * len(files), {}, files)}, {"days": days})

    found: list[list[str]] = []
    conversion.convert_into, conversion.OPTIONS = convert_into, ("days",)
    command = ["mnist", f"--data_dir={tmp_path / 'data'}", f"--from={conversion.raw.parent}", "--option=days=some"]
    assert prepare.main(command) == 2
    assert error_line(capsys) == "error: the disk is full"
    assert prepare.main(command) == 0
    assert capsys.readouterr().out.endswith(f"mnist 1.0.0 is ready in {tmp_path / 'data'} (train: 120)\n")
    assert prepared.load(tmp_path / "data", conversion.DATASET).facts == {"days": "some"}
    assert prepare.main(command) == 0
    assert prepare.main([*command, "--force"]) == 0
    assert found == [[], ["1.bin"], []]


def test_force_keeps_the_data_if_the_check_fails(
    conversion: types.SimpleNamespace, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def check(folder: pathlib.Path, days: str = "all") -> None:
        assert folder == conversion.raw.parent
        if days == "all":
            raise DataError("day_5 is missing")

    def convert_into(folder: pathlib.Path, own: pathlib.Path, days: str = "all") -> continued.Written:
        (own / "1.bin").write_bytes((folder / "numbers.bin").read_bytes())
        return continued.Written({"train": Split(60, {}, (File("1.bin", 1, 60, ""),))})

    conversion.check, conversion.convert_into, conversion.OPTIONS = check, convert_into, ("days",)
    command = ["mnist", f"--data_dir={tmp_path / 'data'}", f"--from={conversion.raw.parent}"]
    assert prepare.main([*command, "--option=days=some"]) == 0
    data = prepared.load(tmp_path / "data", conversion.DATASET)
    assert data.arguments == [f"--from={conversion.raw.parent}", "--option=days=some"]
    assert prepare.main([*command, "--force"]) == 2
    assert error_line(capsys) == "error: day_5 is missing"
    assert prepared.load(tmp_path / "data", conversion.DATASET).num_examples("train") == 60


def test_complete_data_are_left_alone(
    conversion: types.SimpleNamespace, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["mnist", f"--data_dir={tmp_path / 'data'}"]
    assert prepare.main(command) == 0
    capsys.readouterr()
    assert prepare.main(command) == 0
    assert conversion.converted == 1
    assert capsys.readouterr().out == f"mnist 1.0.0 in {tmp_path / 'data'} is already prepared (train: 50, test: 60)\n"
    assert prepare.main([*command, "--force"]) == 0
    assert conversion.converted == 2


def test_incomplete_and_outdated_data_is_prepared_again(
    conversion: types.SimpleNamespace, tmp_path: pathlib.Path
) -> None:
    command = ["mnist", f"--data_dir={tmp_path / 'data'}"]
    assert prepare.main(command) == 0
    next((tmp_path / "data" / "mnist").glob("train-*")).unlink()
    assert prepare.main(command) == 0
    assert conversion.converted == 2
    conversion.DATASET = DatasetSpec("mnist", "2.0.0")
    assert prepare.main(command) == 0
    assert prepared.load(tmp_path / "data", conversion.DATASET).num_examples("test") == 60


def test_damaged_raw_files(
    conversion: types.SimpleNamespace, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    conversion.raw.write_bytes(b"")
    assert prepare.main(["mnist", f"--data_dir={tmp_path / 'data'}", f"--from={conversion.raw.parent}"]) == 2
    assert error_line(capsys) == "error: numbers.bin is damaged"
    assert not (tmp_path / "data" / "mnist").exists()


def test_download_that_fails(
    conversion: types.SimpleNamespace, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    conversion.raw.write_bytes(bytes(60))
    assert prepare.main(["mnist", f"--data_dir={tmp_path / 'data'}"]) == 2
    assert "error: checksum of file:///" in capsys.readouterr().err
    assert not (tmp_path / "data" / "mnist").exists()


@pytest.mark.usefixtures("conversion")
def test_folder_that_does_not_exist(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prepare.main(["mnist", f"--data_dir={tmp_path}", f"--from={tmp_path / 'absent'}"]) == 2
    assert error_line(capsys).startswith(f"error: --from: found '{tmp_path / 'absent'}'; expected a folder")


@pytest.mark.usefixtures("conversion")
def test_data_dir_that_is_a_file(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert prepare.main(["mnist", f"--data_dir={tmp_path / 'file'}"]) == 2
    assert str(tmp_path / "file") in error_line(capsys)


@pytest.mark.usefixtures("conversion")
def test_second_process_is_refused(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (tmp_path / ".mnist.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert prepare.main(["mnist", f"--data_dir={tmp_path}"]) == 2
    assert "another process is preparing mnist" in error_line(capsys)
    assert prepare.main(["mnist", f"--data_dir={tmp_path}"]) == 0


def test_interruption(
    conversion: types.SimpleNamespace, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> Iterator[Block]:
        yield Block(1, {"x": np.zeros(1)})
        raise KeyboardInterrupt

    conversion.convert = lambda folder: {"train": interrupted()}
    assert prepare.main(["mnist", f"--data_dir={tmp_path / 'data'}", f"--from={conversion.raw.parent}"]) == 130
    assert error_line(capsys).startswith("error: interrupted")
    assert [path.name for path in (tmp_path / "data").iterdir()] == [".mnist.lock"]


def test_unknown_workload(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prepare.main(["mnits", f"--data_dir={tmp_path}"]) == 2
    assert error_line(capsys) == "error: unknown workload: found 'mnits'. Did you mean 'mnist'?"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--force"], "required: WORKLOAD, --data_dir"),
        (["mnist"], "required: --data_dir"),
        (["mnist", "--data_dir=d", "--form=x"], "unrecognized arguments: --form=x"),
        (["mnist", "--data_dir=d", "--fo"], "unrecognized arguments: --fo"),
    ],
)
def test_wrong_arguments(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert prepare.main(arguments) == 2
    assert message in error_line(capsys)


def test_as_a_command(tmp_path: pathlib.Path) -> None:
    finished = subprocess.run(
        [
            sys.executable,
            "-m",
            "algoperf_jax.prepare",
            "mnist",
            f"--data_dir={tmp_path}",
            f"--from={tmp_path}",
        ],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
    )
    assert finished.returncode == 2
    assert finished.stderr.startswith("error: train-images-idx3-ubyte (or train-images-idx3-ubyte.gz) is missing")
    assert "Traceback" not in finished.stderr


def test_variants_share_the_preparation_of_their_workload() -> None:
    bases = {name: workloads.base_name(name) for name in workloads.names()}
    assert bases["ogbg_gelu"] == "ogbg"
    for name, base in bases.items():
        assert workloads.preparation(name) is workloads.preparation(base)


NOT_DOWNLOADED = {"criteo1tb", "fastmri", "finewebedu_lm", "imagenet_resnet", "imagenet_vit", "wmt"}


@pytest.mark.parametrize("name", workloads.base_names())
def test_every_workload_has_a_preparation(name: str) -> None:
    conversion = workloads.preparation(name)
    assert isinstance(conversion.DATASET, DatasetSpec)
    assert workloads.preparation(conversion.DATASET.name) is conversion
    assert hasattr(conversion, "convert") != hasattr(conversion, "convert_into")
    assert (name in NOT_DOWNLOADED) == (not conversion.DOWNLOADS)
    for item in conversion.DOWNLOADS:
        algorithm, _, digest = item.checksum.partition(":")
        assert len(digest) == 2 * hashlib.new(algorithm).digest_size
        assert digest == digest.lower()
        assert item.url.endswith(item.filename)
