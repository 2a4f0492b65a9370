"""Logs of this project's own runs are scored without changes, and other tools can read them."""

import csv
import json
import pathlib
import re
import subprocess
import sys
from typing import Any

import pytest

import scoring
from configs import mnist
from scoring.__main__ import main
from scoring.machines import machines
from tests import one_device

ROOT = pathlib.Path(__file__).parents[2]
# Columns that a trial's table always has, in addition to the metrics of each split.
COLUMNS = {
    "accumulated_eval_time",
    "accumulated_logging_time",
    "accumulated_submission_time",
    "global_step",
    "preemption_count",
    "score",
    "total_duration",
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The logs of two studies of one trial each, on the built-in digits."""
    folder = tmp_path_factory.mktemp("experiments")
    space = folder / "space.json"
    hyperparameters: Any = mnist.get_config().hyperparameters
    space.write_text(json.dumps([hyperparameters.to_dict()]))
    subprocess.run(
        [
            sys.executable,
            "-m",
            "algoperf_jax.main",
            "--config=configs/mnist.py",
            f"--config.search_space={space}",
            "--config.num_trials=1",
            "--config.num_studies=2",
            f"--config.experiment_dir={folder}",
        ],
        cwd=ROOT,
        env=one_device.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return folder / "default"


@pytest.mark.slow
def test_a_study_is_scored_without_changes(study: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = scoring.load(study, builtin=True)
    scores = scoring.score(logs)
    assert len(scores.studies) == 2
    assert scores.leaderboard[["score", "exact_score"]].to_numpy().tolist() == [[1.0, 1.0]]
    ended = [json.loads(path.read_text())["time_to_target_sec"] for path in study.rglob("result.json")]
    # A value equal to the target counts in scoring, but does not end a trial.
    assert all(value <= end for value, end in zip(sorted(scores.studies["value"]), sorted(ended), strict=True))
    assert set(scores.studies["value"]) <= set(logs.evaluations["submission_time_sec"])
    assert machines(logs)["devices"].tolist() == [1, 1]
    assert logs.evaluations[["evaluation_time_sec", "logging_time_sec"]].notna().to_numpy().all()
    assert main([f"--logs={study}", "--builtin"]) == 0
    assert "rule documented, targets builtin" in capsys.readouterr().out
    assert main([f"--logs={study}"]) == 2
    assert "built-in data (--builtin scores it)" in capsys.readouterr().err


@pytest.mark.slow
def test_the_layout_is_that_of_published_logs(study: pathlib.Path) -> None:
    submissions = list(study.iterdir())
    studies = [path for submission in submissions for path in submission.iterdir()]
    assert all(path.is_dir() for path in (*submissions, *studies)), "plain files would stop other tools"
    folders = [path for one in studies for path in one.iterdir() if path.is_dir()]
    assert {path.name for path in folders} == {"mnist_builtin_jax"}
    trials = [path for folder in folders for path in folder.iterdir() if path.is_dir()]
    assert len(trials) == 2
    for trial in trials:
        assert re.fullmatch(r"trial_\d+", trial.name)
        names = {path.name for path in trial.iterdir()}
        assert {
            "eval_measurements.csv",
            "measurements.csv",
            "hparams.json",
            "meta_data_0.json",
            "flags_0.json",
        } <= names
        header, *rows = list(csv.reader((trial / "eval_measurements.csv").read_text().splitlines()))
        assert header == sorted(header)
        assert set(header) >= {*COLUMNS, "validation/accuracy", "test/accuracy", "train/accuracy"}
        table = [dict(zip(header, row, strict=True)) for row in rows]
        assert [int(row["global_step"]) for row in table] == sorted({int(row["global_step"]) for row in table})
        assert all(row["score"] == row["accumulated_submission_time"] for row in table)
