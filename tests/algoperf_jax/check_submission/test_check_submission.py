"""The command: what it finds when it calls a submission's functions, what it writes, and how it ends."""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import workloads
from algoperf_jax.check_submission import dynamic
from algoperf_jax.check_submission.__main__ import main
from tests.algoperf_jax.conftest import FIVE_FUNCTIONS
from tests.algoperf_jax.conftest import compilation_cache as compilation_cache
from tests.algoperf_jax.rule_check.conftest import Write
from tests.torch_compat.conftest import FIVE_FUNCTIONS as TORCH_FUNCTIONS

UPDATE = """
import jax
import jax.numpy as jnp
def update_params(workload, current_param_container, current_params_types, model_state, hyperparameters, batch,
                  loss_type, optimizer_state, eval_results, global_step, rng):
    params, state = current_param_container, optimizer_state
"""
RETURN = "    return state, params, model_state"
PREPARE = """
def prepare_for_eval(workload, current_param_container, current_params_types, model_state, hyperparameters, loss_type,
                     optimizer_state, eval_results, global_step, rng):
"""


@dataclasses.dataclass(frozen=True)
class Checked:
    """The outcome of a command."""

    code: int
    out: str
    err: str

    @property
    def report(self) -> dict[str, Any]:
        return json.loads(self.out)

    def found(self) -> list[tuple[str, str]]:
        return [(finding["severity"], finding["rule"]) for finding in self.report["findings"]]

    def result(self) -> str:
        (row,) = self.report["workloads"]
        return row["result"]


Check = Callable[..., Checked]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], compilation_cache: None) -> Iterator[Check]:
    """Runs the command with an additional, fast workload that counts as part of the benchmark."""

    def run(*arguments: Any) -> Checked:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Checked(code, captured.out, captured.err)

    entry = workloads.Entry("tests.algoperf_jax.tiny_workload", base=workloads.Variant(suite="algoperf"))
    with workloads.registered("tiny", entry):
        yield run


@pytest.fixture
def check(command: Check, write: Write, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Checks a submission of a few lines on the tiny workload, with real steps or by tracing."""

    def run(addition: str = "", *options: str, traced: bool = False, base: str = FIVE_FUNCTIONS) -> Checked:
        monkeypatch.setattr(dynamic, "SMALLEST_WORKLOAD", "mnist" if traced else "tiny")
        path = write(addition, base=base)
        return command(path, "--ruleset=self", "--workloads=tiny", "--format=json", *options)

    return run


# Severity and rule of the finding, code that replaces some functions, and words in the message.
BROKEN = [
    ("error", "return-value", UPDATE + "    return params, model_state", "a tuple of 2"),
    ("error", "return-value", PREPARE + "    return None", "prepare_for_eval returned NoneType"),
    ("error", "raises", UPDATE + "    raise KeyError('rate')", "update_params raised KeyError: 'rate'"),
    ("error", "raises", UPDATE + "    raise SystemExit(1)", "update_params raised SystemExit: 1"),
    (
        "error",
        "raises",
        "def init_optimizer_state(*a): raise TypeError('no')",
        "init_optimizer_state raised TypeError: no",
    ),
    ("error", "raises", "def data_selection(*a): return [][1]", "data_selection raised IndexError"),
    ("error", "raises", PREPARE + "    return hyperparameters.rate", "prepare_for_eval raised AttributeError"),
    ("error", "parameters", UPDATE + "    return state, {}, model_state", "parameters of 0 arrays"),
    (
        "error",
        "parameters",
        UPDATE + "    params = jax.tree.map(lambda p: p.astype('bfloat16'), params)\n" + RETURN,
        "the parameter Dense_0/bias of type: found 'bfloat16'; expected float32",
    ),
    (
        "error",
        "parameters",
        UPDATE + "    params = {'Dense_0': params['Dense_1'], 'Dense_1': params['Dense_0']}\n" + RETURN,
        "parameters Dense_0/bias is float32[3], expected float32[8]",
    ),
    (
        "warning",
        "optimizer-state",
        UPDATE + "    state = {'count': type('Counter', (), {'__slots__': ('n',)})()}\n" + RETURN,
        "optimizer_state.count is a Counter, whose state cannot be saved",
    ),
    ("warning", "batch", UPDATE + "    del batch['targets']\n" + RETURN, "changes its batch"),
    (
        "warning",
        "not-finite",
        UPDATE + "    params = jax.tree.map(lambda p: p * jnp.nan, params)\n" + RETURN,
        "not finite",
    ),
    (
        "error",
        "batch-size",
        "def get_batch_size(workload_name): return 1.5",
        "returned: found 1.5; expected a positive int",
    ),
    (
        "error",
        "batch-size",
        "def get_batch_size(workload_name): raise ValueError('unknown')",
        "raised ValueError: unknown",
    ),
    ("note", "batch-size", "def get_batch_size(workload_name): return 12", "multiple of the number of devices"),
    ("error", "import", "import jax\njax.no_such_name", "AttributeError"),
]


@pytest.mark.parametrize(("severity", "rule", "addition", "words"), BROKEN)
def test_errors_of_a_function_are_found(check: Check, severity: str, rule: str, addition: str, words: str) -> None:
    checked = check(addition)
    assert checked.found() == [(severity, rule)]
    (finding,) = checked.report["findings"]
    assert words in finding["message"].replace("optimizer state", "optimizer_state"), finding
    assert finding["file"] == "submission.py"
    assert finding["line"] > 0
    assert checked.code == (1 if severity == "error" else 0)
    expected = "skipped" if rule == "import" else "fail" if severity == "error" else "pass"
    assert checked.result() == expected
    assert "Traceback" not in checked.out + checked.err


@pytest.mark.parametrize(("severity", "rule", "addition", "words"), BROKEN)
def test_tracing_finds_the_same_where_no_value_is_needed(
    check: Check, severity: str, rule: str, addition: str, words: str
) -> None:
    checked = check(addition, traced=True)
    assert checked.found() == ([] if rule == "not-finite" else [(severity, rule)])


@pytest.mark.parametrize(
    "addition",
    [
        "",
        UPDATE + "    print('a step')\n" + RETURN,
        PREPARE + "    return optimizer_state, current_param_container, model_state",
        UPDATE.replace("rng):", "rng, train_state):") + "    assert train_state['is_time_remaining']\n" + RETURN,
        "from algoperf.spec import TrainingCompleteError\n" + UPDATE + "    raise TrainingCompleteError",
        "def data_selection(workload, input_queue, *a): return input_queue\n" + UPDATE + "    next(batch)\n" + RETURN,
    ],
)
@pytest.mark.parametrize("traced", [False, True])
def test_valid_behavior_has_no_findings(check: Check, addition: str, traced: bool) -> None:
    checked = check(addition, traced=traced)
    assert (checked.code, checked.found(), checked.result()) == (0, [], "pass")


def test_the_line_is_the_submissions_own(check: Check) -> None:
    checked = check(UPDATE + "    return jnp.ones(2) @ jnp.ones(3)")
    (finding,) = checked.report["findings"]
    assert finding["line"] == len((FIVE_FUNCTIONS + UPDATE).splitlines()) + 2


def test_functions_that_need_values_run_on_request(check: Check) -> None:
    reads = UPDATE + "    if float(params['Dense_0']['bias'][0]) > 1: raise ValueError\n" + RETURN
    checked = check(reads, traced=True)
    assert checked.found() == [("note", "not-traceable")]
    assert (checked.code, checked.result()) == (0, "skipped")
    checked = check(reads, "--real_steps", traced=True)
    assert (checked.code, checked.found(), checked.result()) == (0, [], "pass")


def test_pytorch_submissions_take_a_step(check: Check) -> None:
    for traced in (False, True):
        checked = check(base=TORCH_FUNCTIONS, traced=traced)
        assert (checked.code, checked.found(), checked.result()) == (0, [], "pass")
        assert checked.report["framework"] == "pytorch"


@pytest.mark.parametrize(
    ("statement", "rule", "words"),
    [
        ("params = torch.nn.Linear(1, 1)", "parameters", "another module"),
        ("next(params.parameters()).data = torch.zeros(1)", "parameters", "the shape (1,)"),
        (
            "params.register_parameter('more', torch.nn.Parameter(torch.ones(1)))",
            "optimizer-state",
            "could not be resumed",
        ),
        ("batch['targets'].zero_()", "batch", "changes its batch"),
    ],
)
def test_errors_of_a_pytorch_submission_are_found(check: Check, statement: str, rule: str, words: str) -> None:
    update = UPDATE.replace("import jax\nimport jax.numpy as jnp\n", "")
    checked = check(f"{update}    {statement}\n{RETURN}", base=TORCH_FUNCTIONS)
    assert [found for _, found in checked.found()] == [rule]
    assert words in checked.report["findings"][0]["message"]


# --- hyperparameters


def test_the_first_point_of_a_search_space_is_given(command: Check, write: Write, tmp_path: pathlib.Path) -> None:
    asserts = UPDATE + "    assert hyperparameters.rate == 0.5, hyperparameters\n" + RETURN
    path = write(asserts, **{"tuning_search_space.json": '[{"rate": 0.5}, {"rate": 1.0}]'})
    arguments = (path, "--workloads=tiny", "--format=json")
    assert command(*arguments).found() == []
    other = tmp_path / "other.json"
    other.write_text('{"rate": {"feasible_points": [0.25]}}')
    checked = command(*arguments, f"--search_space={other}")
    assert "rate=0.25" in checked.report["findings"][0]["message"]
    assert [rule for _, rule in command(*arguments, "--ruleset=self").found()] == ["raises"]


def test_hyperparameters_that_are_missing_or_wrong_are_found(command: Check, write: Write) -> None:
    arguments = ("--workloads=tiny", "--format=json")
    assert command(write(), *arguments).found() == [("warning", "hyperparameters")]
    declares = "from typing import NamedTuple\nclass Hyperparameters(NamedTuple):\n    rate: float = 0.1"
    assert command(write(declares), *arguments).found() == []
    unknown = command(write(declares, **{"tuning_search_space.json": '[{"rat": 0.5}]'}), *arguments)
    assert unknown.found() == [("error", "hyperparameters")]
    broken = command(write(declares, **{"tuning_search_space.json": "[{"}), *arguments)
    assert broken.found() == [("error", "hyperparameters")]
    assert broken.report["findings"][0]["file"] == "tuning_search_space.json"


# --- the command


@pytest.mark.parametrize(
    ("addition", "rule", "result"),
    [
        ("def f(:", "syntax", "skipped"),
        (UPDATE + "    return None", "return-value", "fail"),
        ("import os\nos.environ['XLA_FLAGS'] = '--xla_dump_to=x'", "environment", "pass"),
        ("def f(workload): return 1 if str(workload) == 'ogbg' else 2", "workload-name", "pass"),
    ],
)
def test_a_broken_submission_ends_with_1(
    command: Check, write: Write, monkeypatch: pytest.MonkeyPatch, addition: str, rule: str, result: str
) -> None:
    monkeypatch.setenv("XLA_FLAGS", "")  # restored afterwards
    checked = command(write(addition), "--ruleset=self", "--workloads=mnist")
    assert checked.code == 1
    lines = checked.out.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("error")] == [rule]
    assert any(line.startswith(f"{result} ") and "mnist" in line for line in lines)
    assert lines[-1] == "1 error, 0 warnings, 0 notes"


@pytest.mark.parametrize("framework", ["jax", "pytorch"])
@pytest.mark.parametrize("name", ["nadamw", "adamw"])
def test_ready_made_algorithms_pass(command: Check, name: str, framework: str) -> None:
    checked = command(name, f"--framework={framework}", "--workloads=mnist", "--format=json")
    assert (checked.code, checked.result()) == (0, "pass")
    assert {severity for severity, _ in checked.found()} <= {"note"}


def test_the_report_has_a_fixed_form(command: Check, write: Write) -> None:
    path = write("import time\ntime.time()")
    report = command(path.parent, "--static", "--format=json").report
    assert list(report) == ["submission", "framework", "files", "findings", "workloads", "versions"]
    assert report["submission"] == str(path)
    assert report["framework"] == "jax"
    assert report["workloads"] == []
    assert [list(finding) for finding in report["findings"]] == [["severity", "rule", "message", "file", "line"]]
    assert {"python", "jax"} <= set(report["versions"])


def test_a_report_is_written_to_a_file(command: Check, write: Write, tmp_path: pathlib.Path) -> None:
    output = tmp_path / "report.txt"
    checked = command(write("import os\nos.fork()"), "--static", f"--output={output}")
    assert checked.out == "1 error, 0 warnings, 0 notes\n"
    assert output.read_text().endswith(f"\n{checked.out}")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.py"], "no such submission"),
        (["nadamw", "--workloads=mnits"], "Did you mean 'mnist'?"),
        (["nadamw", "--ruleset=own"], "--ruleset"),
        (["nadamw", "--framework=jaxx"], "--framework"),
        (["nadamw", "--search_space=none.json"], "none.json"),
        (["nadamw", "--search_space=none.json", "--ruleset=self"], "--ruleset=external"),
        (["nadamw", "--output=/no/such/folder/report"], "--output"),
        (["nadamw", "--unknown"], "--unknown"),
        (["--static"], "submission"),
    ],
)
def test_errors_in_the_command_exit_with_2(command: Check, arguments: list[str], words: str) -> None:
    checked = command(*arguments)
    assert (checked.code, checked.out) == (2, "")
    assert checked.err.startswith("error: ")
    assert checked.err.count("\n") == 1
    assert words in checked.err


def test_help_lists_the_options(command: Check) -> None:
    checked = command("--help")
    assert checked.code == 0
    assert all(option in checked.out for option in ("--ruleset", "--real_steps", "--output", "Exit codes"))
