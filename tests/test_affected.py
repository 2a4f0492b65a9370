"""Which tests a change affects."""

import pathlib

import pytest

from tests import affected as command
from tests.affected import ROOT, affected, import_graph

GRAPH = {
    "pkg/low.py": set[str](),
    "pkg/middle.py": {"pkg/low.py"},
    "tests/support.py": {"pkg/middle.py"},
    "tests/pkg/test_low.py": {"pkg/middle.py"},
    "tests/test_direct.py": {"pkg/low.py"},
    "tests/test_far.py": {"tests/support.py"},
    "tests/test_other.py": set[str](),
}


def test_the_mirror_comes_first_then_nearer_importers() -> None:
    assert affected(["pkg/low.py"], GRAPH, steps=0) == ["tests/pkg/test_low.py"]
    assert affected(["pkg/low.py"], GRAPH, steps=1) == ["tests/pkg/test_low.py", "tests/test_direct.py"]
    assert affected(["pkg/low.py"], GRAPH, steps=3)[2:] == ["tests/test_far.py"]


def test_changed_tests_run_and_other_files_ask_for_none() -> None:
    assert affected(["tests/test_other.py", "README.md"], GRAPH, steps=9) == ["tests/test_other.py"]


def test_all_forms_of_imports_count(tmp_path: pathlib.Path) -> None:
    (tmp_path / "pkg").mkdir()
    for name in ("__init__", "one", "two", "three"):
        (tmp_path / "pkg" / f"{name}.py").write_text("")
    (tmp_path / "pkg" / "all.py").write_text(
        "import pkg.one\nfrom pkg import two\ndef f():\n  from pkg.three import x\n"
    )
    imported = {f"pkg/{name}.py" for name in ("__init__", "one", "two", "three")}
    assert import_graph(tmp_path)["pkg/all.py"] == imported


def test_the_graph_of_this_project_has_its_tests() -> None:
    assert "tests/affected.py" in import_graph(ROOT)["tests/test_affected.py"]


def test_the_command_lists_tests(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(command, "changed_files", lambda since: asked.append(since) or ["pkg/low.py"])
    monkeypatch.setattr(command, "import_graph", lambda root: GRAPH)
    command.main(["--steps=2"])
    assert capsys.readouterr().out.split() == ["tests/pkg/test_low.py", "tests/test_direct.py", *command.ALWAYS]
    assert asked == ["main"]
