"""A copy of any ready-made algorithm is a submission, and so is the algorithm's own file."""

import pathlib
import shlex

import pytest

from algoperf_jax.new import main
from algoperf_jax.submission.framework_names import ENTRIES, JAX, PYTORCH, algorithm_names
from algoperf_jax.submission.source_files import find
from tests.algoperf_jax.conftest import Command

ALGORITHMS = [(name, framework) for framework in ENTRIES for name in algorithm_names(framework)]


@pytest.mark.parametrize(("name", "framework"), ALGORITHMS)
def test_a_copy_of_any_algorithm_trains(name: str, framework: str, command: Command, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "my_optimizer.py"
    assert main([str(path), f"--like={name}", f"--framework={framework}"]) == 0
    finished = command(f"--config.submission={path}", "--config.max_steps=2")
    assert finished.code == 0, finished
    assert "tiny/my_optimizer: step 2: evaluation" in finished.out
    assert (tmp_path / f"default/my_optimizer/study_1/tiny_builtin_{framework}/trial_1/result.json").exists()


@pytest.mark.parametrize("framework", ENTRIES)
def test_an_algorithm_by_its_path_or_module_trains_as_by_its_name(
    framework: str, command: Command, tmp_path: pathlib.Path
) -> None:
    module = f"{ENTRIES[framework].algorithms}.nadamw"
    losses = []
    for name, reference in (("named", "nadamw"), ("path", str(find(module))), ("module", module)):
        finished = command(
            f"--config.submission={reference}",
            f"--config.framework={framework}",
            f"--config.experiment_name={name}",
            "--config.max_steps=2",
        )
        assert finished.code == 0, finished
        folder = tmp_path / f"{name}/nadamw/study_1/tiny_builtin_{framework}/trial_1"
        rows = [line.split(",") for line in (folder / "eval_measurements.csv").read_text().splitlines()]
        losses.append(rows[1][rows[0].index("validation/loss")])
    assert len(set(losses)) == 1


def test_the_next_command_is_printed_for_pasting(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "with space" / "mine.py"
    path.parent.mkdir()
    assert main([str(path)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"{path} is a copy of nadamw (jax). To train with it:"
    assert f"--config.submission={path}" in shlex.split(said[1])
    original = find("algoperf_jax.algorithms.nadamw")
    assert original is not None
    assert path.read_text() == original.read_text()


def test_help_lists_the_algorithms(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    help_text = capsys.readouterr().out
    for framework in (JAX, PYTORCH):
        assert f"{framework}: {', '.join(algorithm_names(framework))}" in help_text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{}/there.py"], "there.py already exists. Choose another name, or remove the file."),
        (["{}/new.py", "--like=nadam"], "--like: found 'nadam'; expected a ready-made jax algorithm. Did you mean"),
        (["{}/new.py", "--like=muon", "--framework=pytorch"], "It exists for --framework=jax."),
        (["{}/new.py", "--framework=keras"], "argument --framework: invalid choice: 'keras'"),
        (["{}/my-optimizer.py"], "expected a name that Python can import, for instance my_optimizer.py"),
        (["{}/new.txt"], "expected a name that Python can import"),
        (["{}/none/new.py"], "expected a file in a folder that exists"),
        (["{}/there.py/new.py"], "expected a file in a folder that exists"),
    ],
)
def test_a_mistake_is_one_line_and_changes_no_file(
    arguments: list[str], words: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there.py").write_text("mine")
    assert main([argument.format(tmp_path) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert words in error
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("there.py", "mine")]
