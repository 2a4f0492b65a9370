"""The examples run, and the documents quote them as they are."""

import pathlib
import runpy
from collections.abc import Mapping
from typing import Any

import pytest
from rich.console import Console

import algoperf_jax
import workloads
from algoperf_jax.run import execute
from configs import base
from docs.generate import __main__ as generator
from tests import document_commands
from tests.test_documents import DOCUMENTS, ROOT

EXAMPLES = ROOT / "examples"
SUBMISSIONS = ("optax_factory.py", "five_functions_jax.py", "five_functions_pytorch.py")
SNIPPETS = [
    (str(document.relative_to(ROOT)), body)
    for document in DOCUMENTS
    for language, body in document_commands.FENCE.findall(document.read_text())
    if language == "python"
]
QUOTED = {path.read_text() for path in EXAMPLES.glob("*.py")}
QUICK = {"max_steps": 2, "batch_size": 16, "tensorboard": False, "mesh": {"data": 1}}


@pytest.mark.parametrize("name", SUBMISSIONS)
def test_the_submissions_train(name: str, tmp_path: pathlib.Path) -> None:
    config: Any = base.named("mnist", "")
    config.submission = str(EXAMPLES / name)
    config.experiment_dir = str(tmp_path)
    config.tensorboard = False
    config.mesh.data = 1
    config.batch_size = 16
    config.max_steps = 2
    result = execute(config, Console(quiet=True))
    assert (result.status, result.steps) == ("training_complete", 2), result.reason


def test_the_workload_trains(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    module = runpy.run_path(str(EXAMPLES / "spirals.py"))
    with workloads.registered("spirals", workloads.Entry("spirals")):
        workload = workloads.load("spirals")
        for split in ("train", "eval_train", "validation", "test"):
            batch = workload.data.open(split, batch_size=8, seed=0, placement=_one_device()).batch(0)
            assert all(spec.fits(batch[name]) for name, spec in workload.schema[split].items())
    # What `python examples/spirals.py` does, but for the number of steps.
    settings = {**QUICK, "experiment_dir": str(tmp_path), "console": Console(quiet=True)}
    seen: list[Any] = []

    def run_trial(*arguments: Any, **overrides: Any) -> Any:
        seen.append(_RUN_TRIAL(*arguments, **settings, **overrides))
        return seen[-1]

    monkeypatch.setattr(algoperf_jax, "run_trial", run_trial)
    module["main"]()
    assert [(result.workload, result.status) for result in seen] == [("spirals", "training_complete")]


_RUN_TRIAL = algoperf_jax.run_trial


def _one_device() -> Any:
    from algoperf_jax.workload import Placement

    return Placement()


def test_the_documents_quote_the_examples() -> None:
    quoting: Mapping[str, set[str]] = {
        str(path.relative_to(ROOT)): {document for document, body in SNIPPETS if body == path.read_text()}
        for path in EXAMPLES.glob("*.py")
    }
    assert "README.md" in quoting["examples/optax_factory.py"]
    assert all(quoting.values()), "an example that no document shows"


def test_what_is_generated_is_up_to_date() -> None:
    assert generator.stale() == [], "run: python -m docs.generate --write"


def test_what_is_not_up_to_date_is_named_and_written(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    marker = "<!-- examples/optax_factory.py, by `python -m docs.generate --write`: begin -->\n"
    between = "A sentence that stays.\n"
    (tmp_path / "docs/pictures").mkdir(parents=True)
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples/optax_factory.py").write_text("x = 1\n")
    (tmp_path / "README.md").write_text(f"{marker}<!-- end -->\n{between}{marker}old\n<!-- end -->\n")
    monkeypatch.setattr(generator, "ROOT", tmp_path)
    assert generator.main(["--check"]) == 1
    assert "README.md is not up to date; write it with: python -m docs.generate --write" in capsys.readouterr().err
    assert generator.main(["--write"]) == 0
    assert generator.main(["--check"]) == 0
    block = f"{marker}\n```python\nx = 1\n```\n\n<!-- end -->\n"
    assert (tmp_path / "README.md").read_text() == f"{block}{between}{block}"


def test_the_drawing_has_every_room_and_its_lines() -> None:
    from docs.generate import rooms

    drawing = rooms.drawing()
    assert all(f">{room}</text>" in drawing for room in rooms.ROOMS)
    assert set(rooms.HOLDS) == set(rooms.ROOMS)
    _, lines = rooms._rows_and_lines()
    joined = {(line[0][0], line[-1][0]) for line in lines}
    planned = {(room, other) for room, others in rooms.ROOMS.items() for other in others if other != "errors"}
    assert joined <= planned
    # Following the lines down leads to all that a room imports.
    below: dict[str, set[str]] = {room: set() for room in rooms.ROOMS}
    for room in rooms.ROOMS:  # from the ground up
        for start, end in joined:
            if start == room:
                below[room] |= {end, *below[end]}
    assert all(other in below[room] for room, other in planned)
    assert drawing.count("<path") == len(joined)


def test_the_pictures_are_small() -> None:
    pictures = list((ROOT / "docs/pictures").iterdir())
    assert {"learning_curve.png", "performance_profiles.png", "scoring_report.png"} <= {one.name for one in pictures}
    assert [one.name for one in pictures if one.stat().st_size > 100_000] == []
