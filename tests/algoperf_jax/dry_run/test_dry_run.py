"""What a dry run reports about submissions that work, are slow or fail in various ways."""

import json
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import workloads
from algoperf_jax import configuration as configs
from algoperf_jax.devices.host_reads import Reader, counted
from algoperf_jax.dry_run import isolation, reports
from algoperf_jax.dry_run.__main__ import main
from algoperf_jax.dry_run.attempt import Attempt
from tests.algoperf_jax import tiny_workload
from tests.algoperf_jax.conftest import TINY_CONFIG, submission_writer
from tests.algoperf_jax.conftest import submission as submission
from tests.torch_compat.conftest import FIVE_FUNCTIONS as TORCH_FUNCTIONS

Write = Callable[..., pathlib.Path]
RECOMPILING = """
import jax, numpy as np

increment = jax.jit(lambda x: x + 1)

def update_params(*, current_param_container, model_state, optimizer_state, global_step, **rest):
    increment(np.ones(3 + global_step))
    return optimizer_state, current_param_container, model_state

def init_optimizer_state(*rest):
    return None
"""
READING = """
import jax, numpy as np
def update_params(*, current_param_container, model_state, optimizer_state, **rest):
    loss = current_param_container["Dense_0"]["bias"].sum()
    {statement}
    return optimizer_state, current_param_container, model_state
"""
RAISING = """
def {function}(*arguments, **keywords):
    raise IndexError("nothing\\nat all")
"""
NOT_FINITE = """
import jax
def update_params(*, current_param_container, model_state, optimizer_state, **rest):
    return optimizer_state, jax.tree.map(lambda array: array * float("nan"), current_param_container), model_state
"""
PREPARING = """
def prepare_for_eval(*, current_param_container, model_state, optimizer_state, **rest):
    last = current_param_container["Dense_1"]
    prepared = current_param_container | {"Dense_1": last | {"bias": last["bias"].at[0].add(5.0)}}
    return optimizer_state, prepared, model_state
"""
ENDING = """
from algoperf_jax.submission import TrainingCompleteError
def update_params(**rest):
    raise TrainingCompleteError
"""
DYING = """
import os, signal
def get_batch_size(workload_name):
    return 32 if workload_name == "mnist" else os.kill(os.getpid(), signal.SIGKILL)

def update_params(**rest):
    os._exit(3)
"""


@pytest.fixture(autouse=True)
def tiny(compilation_cache: None) -> Iterator[None]:
    with workloads.registered("tiny", tiny_workload.ENTRY):
        yield


def tried(submission: str | pathlib.Path, *overrides: str, steps: int = 2) -> Attempt:
    """An attempt on the tiny workload and one device, as made by a worker process."""
    arguments = [f"--config={TINY_CONFIG}", f"--config.submission={submission}", "--config.mesh.data=1", *overrides]
    return isolation.attempt_here(configs.from_command_line(arguments), steps=steps)


def told(*attempts: Attempt) -> list[str]:
    """The lines below the table."""
    return list(reports.lines(reports.Report("mine", 2, "", {}, attempts)))


def failure(attempt: Attempt) -> str:
    assert attempt.failure is not None
    assert told(attempt)[0] == f"tiny failed: {attempt.failure}"
    assert "\n" not in attempt.failure
    return attempt.failure


# --- one attempt -----------------------------------------------------------------------------------------------------


def test_a_good_jax_submission() -> None:
    found = tried("nadamw", steps=3)
    assert (found.workload, found.failure, found.framework, found.batch_size) == ("tiny", None, "jax", 32)
    assert [step.programs for step in found.steps] == [{"jit(train_step)": 1}, {}, {}]
    assert [step.host_reads for step in found.steps] == [{}, {}, {}]
    assert found.initialization_sec is not None
    assert found.initialization_sec > 0
    assert found.evaluation_sec is not None
    assert found.evaluation_sec > 0
    assert found.steps[0].seconds > found.steps[0].compile_sec > 0
    assert set(found.results) == {"validation/accuracy", "validation/loss", "validation/num_examples"}
    assert found.loss_is_finite is True
    assert found.memory_peak_bytes["host"] > 2**20
    assert told(found) == []


def test_a_good_pytorch_submission_that_logs(tmp_path: pathlib.Path) -> None:
    found = tried(submission_writer(tmp_path, TORCH_FUNCTIONS, "descent.py")(), "--config.mesh.data=None")
    assert (found.failure, found.framework, found.loss_is_finite) == (None, "pytorch", True)
    assert [step.host_reads for step in found.steps] == [{}, {}]
    assert told(found) == []


def test_recompilation_at_every_step_is_reported(submission: Write) -> None:
    found = tried(submission(RECOMPILING), steps=3)
    assert [step.programs for step in found.steps] == [{"jit(<lambda>)": 1}] * 3
    assert told(found) == ["tiny compiles after its first step: jit(<lambda>) in step 2; jit(<lambda>) in step 3"]


@pytest.mark.parametrize(
    ("statement", "count"),
    [
        ("float(loss)", 1),
        ("loss.item()", 1),
        ("bool(loss > 0) and f'{loss:.3f}'", 1),
        ("np.asarray(loss), np.array(loss)", 2),
        ("jax.device_get([loss, loss + 1])", 2),
        ("[float(loss) for _ in range(3)]", 3),
        ("loss + 1", 0),
        ("np.asarray([1.0]), jax.random.split(rest['rng'])", 0),
    ],
)
def test_reads_on_the_host_are_counted_where_they_happen(submission: Write, statement: str, count: int) -> None:
    path = submission(READING.replace("{statement}", statement))
    line = path.read_text().splitlines().index(f"    {statement}") + 1
    found = tried(path)
    expected = {f"{path}:{line}": count} if count else {}
    assert [step.host_reads for step in found.steps] == [expected, expected]
    times = f" ({count} times)" if count > 1 else ""
    assert told(found) == [f"tiny reads arrays on the host in step 2: {path}:{line}{times}"] * bool(count)


def test_reads_that_cannot_be_counted_are_not() -> None:
    with counted([Reader(int, "__float__", lambda caller, *arguments: True)]) as reads:
        assert float(3) == 3.0
    assert reads.places is None


def test_only_the_outermost_read_of_this_thread_counts() -> None:
    class Array:
        def outer(self) -> str:
            return self.inner()

        def inner(self) -> str:
            return "read"

    before = dict(vars(Array))
    readers = [Reader(Array, name, lambda caller, array: caller == __name__) for name in ("outer", "inner", "absent")]
    with counted(readers) as reads:
        assert Array().outer() == "read"
    assert reads.places is not None
    assert reads.places.total() == 1
    assert dict(vars(Array)) == before


@pytest.mark.parametrize("function", ["update_params", "data_selection", "prepare_for_eval", "init_optimizer_state"])
def test_an_exception_is_reported_with_function_and_line(submission: Write, function: str) -> None:
    path = submission(RAISING.replace("{function}", function))
    line = path.read_text().splitlines().index('    raise IndexError("nothing\\nat all")') + 1
    found = failure(tried(path))
    for words in (f"{function} raised IndexError", "nothing", f"algorithm.py, line {line}"):
        assert words in found


def test_a_loss_that_is_not_finite(submission: Write) -> None:
    found = tried(submission(NOT_FINITE))
    assert "validation/loss is nan after step 2" in failure(found)
    assert found.loss_is_finite is False
    assert len(found.steps) == 2
    assert json.loads(reports.to_json(reports.Report("mine", 2, "", {}, [found])))["attempts"][0]["results"] == {
        **found.results,
        "validation/loss": "nan",
    }


def test_parameters_that_are_not_finite_long_before_the_evaluation(submission: Write) -> None:
    found = tried(submission(NOT_FINITE), steps=5)
    assert "the parameters are no longer finite after step 1" in failure(found)
    assert found.loss_is_finite is False


def test_the_prepared_parameters_are_evaluated(submission: Write) -> None:
    plain, prepared = tried(submission()), tried(submission(PREPARING))
    assert (plain.failure, prepared.failure) == (None, None)
    assert plain.results != prepared.results


def test_training_that_ends_early(submission: Write) -> None:
    found = tried(submission(ENDING))
    assert (found.failure, len(found.steps), found.loss_is_finite) == (None, 1, True)
    assert told(found) == []


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the command run attempts in this process."""

    def attempt(config: Any, *, steps: int, timeout_sec: float) -> Attempt:
        assert timeout_sec == 600
        return isolation.attempt_here(config, steps=steps)

    monkeypatch.setattr(isolation, "attempt_isolated", attempt)


@pytest.mark.usefixtures("in_this_process")
def test_the_command_runs_variants_and_reports_everything(
    submission: Write, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = submission(
        READING.replace("{statement}", "float(loss) if current_param_container['Dense_0']['bias'].size == 8 else 1 / 0")
    )
    file = tmp_path / "report.json"
    before = sorted(tmp_path.rglob("*"))
    arguments = [f"--config.submission={path}", "--config.mesh.data=1", "--workloads=tiny", "--variants"]
    assert main([*arguments, "--steps=3", f"--json={file}"]) == 1
    assert sorted(tmp_path.rglob("*")) == sorted([*before, file])
    captured = capsys.readouterr()
    assert captured.err == "running: tiny (1 of 2)\nrunning: tiny_wide (2 of 2)\n"
    shown = " ".join(captured.out.split())  # the title wraps if the path is long
    for words in ("3 steps on built-in data", "│ tiny ", "│ ok ", "│ tiny_wide │ failed │"):
        assert words in shown
    *_, failed, reading = captured.out.splitlines()
    assert failed.startswith("tiny_wide failed: algorithm: update_params raised ZeroDivisionError")
    assert reading.startswith("tiny reads arrays on the host in step 2: ")

    report = json.loads(file.read_text())
    assert list(report) == ["format", "submission", "steps", "date", "versions", "attempts"]
    assert (report["format"], report["submission"], report["steps"]) == (reports.FORMAT, str(path), 3)
    good, broken = report["attempts"]
    assert list(good) == list(broken) == list(Attempt.__dataclass_fields__)
    assert [list(step) for step in good["steps"]] == [["seconds", "host_reads", "programs", "compile_sec"]] * 3
    assert (good["failure"], broken["steps"]) == (None, [])


@pytest.mark.usefixtures("in_this_process")
def test_the_command_ends_with_0_when_all_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config.submission=nadamw", "--workloads=tiny", "--config.mesh.data=1"]) == 0
    assert "│ tiny     │ ok │" in capsys.readouterr().out


def test_a_process_that_dies_ends_nothing_else(submission: Write, capfd: pytest.CaptureFixture[str]) -> None:
    path = submission(DYING)
    assert main([f"--config.submission={path}", "--workloads=mnist,ogbg"]) == 1
    died, killed = capfd.readouterr().out.splitlines()[-2:]
    assert died == "mnist failed: the process died (exit code 3) during: update_params at step 0"
    assert killed == "ogbg failed: the process died (SIGKILL, out of memory?) during: opening the data"


def test_a_process_that_is_late_is_ended(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--config.submission=nadamw", "--workloads=mnist", "--timeout_sec=0.01"]) == 1
    assert "mnist failed: not finished after 0.01 s, during: starting" in capfd.readouterr().out


def test_an_error_in_the_other_process_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--config.submission=nadamw", "--workloads=mnist", "--config.hyperparameters.rate=1"]) == 2
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "error: unknown hyperparameter config.hyperparameters.rate for nadamw" in captured.err


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--workloads=mnst"], "unknown workload: found 'mnst'. Did you mean 'mnist'?"),
        (["--steps=1"], "--steps: found 1; expected 2 or more"),
        (["--timeout_sec=nan"], "--timeout_sec: found nan"),
        (["--json=/nonexistent/report.json"], "--json: found '/nonexistent/report.json'"),
        (["--step=3"], "--step"),
        (["--config=configs/mnist.py"], "--config=configs/mnist.py is not an option of this command"),
        (["--config.workload=mnist"], "expected --workloads=NAME,NAME"),
        (["--config.max_steps=3"], "expected --steps=N"),
        (["--config.data_dir=data"], "the built-in data is used"),
        (["--config.distributed.num_processes=2"], "config.distributed is set"),
        (["--config.sed=3"], "unknown config key config.sed"),
        (["--config.submission=nadm"], "config.submission: unknown algorithm: found 'nadm'"),
        (["--config.submission=/nonexistent.py"], "config.submission: no such file"),
    ],
)
def test_mistakes_end_in_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    assert main(["--config.submission=nadamw", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    line = captured.err.splitlines()[-1]
    assert line.startswith("error: ")
    assert words in line


@pytest.mark.usefixtures("in_this_process")
def test_hyperparameters_are_the_first_point_of_a_search_space(
    submission: Write, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = submission(
        "def init_optimizer_state(w, p, m, hyperparameters, r): return {'calls': 0 / hyperparameters.rate}"
    )
    arguments = [f"--config.submission={path}", "--config.mesh.data=1", "--workloads=tiny"]
    assert main(arguments) == 1
    assert "has no attribute 'rate'" in capsys.readouterr().out
    path.with_name("tuning_search_space.json").write_text('[{"rate": 0.5}, {"rate": 0}]')
    assert main(arguments) == 0
    space = tmp_path / "space.json"
    space.write_text('[{"rate": 0}]')
    assert main([*arguments, f"--config.search_space={space}"]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().out
