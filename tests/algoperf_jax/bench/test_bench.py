"""The bench command on mnist: all quantities are present, files can be read back, and mismatches are errors."""

import csv
import json
import math
import pathlib
from typing import Any

import numpy as np
import pytest

from algoperf_jax.bench.__main__ import main
from algoperf_jax.bench.measurements import real_example_count
from algoperf_jax.bench.reports import Report, from_json

ROOT = pathlib.Path(__file__).parents[3]
CONFIG = f"--config={ROOT / 'configs' / 'mnist.py'}"

MAY_BE_ZERO = {"compilation after first step", "programs compiled after first step"}
EXPECTED = {
    "initialization",
    "time to first step",
    "compilation until first step",
    "programs compiled until first step",
    *MAY_BE_ZERO,
    "step time",
    "examples per second",
    "waiting for input per step",
    "step time, constant batch",
    "examples per second, constant batch",
    "input pipeline per batch",
    "input batches per second",
    "input examples per second",
    "bytes per batch",
    "examples per batch",
    "batch to the framework",
    "parameters to the evaluation",
    *(
        f"evaluation of {split}, {time}"
        for split in ("eval_train", "validation", "test")
        for time in ("first", "second")
    ),
    "harness per step",
    "peak memory, host",
}
WITH_SPREAD = {
    "step time": 2,
    "step time, constant batch": 2,
    "waiting for input per step": 2,
    "input pipeline per batch": 2,
    "batch to the framework": 2,
    "parameters to the evaluation": 10,
    "harness per step": 20,
}
RECOMPILING = """
import jax, numpy as np

increment = jax.jit(lambda x: x + 1)

def get_batch_size(workload_name):
    return 64

def init_optimizer_state(workload, params, model_state, hyperparameters, rng):
    return None

def data_selection(workload, input_queue, *rest):
    return next(input_queue)

def update_params(*, current_param_container, model_state, optimizer_state, global_step, **rest):
    increment(np.ones(5 if global_step == 2 else 3))
    return optimizer_state, current_param_container, model_state
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with the report of one run, `first.json` and `first.csv`."""
    folder = tmp_path_factory.mktemp("reports")
    files = [f"--json={folder / 'first.json'}", f"--csv={folder / 'first.csv'}"]
    assert main([CONFIG, "--config.batch_size=64", "--steps=12", *files]) == 0
    return folder


@pytest.fixture(scope="module")
def first(folder: pathlib.Path) -> Report:
    return from_json((folder / "first.json").read_text(), name="first.json")


def test_every_quantity_is_measured(first: Report) -> None:
    values = {quantity.name: quantity.value for quantity in first.quantities}
    assert len(values) == len(first.quantities)
    assert set(values) - {"peak memory, device"} == EXPECTED
    for name, value in values.items():
        assert math.isfinite(value)
        assert value > 0 or name in MAY_BE_ZERO
    assert values["time to first step"] > values["initialization"]
    assert values["examples per batch"] == 64
    assert values["examples per second"] == pytest.approx(64 / values["step time"])
    assert values["bytes per batch"] == 64 * 28 * 28 * 4 + 64 * 4 + 64 * 4


def test_pytorch_is_measured_by_the_same_quantities(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "pytorch.json"
    arguments = ["--config.framework=pytorch", "--config.batch_size=64", "--steps=2", f"--json={file}"]
    assert main([CONFIG, *arguments]) == 0
    report = from_json(file.read_text(), name="pytorch.json")
    assert {quantity.name for quantity in report.quantities} == EXPECTED
    assert (report.subject.framework, report.subject.device_count) == ("pytorch", 1)


def test_both_frameworks_are_timed_in_turns(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "both.json"
    arguments = ["--config.mesh.data=1", "--config.batch_size=64", "--steps=20", f"--json={file}"]
    assert main([CONFIG, *arguments, "--beside=pytorch"]) == 0
    found = {quantity.name: quantity for quantity in from_json(file.read_text(), name="both.json").quantities}
    both = [f"{what}, {name}" for what in ("step time", "processor time per step") for name in ("jax", "pytorch")]
    ratios = ["step time, jax / pytorch", "processor time, jax / pytorch"]
    firsts = [f"{what}, {name}" for what in ("initialization", "first step") for name in ("jax", "pytorch")]
    assert set(found) == {*both, *ratios, *firsts}
    assert all(quantity.value > 0 for quantity in found.values())
    spreads = [found[name].spread for name in (*both, *ratios)]
    assert [spread.samples for spread in spreads if spread] == [10] * len(spreads)
    lowest, highest = (
        [spread.minimum if least else spread.p90 for spread in spreads[:2] if spread] for least in (True, False)
    )
    assert lowest[0] / highest[1] <= found[ratios[0]].value <= highest[0] / lowest[1]
    assert "round 10 of 10, 2 steps each" in capsys.readouterr().err


def test_repeated_measurements_have_a_spread(first: Report) -> None:
    spreads = {quantity.name: quantity.spread for quantity in first.quantities if quantity.spread is not None}
    assert {name: spread.samples for name, spread in spreads.items()} == WITH_SPREAD
    for quantity in first.quantities:
        if quantity.spread is not None:
            assert 0 < quantity.spread.minimum <= quantity.value <= quantity.spread.p90


def test_the_report_describes_itself(first: Report) -> None:
    assert (first.subject.workload, first.subject.data, first.subject.batch_size) == ("mnist", "builtin", 64)
    assert (first.subject.platform, first.subject.device_count) == ("cpu", 8)
    assert (first.submission, first.steps) == ("nadamw", 12)
    assert first.versions["jax"]
    assert first.config["batch_size"] == 64


def test_csv_holds_the_same_numbers(folder: pathlib.Path, first: Report) -> None:
    with (folder / "first.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["quantity"], float(row["value"])) for row in rows] == [(q.name, q.value) for q in first.quantities]


def test_recompilation_is_reported_and_reports_are_compared(
    folder: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    submission = tmp_path / "recompiling.py"
    submission.write_text(RECOMPILING)
    second = tmp_path / "second.json"
    arguments = [f"--config.submission={submission}", "--steps=2", f"--json={second}"]
    assert main([CONFIG, *arguments, f"--compare={folder / 'first.json'}"]) == 0
    report = from_json(second.read_text(), name="second.json")
    found = {quantity.name: quantity for quantity in report.quantities}
    assert found["programs compiled after first step"].value == 1
    assert found["programs compiled after first step"].note == "in step 3"
    assert found["compilation after first step"].value > 0
    output = capsys.readouterr().out
    assert "now / earlier" in output
    assert "differs: submission: nadamw earlier, recompiling now" in output
    assert "differs: steps: 12 earlier, 2 now" in output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config.batch_size=128"], "batch size 64 there, 128 here"),
        (["--config.batch_size=64", "--config.eval_batch_size=8"], "eval batch size"),
        (["--config.batch_size=64", "--config.mesh.data=4"], "device count 8 there, 4 here"),
    ],
)
def test_meaningless_comparisons_are_refused(
    folder: pathlib.Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert_refused(capsys, [CONFIG, *arguments, f"--compare={folder / 'first.json'}"], words)


def test_another_workload_is_refused(
    folder: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content: Any = json.loads((folder / "first.json").read_text())
    content["subject"]["workload"] = "cifar"
    path = tmp_path / "cifar.json"
    path.write_text(json.dumps(content))
    arguments = [CONFIG, "--config.batch_size=64", f"--compare={path}"]
    assert_refused(capsys, arguments, "workload 'cifar' there, 'mnist' here")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--steps=0"], "--steps: found 0"),
        (["--steps=many"], "argument --steps: invalid int value: 'many'"),
        (["--step=3"], "--step"),
        (["--config.batchsize=3"], "unknown config key config.batchsize"),
        (["--json=/nonexistent/report.json"], "--json: found '/nonexistent/report.json'; expected a file in a folder"),
        (["--csv=/"], "--csv: found '/'; expected a file"),
        (["--compare=/nonexistent/report.json"], "cannot be read"),
        ([f"--compare={ROOT / 'pyproject.toml'}"], "is not a report of this command"),
        (["--config.distributed.num_processes=2"], "config.distributed is set"),
        (["--config.submission=adam"], "config.submission"),
        (["--beside=jax"], "nadamw in jax cannot be timed beside jax; expected --beside=pytorch"),
        (["--beside=tensorflow"], "expected --beside=pytorch"),
        (["--beside=pytorch", "--config.submission=lion"], "For instance --config.submission=adamw."),
    ],
)
def test_mistakes_end_in_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    assert_refused(capsys, [CONFIG, *arguments], words)


def test_examples_are_those_with_any_weight() -> None:
    assert real_example_count({"weights": np.asarray([1.0, 0.0, 0.5])}) == 2
    assert real_example_count({"weights": np.asarray([[0.0, 1.0], [0.0, 0.0], [1.0, 1.0]])}) == 2


def assert_refused(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    """The command ends with code 2 and one line on stderr, before it measures anything."""
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert words in captured.err
