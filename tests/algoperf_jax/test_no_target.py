"""A model without a published target trains and is evaluated, and never reaches one."""

import json
import pathlib

import pytest

import workloads
from algoperf_jax.workload import Goal
from tests.algoperf_jax.conftest import Command

CONFIG = """
from configs import base

def get_config(variant=""):
    return base.named("targetless", variant)
"""


def test_a_trial_without_a_target_ends_by_its_steps(command: Command, tmp_path: pathlib.Path) -> None:
    config = tmp_path / "targetless.py"
    config.write_text(CONFIG)
    entry = workloads.Entry("tests.algoperf_jax.tiny_workload", base=workloads.Variant({"target": None}))
    with workloads.registered("targetless", entry):
        finished = command(config=config)
    assert (finished.code, finished.err) == (0, "")
    assert "this model has no published target" in finished.out
    assert "(target none)" in finished.out
    (result,) = tmp_path.rglob("result.json")
    content = json.loads(result.read_text())
    assert content["status"] == "training_complete"
    assert content["targets"] == {"validation": None, "test": None}
    assert content["time_to_target_sec"] is None
    assert content["best"]["validation"] > 0


@pytest.mark.parametrize("value", [0.0, 1.0, float("inf")])
def test_no_value_reaches_a_missing_target(value: float) -> None:
    metrics = {"validation/accuracy": value, "test/accuracy": value}
    without = Goal("accuracy", "maximize")
    assert not without.has_target
    assert not without.reached(metrics, "validation")
    assert not without.reached(metrics, "test")
    assert Goal("accuracy", "maximize", validation=0.5).reached(metrics, "test"), "there is no test split"
