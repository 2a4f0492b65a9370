"""The project as users install it: a wheel, used from a folder without the project's files."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import venv

import pytest

from algoperf_jax.__main__ import COMMANDS, main
from algoperf_jax.devices import huge_pages

ROOT = pathlib.Path(__file__).parents[2]
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]


def test_the_commands_are_modules_that_run() -> None:
    for module, _ in COMMANDS.values():
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 0, "dry-run   run a few steps of a submission on every workload (python -m algoperf_jax.dry_run)"),
        (["--help"], 0, "usage: algoperf COMMAND"),
        (["trian"], 2, "error: unknown command: found 'trian'. Did you mean 'train'?"),
    ],
)
def test_the_command_that_names_the_others(
    arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["algoperf", *arguments])
    assert main() == code
    captured = capsys.readouterr()
    assert words in captured.out + captured.err


def test_a_command_gets_its_arguments(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["algoperf", "check", "adamw", "--static", "--format=xml"])
    # In a separate process, because another test may have imported the main module here.
    monkeypatch.delitem(sys.modules, "algoperf_jax.check_submission.__main__", raising=False)
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert "argument --format: invalid choice: 'xml'" in capsys.readouterr().err


def test_a_wheel_trains_from_an_empty_folder(tmp_path: pathlib.Path) -> None:
    python = _installed(tmp_path)
    folder = tmp_path / "empty"
    folder.mkdir()
    ours = ("PYTHONPATH", "XLA_FLAGS", huge_pages.VARIABLE)
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    done = subprocess.run(
        [python.with_name("algoperf"), "train", "--config=mnist", "--config.max_steps=10"],
        cwd=folder,
        env=environment | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "mnist/nadamw: step 10: evaluation" in done.stdout
    assert [path.name for path in folder.iterdir()] == ["experiments"]
    (machine,) = folder.rglob("meta_data_0.json")
    expected = huge_pages.SETTING if huge_pages.help_here({}) else None
    assert json.loads(machine.read_text())["glibc_tunables"] == expected


def _installed(folder: pathlib.Path) -> pathlib.Path:
    """The Python of a new environment with the project's wheel and this environment's libraries."""
    # Building writes into the source folder.
    sources = folder / "sources"
    packages = [path.parent.name for path in ROOT.glob("*/__init__.py") if path.parent.name != "tests"]
    for package in packages:
        shutil.copytree(ROOT / package, sources / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources)
    build = [*PIP, "wheel", "--no-deps", "--no-build-isolation", f"--wheel-dir={folder}", str(sources)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "environment", symlinks=True, with_pip=False)
    python = folder / "environment" / "bin" / "python"
    subprocess.run(
        [*PIP[:3], "--python", str(python), "install", "--no-deps", str(wheel)], check=True, capture_output=True
    )
    (site_packages,) = (folder / "environment" / "lib").glob("python*/site-packages")
    # In a folder that is only added to the path, .pth files are not read, including that of the editable project.
    (site_packages / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    return python
