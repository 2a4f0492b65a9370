"""The result of a trial, as a value and as a file."""

import dataclasses
import json
import pathlib

import pytest

from algoperf_jax.errors import RunError
from algoperf_jax.outputs.result import TrialResult, best_values, time_to_target
from algoperf_jax.trial.run_state import Evaluation
from algoperf_jax.workload import Goal
from tests.algoperf_jax.example_result import RESULT

GOAL = Goal("accuracy", "maximize", validation=0.9, test=0.8)


def test_a_result_is_read_back_as_it_was_written(tmp_path: pathlib.Path) -> None:
    result = dataclasses.replace(RESULT, not_comparable=["config.max_steps"], time_to_target_sec=None)
    result.write(tmp_path / "result.json")
    assert TrialResult.read(tmp_path / "result.json") == result


def test_every_field_is_a_key_of_the_file() -> None:
    assert set(json.loads(json.dumps(RESULT.to_json()))) == {field.name for field in dataclasses.fields(TrialResult)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": None}, "the field status is missing"),
        ({"verdict": "good"}, "the field verdict is unknown"),
    ],
)
def test_a_file_with_other_fields_is_named(change: dict, words: str, tmp_path: pathlib.Path) -> None:
    record = {name: value for name, value in (RESULT.to_json() | change).items() if value is not None}
    (tmp_path / "result.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match=words) as caught:
        TrialResult.read(tmp_path / "result.json")
    assert str(tmp_path / "result.json") in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3"])
def test_a_file_without_a_result_is_named(text: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(RunError, match=r"result\.json is damaged: it is not the result of a trial"):
        TrialResult.read(tmp_path / "result.json")


def evaluation(step: int, accuracy: float) -> Evaluation:
    return Evaluation(step, {"validation/accuracy": accuracy, "test/accuracy": accuracy / 2, "score": step / 10})


def test_time_to_target_is_that_of_the_first_evaluation_that_met_it() -> None:
    history = [evaluation(10, 0.5), evaluation(20, 0.9), evaluation(30, 0.91), evaluation(40, 0.99)]
    assert time_to_target(history, GOAL) == 3.0
    assert time_to_target(history[:2], GOAL) is None
    assert time_to_target([], GOAL) is None


def test_best_values_are_finite_and_follow_the_direction() -> None:
    history = [evaluation(10, 0.5), evaluation(20, float("nan")), evaluation(30, float("inf")), evaluation(40, 0.25)]
    assert best_values(history, GOAL) == {"validation": 0.5, "test": 0.25}
    assert best_values(history, dataclasses.replace(GOAL, direction="minimize")) == {"validation": 0.25, "test": 0.125}
    assert best_values([evaluation(10, float("nan"))], GOAL) == best_values([], GOAL) == {}
