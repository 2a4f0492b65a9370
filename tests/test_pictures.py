"""The pictures of the documents come from runs, here of two steps."""

import pathlib
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any

import pytest
from PIL import Image

from algoperf_jax import main
from docs.generate import pictures
from tests import document_commands
from tests.document_commands import Command
from tests.document_walks import run
from tests.narrow_workloads import narrow
from tests.test_documents import ROOT

SUBPROCESS_RUN = subprocess.run


def trained(command: Sequence[str]) -> Command | None:
    """The command that trains, if this is one."""
    is_training = [*command[:3]] == pictures._TRAIN
    return Command("algoperf_jax.main", tuple(command[3:])) if is_training else None


def test_every_trial_is_one_that_the_command_takes(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[Sequence[str]] = []
    monkeypatch.setattr(pictures.subprocess, "run", lambda command, **_: commands.append(command))
    monkeypatch.chdir(ROOT)
    pictures.run(tmp_path)
    assert len(commands) == 9
    for command in commands:
        found = trained(command)
        assert found is not None
        document_commands.parse(found)


@pytest.mark.slow
def test_the_pictures_come_from_runs(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_here(command: Sequence[str], **options: Any) -> Any:
        found = trained(command)
        if found is None:
            return SUBPROCESS_RUN(command, **options)
        assert run(found) == 0
        return None

    monkeypatch.chdir(ROOT)
    # Signals belong to the test runner.
    monkeypatch.setattr(main, "StopOnSignal", lambda: lambda: False)
    monkeypatch.setattr(pictures.subprocess, "run", run_here)
    monkeypatch.setattr(pictures, "_SUBMISSIONS", {name: pictures._SUBMISSIONS[name] for name in ("nadamw", "lion")})
    monkeypatch.setattr(pictures, "_WORKLOADS", ("configs/mnist.py",))
    if not any(map(shutil.which, pictures._BROWSERS)):
        monkeypatch.setattr(pictures, "_screenshot", lambda page: page.parent / "figures/performance_profiles.png")
    (tmp_path / "pictures").mkdir()
    monkeypatch.setattr(pictures, "PICTURES", tmp_path / "pictures")
    with narrow():
        assert pictures.main([f"--experiments={tmp_path / 'experiments'}"]) == 0
    written = sorted((tmp_path / "pictures").iterdir())
    assert [path.name for path in written] == ["learning_curve.png", "performance_profiles.png", "scoring_report.png"]
    for path in written:
        with Image.open(path) as picture:
            assert len(picture.convert("RGB").getcolors(2**24) or ()) > 4, "more than a blank page"
