"""The names by which a submission's files import each other resolve to the files."""

import pathlib

import pytest

from algoperf_jax.submission import source_files


def write(folder: pathlib.Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


ENTRY = "leaderboard/self_tuning/method/submission.py"


@pytest.mark.parametrize(
    ("statement", "meant"),
    [
        ("import rule", "leaderboard/self_tuning/method/rule.py"),
        ("from parts.rule import x", "leaderboard/self_tuning/method/parts/rule.py"),
        ("from parts import rule", "leaderboard/self_tuning/method/parts/rule.py"),
        ("from .rule import x", "leaderboard/self_tuning/method/rule.py"),
        ("from . import rule", "leaderboard/self_tuning/method/rule.py"),
        ("from ..shared import x", "leaderboard/self_tuning/shared.py"),
        ("def late():\n  import rule", "leaderboard/self_tuning/method/rule.py"),
        ("from leaderboard.self_tuning.method.rule import x", "leaderboard/self_tuning/method/rule.py"),
        ("from mounted.self_tuning.method.rule import x", "leaderboard/self_tuning/method/rule.py"),
        ("from submissions_v9.Team_1.self_tuning.method.rule import x", "leaderboard/self_tuning/method/rule.py"),
        ("from submissions_v9.other_name.parts.rule import x", "leaderboard/self_tuning/method/parts/rule.py"),
    ],
)
def test_a_file_is_found_by_each_of_its_names(tmp_path: pathlib.Path, statement: str, meant: str) -> None:
    write(tmp_path, {ENTRY: statement, "leaderboard/self_tuning/shared.py": ""})
    write(tmp_path / "leaderboard/self_tuning/method", {"rule.py": "", "parts/rule.py": ""})
    files = source_files.collect(tmp_path / ENTRY)
    assert tmp_path / meant in files.trees


@pytest.mark.parametrize(
    "statement",
    [
        "import utils",  # no file of this name
        "import haiku.rule",  # not installed, and not about submissions
        "from json import rule",
        "import jax",  # an installed library, though a folder has its name
        "from algoperf import spec",
        "import workloads",
    ],
)
def test_the_names_of_others_are_left_to_them(tmp_path: pathlib.Path, statement: str) -> None:
    write(tmp_path, {ENTRY: statement, "leaderboard/self_tuning/method/rule.py": "", "leaderboard/jax/x.py": ""})
    write(tmp_path, {"leaderboard/workloads/x.py": "", "leaderboard/algoperf/spec.py": ""})
    files = source_files.collect(tmp_path / ENTRY)
    assert list(files.trees) == [tmp_path / ENTRY]
    assert not files.aliases
    assert files.imported_libraries() == {statement.split()[1].partition(".")[0]}


def test_names_of_a_mounting_place_lead_to_the_files(tmp_path: pathlib.Path) -> None:
    write(tmp_path, {ENTRY: "from mounted.at.self_tuning.method import rule"})
    write(tmp_path, {"leaderboard/self_tuning/method/rule.py": ""})
    aliases = source_files.collect(tmp_path / ENTRY).aliases
    assert aliases["mounted"] is aliases["mounted.at"] is None
    assert aliases["mounted.at.self_tuning.method.rule"] == tmp_path / "leaderboard/self_tuning/method/rule.py"


def test_a_file_that_imports_another_from_its_own_folder(tmp_path: pathlib.Path) -> None:
    write(tmp_path, {ENTRY: "import parts.first", "leaderboard/self_tuning/method/parts/first.py": "import second"})
    write(tmp_path, {"leaderboard/self_tuning/method/parts/second.py": "import torch"})
    files = source_files.collect(tmp_path / ENTRY)
    assert [path.name for path in files.trees] == ["submission.py", "first.py", "second.py"]
    assert "torch" in files.imported_libraries()
    assert "torch" not in files.imported_libraries(files.entry)


def test_names_read_and_called_are_collected(tmp_path: pathlib.Path) -> None:
    write(tmp_path, {ENTRY: "import jax\nfrom jax import pmap\njax.tree_map(f, jnp.clip(x, a_min=0))"})
    files = source_files.collect(tmp_path / ENTRY)
    assert {"jax.tree_map", "jax.pmap", "jnp.clip"} <= files.attributes()
    assert files.keywords("clip") == {"a_min"}


def test_a_file_that_cannot_be_parsed_is_left_to_the_import(tmp_path: pathlib.Path) -> None:
    write(tmp_path, {ENTRY: "import rule", "leaderboard/self_tuning/method/rule.py": "def"})
    files = source_files.collect(tmp_path / ENTRY)
    assert list(files.trees) == [tmp_path / ENTRY]


@pytest.mark.parametrize("reference", [ENTRY, "leaderboard/self_tuning/method", "leaderboard/self_tuning/method/"])
def test_a_reference_is_a_file_or_its_folder(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, reference: str
) -> None:
    write(tmp_path, {ENTRY: ""})
    monkeypatch.chdir(tmp_path)
    assert source_files.find(reference) == tmp_path / ENTRY
    assert source_files.find("nadamw") is None
    assert source_files.find("leaderboard/none.py") is None
