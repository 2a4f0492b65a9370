import errno
import os
import pathlib
import shutil
from collections.abc import Sequence

import numpy as np
import pytest

from algoperf_jax import prepare as command
from algoperf_jax.data import prepared
from algoperf_jax.errors import ConfigError, DataError
from tests.workloads.criteo1tb import click_logs
from workloads.criteo1tb import conversion, prepare, raw_days, raw_text, rows

PER_PIECE = 50
PARTIAL = {"days": "partial", "processes": "1"}
PARTS = {"day_0_00.gz": 50, "day_0_01": 30, "day_3": 20, "day_23_00.gz": 7, "day_23_19.gz": 5, "day_23_20": 6}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_days, "LINES_PER_PIECE", PER_PIECE)


@pytest.fixture
def parts(tmp_path: pathlib.Path) -> dict[str, list[str]]:
    """Some files of four days, in the folder `raw`; name -> lines."""
    found = {name: click_logs.lines(count, seed=seed) for seed, (name, count) in enumerate(PARTS.items())}
    for name, lines in found.items():
        click_logs.write(tmp_path / "raw" / name, click_logs.text(lines))
    return found


@pytest.fixture
def all_days(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A folder with all days, as if they were published with so few lines."""
    raw = tmp_path / "raw"
    monkeypatch.setattr(prepare, "NUM_ROWS", click_logs.write_all_days(raw, lines_per_piece=PER_PIECE))
    return raw


def own(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "own"
    folder.mkdir(exist_ok=True)
    return folder


def test_files_become_rows_in_the_splits_that_they_belong_to(
    tmp_path: pathlib.Path, parts: dict[str, list[str]]
) -> None:
    folder = own(tmp_path)
    for hidden in (".day_5.gz", "._day_0_00.gz", "__MACOSX/day_7.gz", "day_4.gz.part", "day_4.zip", "notes.txt"):
        click_logs.write(tmp_path / "raw" / hidden, b"not a click log")
    written = prepare.convert_into(tmp_path / "raw", folder, **PARTIAL)
    assert {split: [file.name for file in found.files] for split, found in written.splits.items()} == {
        "train": ["day_0_00.rows", "day_0_01.rows", "day_3_00.rows"],
        "test": ["day_23_00.rows"],
        "validation": ["day_23_19.rows", "day_23_20.rows"],
    }
    assert {split: found.examples for split, found in written.splits.items()} == {
        "train": 100,
        "test": 7,
        "validation": 11,
    }
    assert written.facts == {"days": "partial"}
    for name, lines in parts.items():
        name = "day_3_00" if name == "day_3" else name.removesuffix(".gz")
        np.testing.assert_array_equal(click_logs.stored(folder, f"{name}.rows"), click_logs.rows(lines))


BROKEN = "\t".join(["1", *["2"] * 13, *["0a0a0a0a"] * 26])
BAD_LINES = {
    BROKEN.removeprefix("1\t"): "number of columns in line 43 of {}: found 39; expected 40 columns between tabs",
    BROKEN.replace("\t2\t", "\t1.5\t", 1): "column 2 of line 43 of {}: found '1.5'; expected an integer of 32 bits",
    BROKEN.replace("0a0a0a0a", "0a0a0a0g", 1): "column 15 of line 43 of {}: found '0a0a0a0g'; expected at most 16 hexa",
    BROKEN.replace("0a0a0a0a", "0A0A0A0A", 1): "column 15 of line 43 of {}: found '0A0A0A0A'; expected at most 16 hexa",
    f"3{BROKEN[1:]}": "column 1 of line 43 of {}: found '3'; expected the label 0 or 1",
    "": "number of columns in line 43 of {}: found 1; expected 40 columns between tabs",
}


@pytest.mark.parametrize(("line", "processes"), [*((line, "1") for line in BAD_LINES), ("", "2")])
def test_a_bad_line_is_named_and_what_is_complete_is_kept(
    tmp_path: pathlib.Path,
    parts: dict[str, list[str]],
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    processes: str,
) -> None:
    monkeypatch.setattr(raw_text, "BLOCK_BYTES", 2_500)
    folder, path = own(tmp_path), tmp_path / "raw" / "day_1.gz"
    lines = click_logs.lines(60)
    click_logs.write(path, click_logs.text([*lines[:42], line, *lines[43:]]))
    with pytest.raises(DataError) as caught:
        prepare.convert_into(tmp_path / "raw", folder, days="partial", processes=processes)
    assert str(caught.value).startswith(BAD_LINES[line].format(path))
    assert "\n" not in str(caught.value)
    before = click_logs.times(folder)
    assert not [name for name in before if name.startswith(("day_1_", ".day_1_"))]
    click_logs.write(path, click_logs.text(lines))
    written = prepare.convert_into(tmp_path / "raw", folder, **PARTIAL)
    assert written.splits["train"].examples == 160
    after = click_logs.times(folder)
    assert before.items() <= after.items()
    if processes == "1":
        assert {"day_0_00.rows", "day_0_01.rows"} <= before.keys()


def test_a_bad_line_of_a_later_piece_keeps_the_earlier_ones(
    tmp_path: pathlib.Path, parts: dict[str, list[str]]
) -> None:
    folder, path = own(tmp_path), tmp_path / "raw" / "day_1"
    lines = click_logs.lines(120)
    for bad, kept in (("x" * len(lines[110]), 2), (lines[110], 3)):
        click_logs.write(path, click_logs.text([*lines[:110], bad, *lines[111:]]))
        if bad is lines[110]:
            before = click_logs.times(folder)
            prepare.convert_into(tmp_path / "raw", folder, **PARTIAL)
            assert before.items() <= click_logs.times(folder).items()
        else:
            with pytest.raises(DataError, match=f"line 111 of {path}"):
                prepare.convert_into(tmp_path / "raw", folder, **PARTIAL)
        assert (
            len([name for name in click_logs.times(folder) if name.startswith("day_1_") and name.endswith(".rows")])
            == kept
        )
    np.testing.assert_array_equal(click_logs.stored(folder, "day_1_02.rows"), click_logs.rows(lines[100:]))


def test_a_changed_file_is_converted_again(tmp_path: pathlib.Path, parts: dict[str, list[str]]) -> None:
    folder = own(tmp_path)
    prepare.convert_into(tmp_path / "raw", folder, **PARTIAL)
    before = click_logs.times(folder)
    lines = click_logs.lines(31, seed=99)
    click_logs.write(tmp_path / "raw" / "day_0_01", click_logs.text(lines))
    written = prepare.convert_into(tmp_path / "raw", folder, **PARTIAL)
    assert written.splits["train"].examples == 101
    np.testing.assert_array_equal(click_logs.stored(folder, "day_0_01.rows"), click_logs.rows(lines))
    changed = {name for name, changed in click_logs.times(folder).items() if before.get(name) != changed}
    assert changed == {"day_0_01.rows", "day_0_01.rows.json"}


def test_parts_of_files_do_not_stay(tmp_path: pathlib.Path, parts: dict[str, list[str]]) -> None:
    part = own(tmp_path) / "day_9_00.rows"
    with rows.writer(part, source={}) as write:
        write(click_logs.rows(parts["day_3"]))
        (left,) = own(tmp_path).iterdir()
        copy = left.read_bytes()
    part.unlink()
    left.write_bytes(copy)
    prepare.convert_into(tmp_path / "raw", own(tmp_path), **PARTIAL)
    assert not left.exists()


def test_moved_files_are_not_converted_again(tmp_path: pathlib.Path, parts: dict[str, list[str]]) -> None:
    prepare.convert_into(tmp_path / "raw", own(tmp_path), **PARTIAL)
    before = click_logs.times(own(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    shutil.move(tmp_path / "raw", tmp_path / "elsewhere" / "days")
    written = prepare.convert_into(tmp_path / "elsewhere", own(tmp_path), **PARTIAL)
    assert written.splits["train"].examples == 100
    assert click_logs.times(own(tmp_path)) == before


def test_all_days_are_checked_and_counted(
    tmp_path: pathlib.Path, all_days: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    written = prepare.convert_into(all_days, own(tmp_path), processes="1")
    assert {split: found.examples for split, found in written.splits.items()} == prepare.NUM_ROWS
    assert written.facts == {"days": "all"}
    assert [file.name for file in written.splits["train"].files][:4] == [
        f"day_{d}_0{p}.rows" for d in (0, 1) for p in (0, 1)
    ]
    assert [file.name for file in written.splits["test"].files] == [f"day_23_{p:02d}.rows" for p in range(19)]
    assert [file.name for file in written.splits["validation"].files] == [f"day_23_{p}.rows" for p in range(19, 36)]
    assert "not comparable" not in caplog.text
    total = sum(prepare.NUM_ROWS.values()) * 160
    assert f"{total / 1e9:.3f} GB of disk space are needed" in caplog.text


def test_other_numbers_of_rows_are_a_warning(
    tmp_path: pathlib.Path, all_days: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    click_logs.write(all_days / "day_4.gz", click_logs.text(click_logs.lines(52)))
    prepare.convert_into(all_days, own(tmp_path), processes="1")
    assert "train has 1,218 rows, not the 1,219 of the published files" in caplog.text


def test_day_23_in_one_file_is_divided_by_lines(
    tmp_path: pathlib.Path, all_days: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    parts = sorted(all_days.glob("day_23_*"))
    click_logs.write(all_days / "day_23.gz", b"".join(path.read_bytes() for path in parts))
    for path in parts:
        path.unlink()
    written = prepare.convert_into(all_days, own(tmp_path), processes="1")
    assert {split: found.examples for split, found in written.splits.items()} == prepare.NUM_ROWS
    assert caplog.text == ""


def test_published_numbers_of_rows() -> None:
    assert prepare.NUM_ROWS == {"train": 4_195_197_692, "validation": 83_274_637, "test": 95_000_000}
    assert prepare.NUM_ROWS["test"] == 19 * 5_000_000
    assert -(-prepare.NUM_ROWS["validation"] // 5_000_000) == 36 - 19


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["-day_7.gz"], "{raw} has no files of day_7; expected days 0 to 23. To prepare only what is there"),
        (["-day_1.gz", "-day_2.gz"], "{raw} has no files of day_1, day_2; expected"),
        (["-day_23_35"], "{raw} lacks day_23_35. To prepare only"),
        (["-day_23_07", "-day_22_00"], "{raw} lacks day_22_00. To prepare only"),
        (["+day_23_36"], "{raw}/day_23_36; expected 36 files of day 23, of 50 lines each except for the last."),
        (["+day_24.gz"], "day of {raw}/day_24.gz: found 24; expected 0 to 23. Move this file"),
        (["+day_0_00"], "{raw}/day_0.gz and {raw}/day_0_00 have the same lines. Move one of them"),
        (["+day_22_01.gz"], "{raw}/day_22_01 and {raw}/day_22_01.gz have the same lines."),
        (["+day_5"], "{raw}/day_5 and {raw}/day_5.gz have the same lines."),
        (["+sub/day_5.gz"], "{raw}/day_5.gz and {raw}/sub/day_5.gz have the same lines."),
    ],
)
def test_missing_and_surplus_files(
    tmp_path: pathlib.Path, all_days: pathlib.Path, change: Sequence[str], message: str
) -> None:
    for each in change:
        if each.startswith("-"):
            (all_days / each[1:]).unlink()
        else:
            click_logs.write(all_days / each[1:], click_logs.text(click_logs.lines(3)))
    with pytest.raises(DataError) as caught:
        prepare.convert_into(all_days, own(tmp_path), processes="1")
    assert str(caught.value).startswith(message.format(raw=all_days))
    assert not list(own(tmp_path).iterdir())


@pytest.mark.parametrize(("count", "found"), [(PER_PIECE - 1, 49), (PER_PIECE + 1, "'more than 50'")])
def test_days_split_after_other_lines_are_an_error(
    tmp_path: pathlib.Path, all_days: pathlib.Path, count: int, found: int | str
) -> None:
    path = click_logs.write(all_days / "day_23_02", click_logs.text(click_logs.lines(count)))
    for _ in range(2):
        with pytest.raises(DataError, match=f"number of lines in {path}: found {found}; expected 50"):
            prepare.convert_into(all_days, own(tmp_path), processes="1")
    click_logs.write(path, click_logs.text(click_logs.lines(PER_PIECE)))
    prepare.convert_into(all_days, own(tmp_path), processes="1")


def test_a_short_file_of_a_partial_set_is_an_error_of_the_full_one(
    tmp_path: pathlib.Path, all_days: pathlib.Path
) -> None:
    path = click_logs.write(all_days / "day_23_02", click_logs.text(click_logs.lines(4)))
    prepare.convert_into(all_days, own(tmp_path), **PARTIAL)
    with pytest.raises(DataError, match=f"number of lines in {path}: found 4; expected 50"):
        prepare.convert_into(all_days, own(tmp_path), processes="1")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "no files of the Criteo 1TB click logs in"),
        (["day_0_00"], "has no lines for validation and test"),
        (["day_0_00", "day_23_18"], "has no lines for validation"),
        (["day_23"], "has no lines for train"),
        (["day_0", "day_23"], "has no lines for validation"),
    ],
)
def test_a_partial_set_has_all_splits(tmp_path: pathlib.Path, names: Sequence[str], message: str) -> None:
    (tmp_path / "raw").mkdir()
    for name in names:
        click_logs.write(tmp_path / "raw" / name, click_logs.text(click_logs.lines(3)))
    with pytest.raises(DataError, match=message):
        prepare.convert_into(tmp_path / "raw", own(tmp_path), **PARTIAL)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"days": "some"}, "--option days: found 'some'; expected all or partial"),
        ({"processes": "0"}, "--option processes: found '0'; expected a number of processes, at least 1"),
        ({"processes": "two"}, "--option processes: found 'two'"),
    ],
)
def test_options_are_checked(tmp_path: pathlib.Path, options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        prepare.convert_into(tmp_path, tmp_path, **options)
    with pytest.raises(ConfigError, match=message):
        prepare.check(tmp_path, **options)


def test_force_without_an_option_keeps_the_partial_data(
    tmp_path: pathlib.Path, parts: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["criteo1tb", f"--data_dir={tmp_path / 'data'}", f"--from={tmp_path / 'raw'}"]
    assert command.main([*arguments, "--option=days=partial", "--option=processes=1"]) == 0
    assert command.main([*arguments, "--force"]) == 2
    assert "has no files of day_1," in capsys.readouterr().err
    assert prepared.load(tmp_path / "data", prepare.DATASET).num_examples("train") == 100


@pytest.mark.parametrize("name", ["day_1_00", "day_1_00.gz"])
def test_an_empty_file_is_an_error_that_names_it(
    tmp_path: pathlib.Path, parts: dict[str, list[str]], name: str
) -> None:
    path = click_logs.write(tmp_path / "raw" / name, b"")
    path.write_bytes(b"")
    with pytest.raises(DataError, match=f"{path} is empty"):
        prepare.convert_into(tmp_path / "raw", own(tmp_path), **PARTIAL)


def test_a_full_disk_is_an_error_that_names_the_file(
    tmp_path: pathlib.Path, parts: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    path = tmp_path / "raw" / "day_0_00.gz"
    with pytest.raises(
        DataError, match=rf"converting {path} failed \(\[Errno 28\] No space left on device\)\. Fix this"
    ):
        prepare.convert_into(tmp_path / "raw", own(tmp_path), **PARTIAL)
    assert not list(own(tmp_path).iterdir())
    monkeypatch.undo()
    monkeypatch.setattr(raw_days, "LINES_PER_PIECE", PER_PIECE)
    prepare.convert_into(tmp_path / "raw", own(tmp_path), **PARTIAL)


class TestDiskSpace:
    def test_too_little_is_an_error_before_anything_is_written(
        self, tmp_path: pathlib.Path, parts: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        needed = sum(PARTS.values()) * 160
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, needed - 1))  # pyright: ignore
        message = f"0.000 GB of disk space are needed in {own(tmp_path)}, 0.000 GB are free. Free some"
        with pytest.raises(DataError, match=message):
            prepare.convert_into(tmp_path / "raw", own(tmp_path), **PARTIAL)
        assert not list(own(tmp_path).iterdir())
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, needed))  # pyright: ignore
        prepare.convert_into(tmp_path / "raw", own(tmp_path), **PARTIAL)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 0))  # pyright: ignore
        prepare.convert_into(tmp_path / "raw", own(tmp_path), **PARTIAL)

    def test_the_full_set_needs_700_gigabytes(self, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("INFO")
        job = conversion.Job(raw_days.RawFile(tmp_path / "day_0.gz", 0, None), tmp_path, 5_000_000, must_be_full=False)
        kept = {job.file: [5_000_000, 5_000_000]}
        needed = prepare.needed_bytes([job], kept, is_partial=False)
        assert needed == (4_195_197_692 + 83_274_637 + 95_000_000 - 10_000_000) * 160
        prepare.check_space(needed, needed, tmp_path)
        assert caplog.messages == [
            f"698.156 GB of disk space are needed in {tmp_path}, 698.156 GB are free",
        ]
        with pytest.raises(DataError, match=r"698\.156 GB of disk space are needed in .*, 698\.156 GB are free"):
            prepare.check_space(needed, needed - 1, tmp_path)

    @pytest.mark.parametrize("name", ["day_0_00.gz", "day_0_00"])
    def test_rows_are_estimated_from_the_beginning_of_a_file(
        self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        monkeypatch.setattr(raw_text, "READ_BYTES", 4_000)
        path = click_logs.write(tmp_path / name, click_logs.text(click_logs.lines(300)))
        job = conversion.Job(raw_days.RawFile(path, 0, 0), tmp_path, 5_000_000, must_be_full=False)
        assert prepare.needed_bytes([job], {job.file: []}, is_partial=True) / 160 == pytest.approx(300, rel=0.1)


@pytest.mark.skipif("ALGOPERF_TEST_DATA" not in os.environ, reason="needs ALGOPERF_TEST_DATA")
def test_the_command_prepares_the_synthetic_logs(
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(raw_days, "LINES_PER_PIECE", 5_000_000)
    raw = pathlib.Path(os.environ["ALGOPERF_TEST_DATA"]) / "criteo_synthetic"
    arguments = ["criteo1tb", f"--data_dir={tmp_path}", f"--from={raw}", "--option=processes=1"]
    assert command.main(arguments) == 2
    assert "has no files of day_3, day_4, day_5, day_6, day_7 and 15 more" in capsys.readouterr().err
    arguments.append("--option=days=partial")
    assert command.main(arguments) == 0
    out = capsys.readouterr().out
    assert out.endswith(f"is ready in {tmp_path} (train: 48,000, test: 4,000, validation: 4,000)\n")
    data = prepared.load(tmp_path, prepare.DATASET)
    assert data.facts == {"days": "partial"}
    assert command.main(arguments) == 0
    assert "is already prepared" in capsys.readouterr().out
