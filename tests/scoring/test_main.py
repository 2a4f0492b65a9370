"""The command line."""

import csv
import json
import pathlib
import subprocess
import sys

import pandas as pd
import pytest

from scoring.__main__ import main
from tests.scoring.log_trees import write_text

ROOT = pathlib.Path(__file__).parents[2]
ROWS = "global_step,score,validation/bleu\n1,1.0,0.1\n9,{time},31.0\n"


@pytest.fixture
def logs(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "logs"
    for submission, time in (("quick", 100.0), ("slow", 200.0)):
        for study in range(3):
            write_text(folder, f"{submission}/study_{study}/wmt_jax/trial_1", ROWS.format(time=time))
    return folder


def test_the_leaderboard_is_printed(logs: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"--logs={logs}", "--ruleset=self", "--rule=official"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "rule official, targets v0.6, ruleset self, 8 workloads, 6 trials"
    assert [line.split() for line in lines[2:5]] == [
        ["rank", "submission", "score", "exact", "complete"],
        ["1", "quick", "0.1250", "0.1250", "no"],
        ["2", "slow", "0.0840", "0.0833", "no"],
    ]
    assert "noted: nobody has logs of ogbg: a miss for all" in lines


def test_the_tables_are_written(logs: pathlib.Path, tmp_path: pathlib.Path) -> None:
    out = tmp_path / "new" / "tables"
    assert main([f"--logs={logs}", f"--out={out}"]) == 0
    rows = list(csv.reader((out / "scores.csv").read_text().splitlines()))
    assert rows[0] == ["submission", "score"]
    assert [row[0] for row in rows[1:]] == ["quick", "slow"]
    assert [float(row[1]) for row in rows[1:]] == pytest.approx([1 / 8, (99 - 33 + 0.5) / 99 / 8])
    times = pd.read_csv(out / "times_to_target.csv").set_index(["submission", "workload"])
    slow = times.loc[("slow", "wmt")]
    assert slow.tolist() == ["documented", 3, 200.0, 200.0, 2.0]
    assert json.loads((out / "settings.json").read_text())["rule"] == "documented"
    written = {path.stem: pd.read_csv(path) for path in out.glob("*.csv")}
    assert {"scores", "leaderboard", "studies", "trials", "validity", "findings", "performance_profiles"} < set(written)
    assert written["trials"]["time_to_target_sec"].tolist() == [100.0] * 3 + [200.0] * 3
    assert written["trials"]["step_time_sec"].unique() == pytest.approx([(1 + 99 / 8) / 2, (1 + 199 / 8) / 2])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--logs=nowhere"], "no logs found: nowhere is not a directory"),
        (["--targets=v9"], "unknown targets 'v9'; expected v0.5, v0.6"),
        (["--rule=mine"], "invalid choice: 'mine'"),
        (["--colour=red"], "unrecognized arguments"),
        (["--builtin"], "no logs found in"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    logs: pathlib.Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert main([f"--logs={logs}", *arguments]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert words in output.err
    assert output.err.startswith("error: ")
    assert output.err.count("\n") == 1


def test_a_place_that_cannot_be_written_is_told(
    logs: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main([f"--logs={logs}", f"--out={tmp_path / 'file'}"]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_the_command_needs_no_framework(logs: pathlib.Path) -> None:
    program = (
        "import sys\nfrom scoring.__main__ import main\n"
        f"assert main(['--logs={logs}']) == 0\n"
        "heavy = {'jax', 'torch', 'workloads', 'algoperf_jax'} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    command = [sys.executable, "-m", "scoring", "--logs=nowhere"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
