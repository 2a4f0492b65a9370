"""Submissions of a few lines, and the findings in them."""

import pathlib
from collections.abc import Callable

import pytest

from algoperf_jax.rule_check.findings import Finding
from algoperf_jax.rule_check.static import static_report
from algoperf_jax.submission.locate import locate
from tests.algoperf_jax.conftest import FIVE_FUNCTIONS

Write = Callable[..., pathlib.Path]
Found = Callable[..., tuple[Finding, ...]]


@pytest.fixture
def write(tmp_path: pathlib.Path) -> Write:
    """Writes a submission with the five functions and additional code, and other files next to it."""

    def write(addition: str = "", *, base: str = FIVE_FUNCTIONS, **files: str) -> pathlib.Path:
        folder = tmp_path / "algorithm"
        folder.mkdir(exist_ok=True)
        for name, text in {"submission": f"{base}\n{addition}\n", **files}.items():
            (folder / (name if "." in name else f"{name}.py")).write_text(text)
        return folder / "submission.py"

    return write


@pytest.fixture
def found(write: Write) -> Found:
    """The findings in a submission."""
    return lambda addition="", **files: static_report(locate(str(write(addition, **files)))).findings
