"""Every command line that a document shows is one that the command takes, with files that exist."""

import pathlib
import shutil
from collections.abc import Iterator

import pytest

from algoperf_jax.errors import ConfigError
from tests import document_commands
from tests.document_commands import Command
from tests.test_documents import DOCUMENTS, ROOT, identify

SUBMISSIONS = {
    "my_optimizer.py": "optax_factory.py",
    "my_submission.py": "five_functions_jax.py",
    "my_torch_submission.py": "five_functions_pytorch.py",
    "submissions_algorithms/submissions/self_tuning/muon/submission.py": "five_functions_jax.py",
    "search_space.json": "search_space.json",
}
"""What documents call a file of the reader -> the example that stands for it here."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    """A reader's working folder: the project's, with files of the reader's own."""
    folder = tmp_path_factory.mktemp("reader")
    for name in ("algoperf_jax", "configs", "examples"):
        (folder / name).symlink_to(ROOT / name)
    for name, example in SUBMISSIONS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "examples" / example, folder / name)
    for language, body in document_commands.FENCE.findall((ROOT / "docs/tuning.md").read_text()):
        if language == "python" and "def get_config" in body:
            (folder / "my_config.py").write_text(body)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


@pytest.mark.parametrize("document", DOCUMENTS, ids=identify)
def test_commands_are_taken(document: pathlib.Path, folder: pathlib.Path) -> None:
    del folder
    for line in document_commands.shown(document):
        for part in document_commands.expanded(line):
            command = document_commands.command(part)
            if command is not None:
                document_commands.parse(command)


def test_the_documents_show_many_commands() -> None:
    found = [line for document in DOCUMENTS for line in document_commands.shown(document, inline=False)]
    assert len(found) > 60
    modules = {command.module for line in found if (command := document_commands.command(line)) is not None}
    assert {"algoperf_jax.main", "algoperf_jax.bench", "algoperf_jax.dry_run", "algoperf_jax.prepare"} <= modules
    assert {"algoperf_jax.new", "algoperf_jax.check_submission", "scoring"} <= modules


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("python -m algoperf_jax.main --config=mnist --config.sede=3", ConfigError),
        ("python -m algoperf_jax.main --config=no_such_file.py", ConfigError),
        ("python -m algoperf_jax.main --config=mnist --config.submission=no_such_file.py", AssertionError),
        ("algoperf bench --config=mnist --step=3", ConfigError),
        ("algoperf dry-run --config.submission=adamw --workloads=nist", ConfigError),
        ("python -m algoperf_jax.no_such_command", ModuleNotFoundError),
        ("make no_such_target", AssertionError),
        ('pip install -e ".[no_such_extra]"', AssertionError),
        ("python examples/no_such_file.py", AssertionError),
    ],
)
def test_a_wrong_command_is_found(line: str, error: type[Exception], folder: pathlib.Path) -> None:
    del folder
    with pytest.raises(error):
        parse(line)


def parse(line: str) -> None:
    (part,) = document_commands.expanded(line)
    command = document_commands.command(part)
    assert isinstance(command, Command)
    document_commands.parse(command)
