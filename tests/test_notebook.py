"""The notebook runs from top to bottom, and is stored without outputs."""

import json
import math
import os
import pathlib
import subprocess
import sys
from typing import Any

import ipykernel.kernelspec
import nbformat
import pytest
from nbclient import NotebookClient

from tests import one_device

ROOT = pathlib.Path(__file__).parents[1]
NOTEBOOK = ROOT / "notebooks/quickstart.ipynb"
KERNEL = "this-python"
CELL_TIMEOUT_SEC = 300


def read() -> Any:
    return nbformat.read(NOTEBOOK, as_version=nbformat.NO_CONVERT)


def run(notebook: Any, folder: pathlib.Path, home: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs all cells in `folder`, with the Python of the tests; Jupyter's own files go to `home`."""
    ipykernel.kernelspec.write_kernel_spec(str(home / "kernels" / KERNEL))
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_PATH", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(home))
    # The kernel is like a user's, without the tests' eight virtual devices.
    environment = {name: value for name, value in one_device.environment().items() if name != "JAX_NUM_CPU_DEVICES"}
    environment["IPYTHONDIR"] = str(home / "ipython")
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    client = NotebookClient(notebook, kernel_name=KERNEL, timeout=CELL_TIMEOUT_SEC)
    client.execute(env=environment, cwd=str(folder))


def outputs(notebook: Any, name: str) -> list[Any]:
    """The outputs of the cell with this identifier."""
    (cell,) = (cell for cell in notebook.cells if cell.id == name)
    return cell.outputs


def text(notebook: Any, name: str) -> str:
    return "".join(
        output.get("text", "") + output.get("data", {}).get("text/plain", "") for output in outputs(notebook, name)
    )


@pytest.mark.slow
def test_it_runs_from_top_to_bottom(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, home = tmp_path / "folder", tmp_path / "home"
    folder.mkdir()
    notebook = read()
    run(notebook, folder, home, monkeypatch)

    assert "is installed" in text(notebook, "install-cell")
    assert {path.name for path in folder.iterdir()} == {"experiments"}
    results = [json.loads(path.read_text()) for path in folder.glob("experiments/quickstart/**/result.json")]
    assert {result["submission"] for result in results} == {"momentum", "nadamw"}
    for result in results:
        # On a busy machine the budget may end first.
        assert result["status"] in ("target_reached", "budget_spent"), result["reason"]
        assert set(result["best"]) == {"validation", "test"}
        assert all(math.isfinite(value) for value in result["best"].values())
        assert result["submission"] in text(notebook, "table-cell")
    for name in ("digits-cell", "curve-cell", "comparison-cell"):
        assert any("image/png" in output.get("data", {}) for output in outputs(notebook, name)), name
    assert "1 x cpu" in text(notebook, "momentum-cell") or os.environ.get("JAX_PLATFORMS") != "cpu"
    warnings = [
        (cell.id, output.text)
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if output.output_type == "stream" and "Warning" in output.text
    ]
    assert not warnings


@pytest.mark.slow
def test_it_is_kept_without_outputs() -> None:
    notebook = read()
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert not [cell.id for cell in code if cell.outputs or cell.execution_count is not None]


@pytest.mark.slow
def test_the_file_that_it_writes_is_in_style() -> None:
    # The linter skips such cells.
    (cell,) = (cell for cell in read().cells if cell.source.startswith("%%writefile"))
    source = cell.source.partition("\n")[2] + "\n"
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--stdin-filename=momentum.py", "-"],
            input=source,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
