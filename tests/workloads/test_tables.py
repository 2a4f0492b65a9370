"""The generated tables are up to date, and writing them changes nothing else."""

import pathlib

import pytest

import workloads
from algoperf_jax.errors import ConfigError
from workloads import tables


def test_the_tables_are_up_to_date() -> None:
    assert tables.stale() == [], "run: python -m workloads.tables --write"


def test_every_name_has_a_row() -> None:
    rows = [line.split("`")[1] for line in tables.overview().splitlines() if line.startswith("| `")]
    assert sorted(rows) == list(workloads.names())


@pytest.fixture
def root(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A tree with the markers around each table, but without rows."""
    for name in tables.DOCUMENTS:
        document = tmp_path / name
        document.parent.mkdir(exist_ok=True)
        document.write_text(f"before\n{tables.BEGIN}\nold\n{tables.END}\nafter\n")
    targets = tmp_path / tables.BUILTIN_TARGETS
    targets.parent.mkdir(parents=True)
    targets.write_text("{}")
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    return tmp_path


def test_what_is_stale_is_named_and_written(root: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tables.main(["--check"]) == 1
    files = [tables.BUILTIN_TARGETS, *tables.DOCUMENTS]
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(" is not up to date")[0] for line in lines] == files
    assert tables.main(["--write"]) == 0
    assert tables.main(["--check"]) == 0
    for name, table in tables.DOCUMENTS.items():
        assert (root / name).read_text() == f"before\n{tables.BEGIN}\n\n{table()}\n{tables.END}\nafter\n"


def test_a_document_without_markers_is_an_error(root: pathlib.Path) -> None:
    (root / "docs/workloads.md").write_text("nothing generated")
    with pytest.raises(ConfigError, match=r"table of workloads in docs/workloads\.md; expected the lines <!--"):
        tables.generated()
