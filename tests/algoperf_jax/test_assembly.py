"""Keys, sizes and hyperparameter points of a trial."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from algoperf_jax import assembly
from algoperf_jax.assembly import Keys, Parts, assemble, hyperparameter_point, make_keys
from algoperf_jax.errors import ConfigError, SubmissionError
from algoperf_jax.framework.jax_framework import FRAMEWORK
from algoperf_jax.submission.interface import Submission
from algoperf_jax.submission.load import load_submission
from algoperf_jax.submission.locate import locate
from configs import base
from tests import golden_support
from tests.algoperf_jax import tiny_workload

WORKLOAD = dataclasses.replace(tiny_workload.build("tiny"), name="tiny_wide")
Write = Callable[..., pathlib.Path]


def settings(**changes: Any) -> Any:
    config: Any = base.named("tiny", "wide")
    config.mesh.data = 2
    config.update_from_flattened_dict(changes)
    return config


def assembled(path: pathlib.Path | str = "nadamw", **changes: Any) -> Parts:
    return assemble(settings(**changes), FRAMEWORK, WORKLOAD, load_submission(locate(str(path)), WORKLOAD), None)


# --- keys ------------------------------------------------------------------------------------------------------------

GOLDEN_KEYS = golden_support.listing("random_utils")["jax_path"]


@pytest.mark.parametrize("seed", GOLDEN_KEYS)
def test_keys_are_those_of_the_benchmark(seed: str) -> None:
    golden = GOLDEN_KEYS[seed]["runner_external"]
    keys = make_keys(int(seed), "external")
    assert keys.data.tolist() == golden["data_rng"]
    assert keys.optimizer.tolist() == golden["opt_init_rng"]
    assert keys.model.tolist() == golden["model_init_rng"]
    assert keys.loop.tolist() == golden["loop_rng"]
    assert all(getattr(keys, field.name).dtype == np.uint32 for field in dataclasses.fields(Keys))


@pytest.mark.parametrize("seed", GOLDEN_KEYS)
def test_keys_of_steps_are_those_of_the_benchmark(seed: str) -> None:
    golden = GOLDEN_KEYS[seed]["runner_external"]
    backend, loop = assembled().backend, make_keys(int(seed), "external").loop
    for step, expected in enumerate((golden["step0_[data_select,update,prep_eval,eval]"], golden["step1"])):
        assert [np.asarray(key).tolist() for key in backend.step_keys(loop, step)] == expected


def test_self_tuning_keys_skip_a_split() -> None:
    key = jax.random.PRNGKey(5)
    np.testing.assert_array_equal(make_keys(5, "self").data, jax.random.split(key, 4)[0])
    assert not np.array_equal(make_keys(5, "self").data, make_keys(5, "external").data)


# --- sizes -----------------------------------------------------------------------------------------------------------


def test_sizes_of_configuration_submission_and_workload_in_this_order(submission: Write) -> None:
    path = submission("def get_eval_batch_size(name): return 16")
    parts = assembled(path, batch_size=8, eval_batch_size=4)
    assert (parts.batch_size, parts.view.eval_batch_size) == (8, 4)
    parts = assembled(path)
    assert (parts.batch_size, parts.view.eval_batch_size) == (32, 16)
    parts = assembled(submission())
    assert (parts.batch_size, parts.view.eval_batch_size) == (32, WORKLOAD.eval_batch_size)


@pytest.mark.parametrize("function", ["get_batch_size", "get_eval_batch_size"])
def test_unknown_variant_gets_the_size_of_its_base_workload(function: str, submission: Write) -> None:
    path = submission(
        f"def {function}(name):",
        "    if name != 'tiny': raise ValueError(name)",
        "    import numpy",
        "    return numpy.int64(24)",
    )
    parts = assembled(path)
    size = parts.batch_size if function == "get_batch_size" else parts.view.eval_batch_size
    assert size == 24
    assert type(size) is int


def test_only_a_value_error_leads_to_the_base_workload(submission: Write) -> None:
    path = submission("def get_batch_size(name): return {'tiny': 8}[name]")
    with pytest.raises(
        SubmissionError, match=r"get_batch_size\('tiny_wide'\) raised KeyError.*set --config.batch_size"
    ):
        assembled(path)
    assert assembled(path, batch_size=16).batch_size == 16


def test_size_that_the_devices_cannot_share() -> None:
    with pytest.raises(ConfigError, match=r"config\.batch_size: found 7; expected a positive multiple"):
        assemble(settings(batch_size=7), FRAMEWORK, WORKLOAD, load_submission(locate("nadamw"), WORKLOAD), None)


def test_size_of_a_submission_that_the_devices_cannot_share(submission: Write) -> None:
    with pytest.raises(ConfigError, match="found 9; expected a positive multiple of the number of devices"):
        assembled(submission("def get_batch_size(name): return 9"))


def test_evaluation_batches_that_the_devices_cannot_share_are_padded(submission: Write) -> None:
    parts = assembled(submission("def get_eval_batch_size(name): return 9"))
    assert parts.view.eval_batch_size == 9
    params, model_state = WORKLOAD.init(parts.keys.model)
    found = parts.evaluator(params, model_state, parts.keys.loop)
    whole = assembled(submission()).evaluator(params, model_state, parts.keys.loop)
    assert found == pytest.approx(whole, rel=1e-6)  # float32 sums in another order


def test_budget_of_the_configuration_replaces_that_of_the_workload(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly.workloads, "load", lambda name, data_dir, edition: WORKLOAD)
    workload = assembly.load_workload(settings(max_runtime_sec=2.5, step_hint=7))
    assert dataclasses.astuple(workload.budget) == (2.5, WORKLOAD.budget.eval_period_sec, 7)
    assert assembly.load_workload(settings()).budget == WORKLOAD.budget


# --- hyperparameters -------------------------------------------------------------------------------------------------


def point(submission: Submission, ruleset: str = "external", **given: Any) -> Any:
    return hyperparameter_point(submission, given, ruleset)


def test_declared_hyperparameters_have_defaults() -> None:
    nadamw = load_submission(locate("nadamw"), WORKLOAD)
    found = point(nadamw, learning_rate=1, grad_clip=2.0)
    assert (found.learning_rate, found.grad_clip, found.beta2) == (1, 2.0, 0.999)
    assert type(found).__name__ == "Hyperparameters"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"learnin_rate": 1}, "unknown hyperparameter config.hyperparameters.learnin_rate for nadamw. Did you mean"),
        ({"zzz": 1}, "Known: beta2, dropout_rate"),
        (
            {"learning_rate": "fast"},
            "found 'fast'; expected a value of type float, for instance --config.hyperparameters",
        ),
        ({"learning_rate": None}, "config.hyperparameters.learning_rate: found None; expected a value of type float"),
    ],
)
@pytest.mark.parametrize("ruleset", ["external", "self"])
def test_declared_hyperparameters_are_checked(given: dict[str, Any], expected: str, ruleset: str) -> None:
    with pytest.raises(ConfigError) as caught:
        point(load_submission(locate("nadamw"), WORKLOAD), ruleset, **given)
    assert expected in str(caught.value)


def test_hyperparameters_get_the_types_of_their_defaults(submission: Write) -> None:
    path = submission(
        "from typing import NamedTuple\n"
        "class Hyperparameters(NamedTuple):\n"
        "    period: int = 20\n"
        "    nesterov: bool = True\n"
        "    betas: tuple = (0.9, 0.999)\n"
        "    clip: float | None = None\n"
    )
    loaded = load_submission(locate(str(path)), WORKLOAD)
    assert point(loaded, period=1e3, nesterov=0, betas=[1, 0.9], clip=2) == (1000, False, (1.0, 0.9), 2)
    for name, value, expected in (
        ("period", 5.5, "config.hyperparameters.period: found 5.5; expected a value of type int, for instance --"),
        (
            "nesterov",
            "no",
            "found 'no'; expected a value of type bool, for instance --config.hyperparameters.nesterov=",
        ),
        ("betas", 0.9, "expected a value of type tuple of float, for instance --config.hyperparameters.betas='(0.9"),
    ):
        with pytest.raises(ConfigError) as caught:
            point(loaded, **dict[str, Any]({name: value}))
        assert expected in str(caught.value)


def test_five_functions_take_any_hyperparameters(submission: Write) -> None:
    loaded = load_submission(locate(str(submission())), WORKLOAD)
    assert point(loaded, new=0.5, name="x")._asdict() == {"new": 0.5, "name": "x"}
    assert point(loaded) == ()
    assert point(loaded, "self") is None


@pytest.mark.parametrize("name", ["class", "_private", "1st"])
def test_names_that_cannot_be_attributes(name: str, submission: Write) -> None:
    with pytest.raises(ConfigError, match=f"config.hyperparameters.{name}; expected a valid Python name"):
        point(load_submission(locate(str(submission())), WORKLOAD), **dict[str, Any]({name: 1}))


def test_self_tuning_functions_take_none(submission: Write) -> None:
    with pytest.raises(ConfigError, match="a self-tuning submission takes none, but got new"):
        point(load_submission(locate(str(submission())), WORKLOAD), "self", new=1)


# --- the first state -------------------------------------------------------------------------------------------------


def test_first_state_follows_the_seed() -> None:
    one, again, other = (assembly.initial_state(assembled(seed=seed)) for seed in (1, 1, 2))
    jax.tree.map(np.testing.assert_array_equal, one.params, again.params)
    assert not np.array_equal(one.params["Dense_0"]["kernel"], other.params["Dense_0"]["kernel"])
    assert one.rng.tolist() == make_keys(1, "external").loop.tolist()
    assert (one.step, one.history) == (0, ())


def test_true_number_of_training_examples_is_shown() -> None:
    claimed = dataclasses.replace(WORKLOAD, split_sizes={**WORKLOAD.split_sizes, "train": 10**6})
    parts = assemble(settings(), FRAMEWORK, claimed, load_submission(locate("nadamw"), claimed), None)
    assert parts.view.num_train_examples == parts.reader.num_examples == 256
