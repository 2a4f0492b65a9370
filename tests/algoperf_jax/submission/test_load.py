"""Loading submissions by name, file and module, and the one-line errors about those that cannot be used."""

import hashlib
import pathlib
from collections.abc import Callable

import pytest

from algoperf_jax.errors import SubmissionError
from algoperf_jax.submission.framework_names import JAX, algorithm_names
from algoperf_jax.submission.interface import Submission
from algoperf_jax.submission.load import load_submission
from algoperf_jax.submission.locate import locate
from tests.algoperf_jax import tiny_workload

WORKLOAD = tiny_workload.build("tiny")
Write = Callable[..., pathlib.Path]


def load(reference: object) -> Submission:
    return load_submission(locate(str(reference)), WORKLOAD)


def refusal(reference: object) -> str:
    with pytest.raises(SubmissionError) as caught:
        load(reference)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_ready_made_algorithm() -> None:
    loaded = load("nadamw")
    assert (loaded.name, loaded.framework) == ("nadamw", "jax")
    assert loaded.get_batch_size("tiny") == WORKLOAD.batch_size
    assert loaded.hyperparameters is not None
    assert loaded.hyperparameters["learning_rate"] == 1e-3


def test_names_of_algorithms_are_modules_with_a_factory() -> None:
    assert {"adamw", "nadamw"} <= set(algorithm_names(JAX))


def test_file(submission: Write) -> None:
    path = submission()
    loaded = load(path)
    assert (loaded.name, loaded.hyperparameters, loaded.prepare_for_eval) == ("algorithm", None, None)
    assert loaded.source.path == path
    digests = [hashlib.sha256(content).digest() for content in loaded.source.files.values()]
    assert digests == [hashlib.sha256(path.read_bytes()).digest()]


def test_a_submission_without_a_batch_size_gets_the_workloads(submission: Write) -> None:
    assert load(submission("del get_batch_size")).get_batch_size("tiny") == WORKLOAD.batch_size


def test_file_named_submission_is_called_after_its_folder(submission: Write) -> None:
    assert load(submission(name="submission.py")).name == "submissions"


def test_two_files_of_one_name_are_two_modules(tmp_path: pathlib.Path, submission: Write) -> None:
    first = submission("get_batch_size = lambda name: 1")
    second = tmp_path / "other" / first.name
    second.parent.mkdir()
    second.write_text(first.read_text() + "\nget_batch_size = lambda name: 2")
    assert [load(path).get_batch_size("tiny") for path in (first, second, first)] == [1, 2, 1]


def test_dotted_module(submission: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = submission(name="submission.py")
    monkeypatch.syspath_prepend(path.parents[1])
    loaded = load("submissions.submission")
    assert (loaded.name, loaded.source.path) == ("submissions", path)


def test_file_with_a_factory(submission: Write) -> None:
    path = submission(base="import optax\ndef make_optimizer(hyperparameters, workload): return optax.sgd(0.1)")
    loaded = load(path)
    assert loaded.hyperparameters is None
    assert not loaded.takes_train_state


def test_train_state_is_taken_by_name_only(submission: Write) -> None:
    assert not load(submission("def update_params(**arguments): ...", name="a.py")).takes_train_state
    assert load(submission("def update_params(train_state, **arguments): ...", name="b.py")).takes_train_state


# --- what cannot be used ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("nadam", "unknown algorithm: found 'nadam'"),
        ("nadam", "Did you mean 'nadamw'?"),
        ("no_such.module", "unknown algorithm: found 'no_such.module'"),
        ("os.path.nothing", "unknown algorithm: found 'os.path.nothing'"),
        ("no/such/file.py", "no such file: found 'no/such/file.py'; expected a readable Python file"),
        ("/tmp", "no such file: found '/tmp'"),
        ("json", "lacks init_optimizer_state, update_params, data_selection"),
        ("sys", "a package without a file: found 'sys'"),
        (".relative", "cannot be imported"),
    ],
)
def test_reference_leads_nowhere(reference: str, expected: str) -> None:
    assert expected in refusal(reference)


def test_directory_with_the_name_of_a_file(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "folder.py"
    folder.mkdir()
    assert "no such file" in refusal(folder)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "lacks init_optimizer_state, update_params, data_selection"),
        (b"def f(:\n", "SyntaxError: invalid syntax (algorithm.py, line 1)"),
        (b"x = '\xff\xfe'\n", "codec can't decode byte 0xff"),
        (b"\x00\x01", "source code string cannot contain null bytes"),
        (b"import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module'"),
        (b"1/0\n", "ZeroDivisionError: division by zero"),
        (b"import sys\nsys.exit(3)\n", "SystemExit: 3"),
    ],
)
def test_file_cannot_be_imported(content: bytes, expected: str, submission: Write) -> None:
    path = submission()
    path.write_bytes(content)
    line = refusal(path)
    assert str(path) in line
    assert expected in line


def test_a_failing_module_is_not_reported_as_unknown(submission: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = submission("import no_such_module", name="failing_algorithm.py")
    monkeypatch.syspath_prepend(path.parent)
    assert "cannot be imported: ModuleNotFoundError: No module named 'no_such_module'" in refusal("failing_algorithm")


@pytest.mark.parametrize(
    ("replacement", "expected"),
    [
        ("del data_selection", "lacks data_selection; expected the functions"),
        ("get_batch_size = 5", "lacks get_batch_size"),
        ("prepare_for_eval = 5", "lacks prepare_for_eval"),
        ("def get_batch_size(): ...", "get_batch_size() does not accept its arguments"),
        ("def init_optimizer_state(workload, params): ...", "expected 5 positional arguments"),
        ("def data_selection(workload): ...", "expected 8 positional arguments"),
        ("def update_params(a, b): ...", "expected the keyword arguments workload, current_param_container"),
        ("def update_params(**kwargs): ...\nupdate_params = len", "update_params(obj, /) does not accept"),
        ("def prepare_for_eval(workload): ...", "got an unexpected keyword argument 'current_param_container'"),
        ("def prepare_for_eval(batch, **rest): ...", "missing a required argument: 'batch'"),
    ],
)
def test_function_is_missing_or_takes_something_else(replacement: str, expected: str, submission: Write) -> None:
    path = submission(replacement)
    line = refusal(path)
    assert str(path) in line
    assert expected in line


@pytest.mark.parametrize(
    ("declaration", "expected"),
    [
        ("class Hyperparameters: ...", "expected a typing.NamedTuple in which every field has a default"),
        ("import typing\nclass Hyperparameters(typing.NamedTuple):\n  x: float", "every field has a default"),
        ("def make_optimizer(hyperparameters): ...", "expected 2 positional arguments"),
    ],
)
def test_factory_with_a_wrong_declaration(declaration: str, expected: str, submission: Write) -> None:
    assert expected in refusal(submission(declaration, base="def make_optimizer(hyperparameters, workload): ..."))
