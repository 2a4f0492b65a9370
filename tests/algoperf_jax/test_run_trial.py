"""Running a trial from Python, as the command line does."""

import io
import pathlib
from typing import Any

import pytest
from rich.console import Console

import algoperf_jax
from algoperf_jax.configuration import from_command_line, from_values
from algoperf_jax.errors import ConfigError
from algoperf_jax.outputs.result import TrialResult


def test_a_trial_returns_what_it_stores(tmp_path: pathlib.Path) -> None:
    def run() -> TrialResult:
        return algoperf_jax.run_trial(
            "mnist",
            "nadamw",
            console=Console(file=io.StringIO()),
            experiment_dir=tmp_path,
            max_steps=2,
            mesh={"data": 1},
            hyperparameters={"learning_rate": 1e-3},
        )

    result = run()
    assert (result.workload, result.status, result.steps) == ("mnist", "training_complete", 2)
    assert TrialResult.read(pathlib.Path(result.directory) / "result.json") == TrialResult.from_json(result.to_json())
    assert run() == TrialResult.read(pathlib.Path(result.directory) / "result.json")  # finished: nothing to run


def test_values_make_the_configuration_that_the_command_line_makes() -> None:
    values = {"submission": "adamw", "seed": 3, "mesh": {"data": 1}, "hyperparameters": {"beta1": 0.8}}
    arguments = ["--config.submission=adamw", "--config.seed=3", "--config.mesh.data=1"]
    expected = from_command_line(["--config=ogbg", *arguments, "--config.hyperparameters.beta1=0.8"])
    assert from_values("ogbg", values).to_dict() == expected.to_dict()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"max_stps": 3}, r"max_stps.*max_steps"),
        ({"mesh": {"dta": 3}}, r"mesh\.dta"),
        ({"max_steps": 2.5}, r"config\.max_steps: found 2\.5; expected a value of type int"),
        ({"seed": 2**32}, r"config\.seed: found 4294967296"),
        ({"submission": None}, r"config\.submission: found None"),
        ({"num_trials": 2}, "the keys describe a study"),
    ],
)
def test_values_that_do_not_fit_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        from_values("mnist", values)


def test_an_unknown_workload_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'mnistt'.*mnist"):
        algoperf_jax.run_trial("mnistt", "nadamw")
