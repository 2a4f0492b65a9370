"""Locating a submission, detecting its framework, and the error if that is not installed."""

import ast
import pathlib
import subprocess
import sys
from collections.abc import Callable

import pytest

from algoperf_jax.errors import ConfigError, SubmissionError
from algoperf_jax.framework import framework
from algoperf_jax.framework.framework import load_framework
from algoperf_jax.submission import source_files
from algoperf_jax.submission.framework_names import ENTRIES, JAX, JAX_PMAP, PYTORCH, algorithm_names
from algoperf_jax.submission.locate import locate
from tests.algoperf_jax.conftest import Command

Write = Callable[..., pathlib.Path]
ROOT = pathlib.Path(__file__).parents[3]


def written(folder: pathlib.Path, text: str) -> str:
    path = folder / "submission.py"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("text", "chosen", "expected"),
    [
        ("import torch", None, PYTORCH),
        ("from torch.nn import functional", None, PYTORCH),
        ("def f():\n    import torch.distributed.nn as dist_nn", None, PYTORCH),
        ("import jax.numpy as jnp", None, JAX),
        ("import optax\nfrom jax import lax", None, JAX),
        ("import numpy", None, JAX),
        ("import numpy", PYTORCH, PYTORCH),
        ("from . import torch", None, JAX),
        ("import torchvision", None, JAX),
        ("import jax, torch", PYTORCH, PYTORCH),
        ("import jax, torch", JAX, JAX),
        ("import torch", PYTORCH, PYTORCH),
        ("this is no Python", None, JAX),
    ],
)
def test_the_framework_is_detected_from_imports(
    text: str, chosen: str | None, expected: str, tmp_path: pathlib.Path
) -> None:
    assert locate(written(tmp_path, text), chosen).framework == expected


def test_references_other_than_files_are_assumed_to_be_jax() -> None:
    assert (
        locate("nadamw", None).framework
        == locate("no_such_module", None).framework
        == locate("no/such/file.py", None).framework
        == JAX
    )
    assert locate("nadamw", PYTORCH).framework == PYTORCH
    assert locate("torch_compat.algorithms.nadamw", None).framework == PYTORCH
    assert locate("algoperf_jax.submission.optax_factory", None).framework == JAX


def test_a_choice_against_the_imports_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(
        ConfigError, match=r"config\.framework: found 'jax'; expected pytorch, whose library .* imports"
    ):
        locate(written(tmp_path, "import torch"), JAX).framework


def test_imports_of_both_leave_the_choice_to_the_user(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConfigError, match=r"imports the libraries of jax and pytorch.*--config\.framework=jax"):
        locate(written(tmp_path, "import jax, torch"), None).framework


@pytest.mark.parametrize("name", ENTRIES)
def test_every_framework_calls_itself_by_its_name(name: str) -> None:
    assert load_framework(name).name == name
    assert "nadamw" in algorithm_names(name)


def test_a_missing_library_is_reported_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framework, "_is_installed", lambda library: False)
    with pytest.raises(SubmissionError, match=r"needs torch, which is not installed.*pip install -e \"\.\[torch\]\""):
        load_framework(PYTORCH)


WITHOUT_TORCH = """
import sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NotInstalled())
from algoperf_jax.main import main
sys.exit(main(sys.argv[1:]))
"""


def run_without_torch(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_TORCH, "--config=configs/mnist.py", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


def test_without_torch_jax_runs_and_pytorch_is_refused_in_one_line(tmp_path: pathlib.Path) -> None:
    folder = f"--config.experiment_dir={tmp_path}"
    done = run_without_torch(folder, "--config.max_steps=2", "--config.mesh.data=1")
    assert done.returncode == 0, done.stderr
    assert "step 2: evaluation" in done.stdout

    file = written(tmp_path, "import torch")
    for asked in ("--config.framework=pytorch", f"--config.submission={file}"):
        done = run_without_torch(folder, asked)
        assert done.returncode == 2
        assert done.stderr.splitlines() == [
            "error: a pytorch submission needs torch, which is not installed. Install it with: "
            'pip install -e ".[torch]"'
        ]


@pytest.mark.parametrize(
    ("text", "chosen", "expected"),
    [
        ("import jax\nstep = jax.pmap(f)", None, JAX_PMAP),
        ("from jax import pmap", None, JAX_PMAP),
        ("import jax\n# jax.pmap", None, JAX),
        ("import jax\nstep = jax.pmap(f)", "jax", JAX),
        ("import jax", "jax_pmap", JAX_PMAP),
        ("import rule", None, PYTORCH),
    ],
)
def test_older_submissions_are_detected_from_their_steps(
    tmp_path: pathlib.Path, text: str, chosen: str | None, expected: str
) -> None:
    (tmp_path / "rule.py").write_text("import torch")
    (tmp_path / "submission.py").write_text(text)
    assert locate(str(tmp_path / "submission.py"), chosen).framework == expected


def test_the_adapter_cannot_be_chosen_for_pytorch(tmp_path: pathlib.Path) -> None:
    (tmp_path / "submission.py").write_text("import torch")
    with pytest.raises(ConfigError, match="expected pytorch"):
        locate(str(tmp_path / "submission.py"), "jax_pmap").framework


def test_a_run_parses_the_files_of_its_submission_once(
    command: Command, submission: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = submission("import helper")
    path.with_name("helper.py").write_text("")
    parsed: list[str] = []
    parse = source_files._parsed

    def counted(file: pathlib.Path) -> ast.Module | None:
        parsed.append(file.name)
        return parse(file)

    monkeypatch.setattr(source_files, "_parsed", counted)
    assert command(f"--config.submission={path}").code == 0
    assert sorted(parsed) == ["algorithm.py", "helper.py"]
