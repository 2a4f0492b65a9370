import io
import pathlib
import tarfile

import pytest

from algoperf_jax.data import raw_files
from algoperf_jax.errors import DataError


def touch(folder: pathlib.Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def test_the_first_pattern_and_the_nearest_file_come_first(tmp_path: pathlib.Path) -> None:
    touch(tmp_path, "a/b/x.bin", "a/x.bin", "y.bin")
    assert raw_files.find(tmp_path, "x.bin", "y.bin") == tmp_path / "a" / "x.bin"
    assert raw_files.find(tmp_path, "z.bin", "y.*") == tmp_path / "y.bin"
    assert raw_files.find(tmp_path, "z.bin", "a") is None
    found = raw_files.find_all(tmp_path, "y.bin", "*.bin")
    assert [str(path.relative_to(tmp_path)) for path in found] == ["y.bin", "a/x.bin", "a/b/x.bin"]


def test_hidden_files_are_passed_over_unless_the_folder_itself_is_hidden(tmp_path: pathlib.Path) -> None:
    root = tmp_path / ".cache"
    touch(root, "a/x.bin", ".git/x.bin", "a/.ipynb_checkpoints/x.bin", "__MACOSX/x.bin", "a/._x.bin")
    assert raw_files.find_all(root, "*.bin") == [root / "a" / "x.bin"]


def test_unfinished_downloads_are_not_archives(tmp_path: pathlib.Path) -> None:
    touch(tmp_path, "x.tar", "x.tgz", "x.tar.gz.part", "x.tar.gz.part.json", "x.tar.xz.crdownload", "x.txt")
    assert [path.name for path in raw_files.archives(tmp_path, "x")] == ["x.tar", "x.tgz"]


def test_hidden_members_are_passed_over(tmp_path: pathlib.Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for name in ("./a/x", "./a/._x", "__MACOSX/a/x", ".git/x"):
            member = tarfile.TarInfo(name)
            member.size = 1
            archive.addfile(member, io.BytesIO(b"x"))
    assert list(raw_files.members(tmp_path / "x.tar")) == [("./a/x", b"x")]


def test_members_can_be_chosen_by_name(tmp_path: pathlib.Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for name in ("a.txt", "b.bin", "c/d.txt"):
            member = tarfile.TarInfo(name)
            member.size = 1
            archive.addfile(member, io.BytesIO(b"x"))
    found = raw_files.members(tmp_path / "x.tar", lambda name: name.endswith(".txt"))
    assert [name for name, _ in found] == ["a.txt", "c/d.txt"]


@pytest.mark.parametrize("suffix", ["gz", "xz", "bz2"])
def test_a_damaged_archive(tmp_path: pathlib.Path, suffix: str) -> None:
    path = tmp_path / f"x.tar.{suffix}"
    with tarfile.open(path, f"w:{suffix}") as archive:  # pyright: ignore[reportCallIssue, reportArgumentType] -- a mode
        member = tarfile.TarInfo("x")
        member.size = 3000
        archive.addfile(member, io.BytesIO(bytes(range(250)) * 12))
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 255
    for content in (b"", whole[:-5], bytes(flipped)):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"cannot be unpacked .* Download it again"):
            list(raw_files.members(path))
