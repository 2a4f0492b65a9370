import gzip
import os
import pathlib
import pickle
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable

import numpy as np
import pytest

from algoperf_jax.errors import DataError
from tests.test_documents import ROOT
from tests.workloads.criteo1tb import click_logs
from workloads.criteo1tb import conversion, raw_days, raw_text, rows

PER_PIECE = 50


def job_of(path: pathlib.Path, day: int, piece: int | None = None, *, must_be_full: bool = False) -> conversion.Job:
    """What converts a file into the folder `own` beside it."""
    folder = path.parent / "own"
    folder.mkdir(exist_ok=True)
    return conversion.Job(raw_days.RawFile(path, day, piece), folder, PER_PIECE, must_be_full=must_be_full)


@pytest.mark.parametrize("count", [1, 49, 50, 51, 100, 120])
def test_a_day_in_one_file_is_cut(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    # Blocks end within pieces, and pieces within blocks.
    monkeypatch.setattr(raw_text, "BLOCK_BYTES", 2_500)
    lines = click_logs.lines(count)
    path = click_logs.write(tmp_path / "day_2.gz", click_logs.text(lines))
    job = job_of(path, 2)
    assert not conversion.is_complete(job)
    counts = conversion.convert(job)
    assert counts == [len(lines[first : first + PER_PIECE]) for first in range(0, count, PER_PIECE)]
    found = [click_logs.stored(job.folder, f"day_2_{piece:02d}.rows") for piece in range(len(counts))]
    np.testing.assert_array_equal(np.concatenate(found), click_logs.rows(lines))
    assert conversion.kept(job) == counts
    # Nothing says that a day has ended that may go on.
    assert conversion.is_complete(job) == (count % PER_PIECE != 0)
    before = click_logs.times(job.folder)
    assert conversion.convert(job) == counts
    assert click_logs.times(job.folder) == before


@pytest.mark.parametrize(
    ("content", "count"),
    [
        (lambda text: text.replace(b"\n", b"\r\n"), 20),
        (lambda text: text.removesuffix(b"\n"), 20),
        (lambda text: text.replace(b"\n", b"\r\n").removesuffix(b"\r\n"), 20),
        (lambda text: gzip.compress(text) + gzip.compress(text), 40),
        (lambda text: gzip.compress(text) + bytes(100), 20),
    ],
    ids=["CRLF", "no end", "CRLF, no end", "two members", "zeros behind"],
)
@pytest.mark.parametrize("library", ["isal", "zlib"])
def test_ways_to_store_the_same_lines(
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    content: Callable[[bytes], bytes],
    count: int,
    library: str,
) -> None:
    if library == "zlib":
        monkeypatch.setattr(raw_text, "decompression", zlib)
    else:
        assert raw_text.decompression.__name__ == "isal.isal_zlib"
    lines = click_logs.lines(20)
    path = click_logs.write(tmp_path / "day_1_05", content(click_logs.text(lines)))
    job = job_of(path, 1, 5)
    assert conversion.convert(job) == [count]
    expected = np.tile(click_logs.rows(lines), (count // 20, 1))
    np.testing.assert_array_equal(click_logs.stored(job.folder, "day_1_05.rows"), expected)


@pytest.mark.parametrize("library", ["isal", "zlib"])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda stored: stored[: len(stored) // 2], "is truncated: its compressed data do not end after line "),
        (lambda stored: stored[:-4], "is truncated: its compressed data do not end after line 120"),
        (lambda stored: stored[:5], "is truncated: its compressed data do not end. Get the file again."),
        (lambda stored: stored[:-8] + bytes(8), "cannot be decompressed ("),
        (lambda stored: stored + b"anything", "has other bytes behind its compressed data after line 120"),
        (lambda stored: b"", "is empty. Get the file again."),
        (lambda stored: gzip.compress(b""), "is empty. Get the file again."),
        (lambda stored: gzip.compress(bytes(1 << 17)), "has a line of more than 65,536 bytes"),
    ],
    ids=["half", "checksum", "header", "other checksum", "more", "empty", "empty content", "no lines"],
)
def test_damaged_files_are_named(
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    damage: Callable[[bytes], bytes],
    message: str,
    library: str,
) -> None:
    if library == "zlib":
        monkeypatch.setattr(raw_text, "decompression", zlib)
    path = tmp_path / "day_2.gz"
    path.write_bytes(damage(gzip.compress(click_logs.text(click_logs.lines(120)))))
    job = job_of(path, 2)
    with pytest.raises(DataError) as caught:
        conversion.convert(job)
    assert str(caught.value).startswith(f"{path} {message}")
    if "checksum" in message or "cannot be decompressed" in message:
        assert conversion.kept(job) == [], "no line of such a file can be trusted"


def test_a_file_whose_checksum_is_wrong_is_not_complete(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "day_2_00.gz"
    path.write_bytes(gzip.compress(click_logs.text(click_logs.lines(PER_PIECE)))[:-8] + bytes(8))
    job = job_of(path, 2, 0, must_be_full=True)
    with pytest.raises(DataError, match="cannot be decompressed"):
        conversion.convert(job)
    assert click_logs.times(job.folder) == {}


def path_of_the_project(*before: pathlib.Path) -> dict[str, str]:
    """The environment of processes that import this project."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(str(path) for path in (*before, ROOT))}


def test_a_process_whose_parent_is_gone_stops(tmp_path: pathlib.Path) -> None:
    job = job_of(click_logs.write(tmp_path / "day_3", click_logs.text(click_logs.lines(20))), 3)
    call = "import sys, pickle; function, request = pickle.load(sys.stdin.buffer); function(request, [0] * 9)"
    for parent, code in ((os.getpid(), 0), (os.getppid(), 1)):
        request = pickle.dumps((conversion._convert_for_parent, conversion._Request(job, parent)))
        ran = subprocess.run([sys.executable, "-c", call], input=request, env=path_of_the_project(), check=False)
        assert ran.returncode == code
        assert (rows.complete(job.folder / "day_3_00.rows") is None) == (code == 1)
        for path in job.folder.iterdir():
            path.unlink()


PROGRAM = """
import sys
from algoperf_jax import prepare
from workloads.criteo1tb import raw_days

raw_days.LINES_PER_PIECE = 50
sys.exit(prepare.main(["criteo1tb", "--option=days=partial", *sys.argv[1:]]))
"""
SLOW = """
import time
from workloads.criteo1tb import parsing

parse = parsing.parse

def parse_slowly(text):
    time.sleep(0.1)
    return parse(text)

parsing.parse = parse_slowly
"""
"""As `sitecustomize`, this is imported by the process and by those that it starts."""


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_killed_preparation_continues_with_what_is_missing(tmp_path: pathlib.Path, processes: int) -> None:
    raw, data_dir = tmp_path / "raw", tmp_path / "data"
    click_logs.write(raw / "day_0.gz", click_logs.text(click_logs.lines(430)))
    for piece in range(15, 24):
        click_logs.write(raw / f"day_23_{piece}", click_logs.text(click_logs.lines(20, seed=piece)))
    click_logs.write(tmp_path / "slow" / "sitecustomize.py", SLOW.encode())
    program = [sys.executable, "-c", PROGRAM, f"--from={raw}", f"--option=processes={processes}"]
    slow = path_of_the_project(tmp_path / "slow")
    process = subprocess.Popen([*program, f"--data_dir={data_dir}"], env=slow, stdout=subprocess.DEVNULL)
    own = data_dir / "criteo1tb"
    deadline = time.monotonic() + 300
    while len(list(own.glob("*.rows.json"))) < 4:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    complete = {path.name.removesuffix(".json"): path.stat().st_mtime_ns for path in own.glob("*.rows.json")}
    assert 4 <= len(complete) < 12
    command = [*program, f"--data_dir={data_dir}"]
    again = subprocess.run(command, env=path_of_the_project(), capture_output=True, text=True, check=True)
    assert "is ready" in again.stdout
    # A process may have completed its file after it was seen, but nothing was made twice.
    for name, changed in complete.items():
        assert (own / f"{name}.json").stat().st_mtime_ns == changed
    subprocess.run(
        [*program, f"--data_dir={tmp_path / 'other'}"],
        env=path_of_the_project(),
        capture_output=True,
        check=True,
    )
    expected = {path.name: path.read_bytes() for path in (tmp_path / "other" / "criteo1tb").iterdir()}
    assert {path.name: path.read_bytes() for path in own.iterdir()} == expected
    assert len(expected) == 2 * (9 + 9) + 1
