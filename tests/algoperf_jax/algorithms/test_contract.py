"""Properties of every ready-made algorithm; new ones are found by name."""

import dataclasses
import importlib
import json
import pathlib
import re
from typing import Any

import jax
import numpy as np
import pytest

from algoperf_jax.devices.compile_watch import CompileWatch
from algoperf_jax.devices.evaluation import Evaluator
from algoperf_jax.devices.mesh import make_layout
from algoperf_jax.framework.jax_backend import JaxBackend
from algoperf_jax.submission.framework_names import ENTRIES, JAX, algorithm_names
from algoperf_jax.submission.load import load_submission
from algoperf_jax.submission.locate import locate
from algoperf_jax.trial.backend import Content
from tests.algoperf_jax.algorithms import regression
from tests.algoperf_jax.algorithms.training import LAYOUT, WORKLOAD, Training, arrays, on_host, training

pytestmark = pytest.mark.usefixtures("compilation_cache")
NAMES = algorithm_names(JAX)
STEPS = 60
# Hyperparameters that converge within `STEPS` steps. A new algorithm gets the first point, unless it has its own.
DEFAULT_POINT = {"learning_rate": 0.05, "warmup_factor": 0.1, "update_period": 5}
POINTS: dict[str, dict[str, Any]] = {
    "adafactor": {"learning_rate": 0.02},
    "ademamix": {"learning_rate": 0.02},
    "lion": {"learning_rate": 0.01},
    "prodigy": {"learning_rate": 1.0, "initial_distance": 1e-2},
}


def small_training(name: str, **options: Any) -> Training:
    return training(name, **options, **DEFAULT_POINT | POINTS.get(name, {}))


def evaluates_other_parameters(name: str) -> bool:
    return load_submission(locate(name), WORKLOAD).prepare_for_eval is not None


EVALUATING = [name for name in NAMES if evaluates_other_parameters(name)]


def test_all_are_here() -> None:
    first_order = "adafactor adamw ademamix lamb lion momentum nadamw nesterov prodigy sam schedule_free_adamw"
    assert set(NAMES) >= {*first_order.split(), "muon", "shampoo", "soap"}
    assert "schedule_free_adamw" in EVALUATING


# --- training ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_converges_keeps_types_compiles_once_and_donates(name: str) -> None:
    run = small_training(name)
    before = run.loss()
    signature = [(leaf.shape, leaf.dtype, leaf.weak_type) for leaf in arrays((run.params, run.optimizer_state))]
    structure = jax.tree.structure((run.params, run.optimizer_state))
    # An array of one element may be a placeholder that the optimizer never reads.
    handed_over = [leaf for leaf in arrays((run.params, run.optimizer_state[0])) if leaf.size > 1]

    run.step()
    assert all(array.is_deleted() for array in handed_over)
    watch = CompileWatch()
    run.step(STEPS - 1)
    assert watch.count == 0
    run.prepare_for_eval()

    now = (run.params, run.optimizer_state)
    assert jax.tree.structure(now) == structure
    assert [(leaf.shape, leaf.dtype, leaf.weak_type) for leaf in arrays(now)] == signature
    assert {leaf.sharding for leaf in arrays(now)} == {LAYOUT.replicated}
    assert run.loss() < 0.6 * before


@pytest.mark.parametrize("name", NAMES)
def test_solves_an_ill_conditioned_regression(name: str) -> None:
    run = small_training(name, layout=make_layout(1), workload=regression.WORKLOAD)
    before = regression.distance(run.params)
    run.step(regression.WORKLOAD.budget.step_hint)
    run.prepare_for_eval()
    assert regression.distance(run.params) < 0.1 * before


@pytest.mark.parametrize("name", NAMES)
def test_same_numbers_on_four_devices(name: str) -> None:
    # Not the classifier: along directions without gradients, SOAP's eigenvectors depend on rounding errors.
    one, four = (small_training(name, layout=make_layout(count), workload=regression.WORKLOAD) for count in (1, 4))
    for run in (one, four):
        run.step(12)
    assert {leaf.sharding for leaf in arrays((four.params, four.optimizer_state))} == {make_layout(4).replicated}
    # Sums over the batch differ in their last bits, which Adam's first steps magnify where gradients are near zero.
    for ours, theirs in zip(arrays(four.params), arrays(one.params), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


# --- checkpoints and evaluations --------------------------------------------------------------------------------------


def restored(run: Training, again: Training) -> None:
    """Copies the state of `run` to `again` through NumPy arrays, as a checkpoint does."""
    backend = JaxBackend(run.view, LAYOUT, Evaluator(WORKLOAD, LAYOUT, batch_size=64, seed=0, stage_bytes=0))
    kept = backend.pack(Content(run.params, run.model_state, run.optimizer_state))
    kept = dataclasses.replace(kept, arrays={key: np.array(value) for key, value in kept.arrays.items()})
    template = Content(again.params, again.model_state, again.optimizer_state)
    again.params, again.model_state, again.optimizer_state = backend.unpack(template, kept)
    for _ in range(run.steps):
        next(again.queue)
    again.steps = run.steps


@pytest.mark.parametrize(
    ("name", "during_evaluation"), [*((name, False) for name in NAMES), *((name, True) for name in EVALUATING)]
)
def test_resumes_from_a_checkpoint(name: str, during_evaluation: bool) -> None:
    run, again = small_training(name), small_training(name)
    run.step(6)
    if during_evaluation:
        run.prepare_for_eval()
    restored(run, again)
    assert again.loss() == run.loss()
    run.step(3)
    again.step(3)
    for ours, theirs in zip(
        arrays((run.params, run.optimizer_state[0])), arrays((again.params, again.optimizer_state[0])), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", EVALUATING)
def test_evaluations_do_not_disturb_training(name: str) -> None:
    plain, evaluated = small_training(name), small_training(name)
    watch, compiled = CompileWatch(), []
    for _ in range(4):
        plain.step(5)
        evaluated.step(5)
        trained = on_host(evaluated.params)
        evaluated.prepare_for_eval()
        compiled.append(watch.count)
        judged = on_host(evaluated.params)
        assert not np.allclose(jax.tree.leaves(judged)[0], jax.tree.leaves(trained)[0], atol=1e-4)
        evaluated.prepare_for_eval()  # the last evaluation may directly follow a periodic one
        for ours, theirs in zip(arrays(evaluated.params), jax.tree.leaves(judged), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        for ours, theirs in zip(jax.tree.leaves(trained), arrays(plain.params), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert compiled == 4 * [compiled[0]]


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_documents_itself_on_a_page_or_two(name: str) -> None:
    submission = load_submission(locate(name), WORKLOAD)
    assert submission.hyperparameters
    assert {"dropout_rate", "label_smoothing", "grad_clip"} <= set(submission.hyperparameters)
    module = importlib.import_module(f"{ENTRIES[JAX].algorithms}.{name}")
    documentation = module.__doc__ or ""
    assert re.search(r"\b(19|20)\d\d\b", documentation), "the paper's year"
    assert "decay" in documentation
    described = re.findall(r"^ +(\w+):", module.Hyperparameters.__doc__ or "", re.MULTILINE)
    assert {"Attributes", *module.Hyperparameters._fields} == set(described)
    assert len(pathlib.Path(submission.source.path).read_text().splitlines()) < 200


@pytest.mark.parametrize("name", NAMES)
def test_search_space_names_hyperparameters(name: str) -> None:
    submission = load_submission(locate(name), WORKLOAD)
    space = json.loads(submission.source.path.with_suffix(".json").read_text())
    listed = space if isinstance(space, list) else [space]
    assert listed
    for entry in listed:
        assert set(entry) <= set(submission.hyperparameters or ())
        assert set(entry) == set(listed[0])
    if isinstance(space, dict):
        for dimension in space.values():
            assert set(dimension) in ({"min", "max", "scaling"}, {"feasible_points"})
            if "scaling" in dimension:
                assert dimension["scaling"] in ("log", "linear")
                assert 0 < dimension["min"] < dimension["max"]
