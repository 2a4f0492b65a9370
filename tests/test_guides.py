"""The pages, walked from top to bottom by readers who want something, each in a folder of their own.

Trials end after two steps of narrow models, and commands that go through all workloads take the smallest.
`python -m tests.document_coverage` lists how every command of every page is tested.
"""

import dataclasses
import pathlib
from collections.abc import Iterator

import pytest

from algoperf_jax import main
from tests.document_commands import Command
from tests.document_coverage import walked_documents
from tests.document_walks import copy, run, steps, walk
from tests.narrow_workloads import narrow
from tests.scoring.log_trees import write_text
from tests.test_documents import DOCUMENTS, ROOT
from tests.workloads.cifar import test_prepare as cifar
from tests.workloads.criteo1tb import click_logs
from tests.workloads.fastmri import test_prepare as fastmri
from tests.workloads.finewebedu_lm import texts as finewebedu_lm
from tests.workloads.imagenet import test_prepare as imagenet
from tests.workloads.mnist import test_prepare as mnist
from tests.workloads.ogbg import test_prepare as ogbg
from tests.workloads.speech import libri
from tests.workloads.wmt import texts as wmt
from workloads.cifar import prepare as cifar_conversion
from workloads.criteo1tb import prepare as criteo_conversion
from workloads.criteo1tb import raw_days
from workloads.finewebedu_lm import prepare as text_conversion
from workloads.speech import prepare as speech_conversion
from workloads.wmt import prepare as wmt_conversion

EVALUATIONS = "global_step,score,validation/bleu\n1,1.0,0.1\n9,100.0,31.0\n"
MUON = "submissions_algorithms/submissions/self_tuning/muon/submission.py"
ONE_TRIAL = ("--config.num_studies=1", "--config.num_trials=1")


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pathlib.Path]:
    """A working folder with what the project's has."""
    for name in ("algoperf_jax", "configs"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    # Signals belong to the test runner.
    monkeypatch.setattr(main, "StopOnSignal", lambda: lambda: False)
    with narrow():
        yield tmp_path


@pytest.fixture
def raw(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A folder with a few raw examples of every data set, in the formats in which they are published."""
    raw = folder / "raw"
    mnist.store(raw, mnist.raw_files())
    # Each molecule has some labels.
    ogbg.write(raw, {"graph-label": ogbg.lines_of(ogbg.label_fields(0) for _ in ogbg.MOLECULES)})
    cifar.store(raw, cifar.binary_files())
    monkeypatch.setattr(cifar_conversion, "_IMAGES_PER_BATCH", cifar.PER_BATCH)
    for part, name in ((fastmri.TRAIN, "file3"), (fastmri.VALIDATION, "file1"), (fastmri.VALIDATION, "file2")):
        fastmri.write_volume(raw / part / f"{name}.h5")
    for split in ("train", "val", "test"):
        imagenet.write_tree(raw / split, count=1)
    wmt.write_plain(raw)
    monkeypatch.setattr(wmt_conversion, "VOCAB_SIZE", int(wmt.OPTIONS["vocab_size"]))
    monkeypatch.setattr(raw_days, "LINES_PER_PIECE", 5)
    monkeypatch.setattr(criteo_conversion, "NUM_ROWS", click_logs.write_all_days(raw, lines_per_piece=5))
    libri.write_folders(raw)
    monkeypatch.setattr(
        speech_conversion, "FULL", dataclasses.replace(speech_conversion.FULL, vocab_size=libri.VOCABULARY)
    )
    finewebedu_lm.write_json_lines(raw / "documents.jsonl", (ROOT / "CHANGELOG.md").read_text().split("\n\n"))
    finewebedu_lm.write_tokenizer(raw)
    monkeypatch.setattr(text_conversion, "VOCAB_SIZE", finewebedu_lm.VOCABULARY)
    return raw


@pytest.mark.slow
def test_from_the_readme_to_a_finished_run(folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy(folder, "my_optimizer.py")
    walk("README.md")
    walk("BUILD.md")
    assert "This trial is already finished" in capsys.readouterr().out, "BUILD.md trains what `make train` does"
    walk("docs/getting-started.md")
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
def test_from_an_idea_to_a_plot(folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = walk("docs/guides/five-minutes.md")
    assert ran.count("algoperf_jax.main") == 5
    assert (folder / "scores/report.html").is_file()
    assert (folder / "scores/figures/performance_profiles.png").is_file()
    assert "my_optimizer" in capsys.readouterr().out


@pytest.mark.slow
def test_submissions_of_every_kind(folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy(folder, "my_optimizer.py", "my_torch_submission.py", MUON)
    walk("docs/submissions.md")
    out = capsys.readouterr().out
    assert "0 errors" in out
    assert "compiles after its first step" not in out


@pytest.mark.slow
def test_a_published_submission(folder: pathlib.Path) -> None:
    copy(folder, MUON)
    assert walk("third_party/README.md") == ["algoperf_jax.main"]


@pytest.mark.slow
def test_tuning(folder: pathlib.Path) -> None:
    copy(folder, "my_optimizer.py", "search_space.json")
    (example,) = (text for language, text in steps("docs/tuning.md") if language == "python")
    (folder / "my_config.py").write_text(example)
    ran = walk("docs/tuning.md", more={"algoperf_jax.main": ONE_TRIAL})
    assert ran == ["algoperf_jax.main"] * 5


@pytest.mark.slow
def test_from_raw_data_to_the_leaderboard(
    folder: pathlib.Path, raw: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy(folder, "my_submission.py", "search_space.json")
    ran = walk("docs/data.md", more={"algoperf_jax.main": ("--config.batch_size=16",)})
    assert ran.count("algoperf_jax.prepare") == 10
    ran = walk("docs/guides/leaderboard.md", more={"algoperf_jax.main": ONE_TRIAL})
    assert [ran.count(module) for module in ("algoperf_jax.prepare", "algoperf_jax.main", "scoring")] == [1, 2, 2]
    assert (folder / "scores/report.html").is_file()
    assert (folder / "scores_self/report.html").is_file()
    out = capsys.readouterr().out
    assert "0 errors" in out
    assert "compiles after its first step" not in out
    # The next page scores runs on built-in data, too.
    run(Command("algoperf_jax.main", ("--config=mnist",)))
    walk("docs/scoring.md")
    named = [
        line.split("`")[1] for line in (ROOT / "docs/scoring.md").read_text().splitlines() if line.startswith("| `")
    ]
    files = [name for name in named if not name.startswith("--")]
    assert [name for name in files if not (folder / "scores" / name).exists()] == []


@pytest.mark.slow
def test_measuring(folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    imagenet.write_tree(folder / "images", count=1)
    for study in range(2):
        write_text(folder / "external_tuning", f"s/study_{study}/wmt_jax/trial_1", EVALUATIONS)
    ran = walk("docs/performance.md", replaced={"FOLDER": "images", " --data_dir=DATA": ""})
    assert ran.count("algoperf_jax.bench") == 5
    out = capsys.readouterr().out
    assert "now / earlier" in out
    assert "images/s" in out
    assert "medians of 1 processes" in out


def test_every_piece_of_python_is_run() -> None:
    pages = [document.relative_to(ROOT).as_posix() for document in DOCUMENTS]
    assert {page for page in pages if any(language == "python" for language, _ in steps(page))} <= {*walked_documents()}
