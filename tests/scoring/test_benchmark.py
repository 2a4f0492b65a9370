"""The command that times scoring."""

import pathlib
import re

import pytest

from scoring import benchmark
from scoring.benchmark import Measurement, main
from tests.scoring.log_trees import write_text

ROWS = "global_step,score,validation/bleu\n1,1.0,0.1\n9,100.0,31.0\n"


@pytest.fixture
def logs(tmp_path: pathlib.Path) -> pathlib.Path:
    for study in range(2):
        write_text(tmp_path / "logs", f"s/study_{study}/wmt_jax/trial_1", ROWS)
    return tmp_path / "logs"


def test_a_process_is_measured_and_reported(logs: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"--logs={logs}", "--targets=v0.5", "--ruleset=self", "--repeats=1", "--resamples=3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.search(r"\d+ logical CPUs; Python 3\.\d+\.\d+, numpy \d.*, pandas \d", lines[0])
    assert lines[1] == f"{logs}: targets v0.5, ruleset self, 2 trials, 3 resamples; medians of 1 processes"
    assert [line[:14].strip() for line in lines[3:-2]] == ["stage", *benchmark.STAGES, "all", "all but import"]
    numbers = [[float(cell) for cell in line[14:].split()] for line in lines[4:-2]]
    for column in (0, 1):
        parts = [row[column] for row in numbers]
        # Rounded to milliseconds.
        assert parts[4] == pytest.approx(sum(parts[:4]), abs=3e-3)
        assert parts[5] == pytest.approx(sum(parts[1:4]), abs=3e-3)
    assert all(map(int, re.findall(r"(\d+) MiB", lines[-1])))


def test_medians_over_processes(
    logs: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    each = iter(
        [
            Measurement([9.0, 3.0, 1.0, 1.0], [1.0] * 4, [2**20, 2**21], 7),
            Measurement([1.0, 1.0, 5.0, 1.0], [2.0] * 4, [2**22, 2**23], 7),
            Measurement([2.0, 2.0, 2.0, 4.0], [9.0] * 4, [2**24, 2**25], 7),
        ]
    )
    monkeypatch.setattr(benchmark, "measure", lambda _: next(each))
    assert main([f"--logs={logs}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line[:14].strip(): line[14:].split() for line in lines[4:-2]}
    assert rows == {
        "import": ["2.000", "2.000"],
        "load": ["2.000", "2.000"],
        "score": ["2.000", "2.000"],
        "bootstrap": ["1.000", "2.000"],
        # The medians of sums, which are 14, 8 and 10, not the sum of medians.
        "all": ["10.000", "8.000"],
        "all but import": ["7.000", "6.000"],
    }
    assert lines[-1] == "peak memory: 8 MiB, 4 MiB without the bootstrap"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--repeats=0"], "repeats is 0; expected 1 or more"),
        (["--repeats=many"], "invalid int value: 'many'; python -m scoring.benchmark --help lists"),
        (["--colour=red"], "unrecognized arguments"),
        # These errors occur in the timed process.
        (["--logs=nowhere"], "no logs found: nowhere is not a directory"),
        (["--resamples=0"], "resamples is 0; expected 1 or more"),
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


def test_a_defect_is_not_reported_as_bad_input(logs: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "_PROGRAM", "raise ValueError('a defect')")
    with pytest.raises(RuntimeError, match="ValueError: a defect"):
        main([f"--logs={logs}"])
