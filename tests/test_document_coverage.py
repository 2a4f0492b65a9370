"""Every command and snippet of the documents is run, or is listed with the reason why no test runs it."""

import ast
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from algoperf_jax.tuning import search_space
from tests import document_commands, document_coverage, document_walks
from tests.document_commands import Command
from tests.document_coverage import ELSEWHERE, EXEMPT, coverage, normal
from tests.test_documents import DOCUMENTS, LANGUAGES, ROOT, identify

LINES = {identify(document): [line for line, _ in document_coverage.commands(document)] for document in DOCUMENTS}


@pytest.mark.parametrize("document", LINES)
def test_every_command_is_run_or_exempt(document: str) -> None:
    of_walks = document_coverage.walked()
    assert [line for line in LINES[document] if coverage(line, of_walks) is None] == []


def test_a_new_command_is_neither() -> None:
    of_walks = document_coverage.walked()
    for line in ("docker ps", "pip install torch", "python -m algoperf_jax.main --config=mnist --config.seed=77"):
        assert coverage(line, of_walks) is None, line


def test_the_tables_have_no_row_too_many() -> None:
    shown = {normal(line) for lines in LINES.values() for line in lines}
    assert {*ELSEWHERE, *EXEMPT} - shown == set()
    assert {*ELSEWHERE} & {*EXEMPT} == set()


def test_the_tests_that_the_table_names_exist() -> None:
    for test in {*ELSEWHERE.values()}:
        file, _, name = test.partition("::")
        functions = [
            node.name for node in ast.parse((ROOT / file).read_text()).body if isinstance(node, ast.FunctionDef)
        ]
        assert name in functions, test


def test_the_list_has_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert document_coverage.main([]) == 0
    out = capsys.readouterr().out
    assert all(f"  {normal(line)}\n" in out for lines in LINES.values() for line in lines)
    assert {*document_coverage._SNIPPETS} == {*LANGUAGES} - {"sh"}


PACKAGES = {path.parent.name for path in ROOT.glob("*/__init__.py")}
MODULES = sorted(
    {
        command.module
        for lines in LINES.values()
        for line in lines
        if (command := document_commands.command(line)) is not None and not command.arguments
    }
)


@pytest.mark.parametrize("module", MODULES)
def test_commands_that_are_only_named_give_help(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = document_walks.run(Command(module, ("--help",)))
    except SystemExit as end:
        code = end.code
    assert code == 0
    assert "usage: " in capsys.readouterr().out


def test_search_spaces_can_be_read(tmp_path: pathlib.Path) -> None:
    found = 0
    for document in DOCUMENTS:
        for language, body in document_commands.FENCE.findall(document.read_text()):
            if language == "json":
                (tmp_path / "search_space.json").write_text(body)
                points = search_space.read(str(tmp_path / "search_space.json")).points(2, 0)
                assert [sorted(point) for point in points] == [["learning_rate", "weight_decay"]] * 2
                found += 1
    assert found >= 3


def test_an_environment_is_made_and_activated(tmp_path: pathlib.Path) -> None:
    # Without pip, which takes seconds to install.
    line = "python3 -m venv --without-pip .venv && . .venv/bin/activate && command -v python"
    path = os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["sh", "-c", line], cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{tmp_path / '.venv/bin/python'}\n"


def test_the_commands_for_style_change_a_file(tmp_path: pathlib.Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "style.py").write_text("import os\n\nx = {  'a':1 }\n")
    for command in ("format", "check --fix"):
        ruff = [sys.executable, "-m", "ruff", *command.split(), "--no-cache"]
        subprocess.run(ruff, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "style.py").read_text() == '\nx = {"a": 1}\n'


def test_the_image_has_all_that_its_packages_import() -> None:
    lines = (ROOT / "docker/Dockerfile").read_text().splitlines()
    copied = {line.split()[1] for line in lines if line.startswith("COPY")} & PACKAGES
    sources = [path.read_text() for package in copied for path in (ROOT / package).rglob("*.py")]
    imported = {name for source in sources for name in re.findall(r"^ *(?:from|import) (\w+)", source, re.MULTILINE)}
    assert "algoperf_jax" in copied
    assert imported & PACKAGES == copied


def test_a_target_of_make_is_what_it_runs() -> None:
    assert document_commands.expanded("make train") == (
        ".venv/bin/python -m algoperf_jax.main --config=configs/ogbg.py",
    )
    assert document_commands.expanded('make train ARGS="--config=mnist"') == (
        ".venv/bin/python -m algoperf_jax.main --config=mnist",
    )
    assert normal(document_commands.expanded("make docs")[1]) == "python -m mkdocs build --strict"
