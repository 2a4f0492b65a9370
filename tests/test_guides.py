"""The guides, walked from top to bottom: every command and every piece of Python runs, in the order of the page.

Commands run in this process through their `main`. Trials end after two steps, and commands that go through all
workloads take the smallest. Those that train a small variant, which takes a minute, are only parsed, by
`test_document_commands`.
"""

import json
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping, Sequence

import pytest

from algoperf_jax import main
from tests import document_commands
from tests.document_commands import FENCE, Command
from tests.test_document_commands import SUBMISSIONS
from tests.test_documents import DOCUMENTS
from tests.test_examples import QUOTED, ROOT

DATA = os.environ.get("ALGOPERF_TEST_DATA")
QUICKER: Mapping[str, tuple[str, ...]] = {
    "algoperf_jax.main": (
        "--config.max_steps=2",
        "--config.mesh.data=1",
        "--config.tensorboard=False",
        "--config.input.workers=0",
    ),
    "algoperf_jax.check_submission": ("--workloads=mnist",),
    "algoperf_jax.dry_run": ("--workloads=mnist",),
}
WALKED = (
    "README.md",
    "docs/getting-started.md",
    "docs/guides/five-minutes.md",
    "docs/guides/leaderboard.md",
    "docs/scoring.md",
    "docs/tuning.md",
)
ONE_TRIAL = ("--config.num_studies=1", "--config.num_trials=1")


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A working folder with what the project's has and a reader's own files."""
    for name in ("algoperf_jax", "configs"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    # Signals belong to the test runner.
    monkeypatch.setattr(main, "StopOnSignal", lambda: lambda: False)
    return tmp_path


def steps(document: str) -> Iterator[tuple[str, str]]:
    """What a page shows to be run: (`sh`, a command line) or (`python`, a piece of Python), from top to bottom."""
    for language, body in FENCE.findall((ROOT / document).read_text()):
        if language == "sh":
            lines = body.replace("\\\n", " ").splitlines()
            yield from (("sh", part.strip()) for line in lines for part in line.split(" && ") if part.strip())
        elif language == "python" and body not in QUOTED:
            yield "python", body


def walk(
    document: str,
    *,
    without: Sequence[str] = (),
    replaced: Mapping[str, str] = {},
    more: Mapping[str, tuple[str, ...]] = {},
) -> list[str]:
    """Runs the steps of a page, but for lines that hold one of `without`; returns the modules that ran."""
    ran = []
    for language, text in steps(document):
        for one, other in replaced.items():
            text = text.replace(one, other)
        if language == "python":
            exec(compile(quick(text), document, "exec"), {"__name__": "shown"})
        elif not any(words in text for words in without):
            command = document_commands.command(text)
            if command is not None:
                assert run(command, more.get(command.module, ())) == 0, text
                ran.append(command.module)
    return ran


def quick(python: str) -> str:
    """A piece of Python with trials of two steps."""
    return python.replace("max_steps=200", "max_steps=2").replace("max_steps=100", "max_steps=2").replace("=50", "=2")


def run(command: Command, more: Sequence[str]) -> int:
    """Runs a command in this process, with what makes it quick; returns its exit code."""
    changed = (*QUICKER.get(command.module, ()), *more)
    keys = {one.partition("=")[0] for one in changed}
    informs = {"--help", "--list"} & {*command.arguments}
    kept = [one for one in command.arguments if one.partition("=")[0] not in keys]
    arguments = kept if informs else [*kept, *changed]
    return document_commands.module(command.module).main(arguments)


@pytest.mark.slow
def test_from_an_idea_to_a_plot(folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = walk("docs/guides/five-minutes.md", without=(":small",))
    assert ran.count("algoperf_jax.main") == 3
    assert (folder / "scores/report.html").is_file()
    assert (folder / "scores/figures/performance_profiles.png").is_file()
    # The next page scores the same runs; there are none on real data.
    assert walk("docs/scoring.md", without=("--targets",)) == ["scoring"]
    named = [
        line.split("`")[1] for line in (ROOT / "docs/scoring.md").read_text().splitlines() if line.startswith("| `")
    ]
    files = [name for name in named if not name.startswith("--")]
    assert [name for name in files if not (folder / "scores" / name).exists()] == []
    assert "my_optimizer" in capsys.readouterr().out


@pytest.mark.slow
def test_from_the_readme_to_a_finished_run(folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy(folder, "my_optimizer.py")
    walk("README.md")
    walk("docs/getting-started.md", without=(":small",))
    out = capsys.readouterr().out
    assert "fastmri" in out, "--list"
    assert "--config.evaluation.stage_bytes" in out, "--help"
    trial = folder / "experiments/default/nadamw/study_1/mnist_builtin_jax/trial_1"
    text = (ROOT / "docs/getting-started.md").read_text()
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in row.split("`")[1::2]]
    assert len(named) > 12
    # A trial that did not fail has no traceback, and these are made without TensorBoard.
    missing = {name for name in named if not (trial / name).exists()}
    assert missing == {"failure.txt", "tensorboard/"}
    assert [path.name for path in trial.iterdir() if path.name not in {name.rstrip("/") for name in named}] == []


@pytest.mark.slow
def test_tuning(folder: pathlib.Path) -> None:
    copy(folder, "my_optimizer.py", "search_space.json")
    (example,) = (text for language, text in steps("docs/tuning.md") if language == "python")
    (folder / "my_config.py").write_text(example)
    ran = walk("docs/tuning.md", without=("ogbg:gelu",), more={"algoperf_jax.main": ONE_TRIAL})
    assert ran == ["algoperf_jax.main"] * 4


@pytest.mark.slow
@pytest.mark.skipif(DATA is None, reason="ALGOPERF_TEST_DATA names no folder with real data")
def test_entering_the_leaderboard(folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy(folder, "my_submission.py", "search_space.json")
    # The page takes ogbg, and says that any workload may stand for it.
    builtin = json.loads((ROOT / "scoring/targets/builtin.json").read_text())
    workloads = {"mnist": builtin["workloads"]["mnist_builtin"]}
    targets = {**builtin, "version": "mnist", "base_workloads": ["mnist"], "workloads": workloads}
    (folder / "targets.json").write_text(json.dumps(targets))
    ran = walk(
        "docs/guides/leaderboard.md",
        replaced={"ogbg": "mnist"},
        more={
            "algoperf_jax.main": ONE_TRIAL,
            "algoperf_jax.prepare": (f"--from={DATA}/mnist",),
            "scoring": ("--targets=targets.json",),
        },
    )
    assert [ran.count(module) for module in ("algoperf_jax.prepare", "algoperf_jax.main", "scoring")] == [1, 2, 2]
    assert (folder / "scores/report.html").is_file()
    assert (folder / "scores_self/report.html").is_file()
    out = capsys.readouterr().out
    assert "0 errors" in out
    assert "compiles after its first step" not in out


def copy(folder: pathlib.Path, *names: str) -> None:
    """What the reader has written before."""
    for name in names:
        shutil.copy(ROOT / "examples" / SUBMISSIONS[name], folder / name)


def test_every_piece_of_python_is_run() -> None:
    pages = [document.relative_to(ROOT).as_posix() for document in DOCUMENTS]
    assert {page for page in pages if any(language == "python" for language, _ in steps(page))} <= {*WALKED}
