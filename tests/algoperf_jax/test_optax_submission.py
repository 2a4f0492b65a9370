"""Submissions made from optax factories, and what every ready-made algorithm promises: a new one joins by its name."""

import dataclasses
import pathlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from algoperf_jax.assembly import hyperparameter_point
from algoperf_jax.backend import Content
from algoperf_jax.compile_watch import CompileWatch
from algoperf_jax.data.feed import DeviceFeed
from algoperf_jax.evaluation import Evaluator
from algoperf_jax.frameworks import JAX, algorithm_names
from algoperf_jax.jax_backend import JaxBackend
from algoperf_jax.jax_workload import JaxWorkload
from algoperf_jax.load_submission import load_submission
from algoperf_jax.mesh import make_layout
from algoperf_jax.optax_submission import make_functions
from algoperf_jax.submission import ForwardPassMode, Submission
from tests.algoperf_jax import tiny_workload

pytestmark = pytest.mark.usefixtures("compilation_cache")
LAYOUT = make_layout(2)
WORKLOAD = tiny_workload.build("tiny")
KEY = jax.random.PRNGKey(0)
POINTS: dict[str, dict[str, Any]] = {}
"""By algorithm: what makes it converge within `STEPS` steps; `DEFAULT_POINT` where nothing is said."""
DEFAULT_POINT = {"learning_rate": 0.05, "warmup_factor": 0.1}
STEPS = 60


@dataclasses.dataclass
class Training:
    """A submission that is called as the trial loop calls it."""

    submission: Submission
    hyperparameters: Any
    view: Any
    queue: Iterator[Any]
    params: Any
    optimizer_state: Any
    model_state: Any = None
    steps: int = 0

    def step(self) -> None:
        batch = self.submission.data_selection(
            self.view,
            self.queue,
            self.optimizer_state,
            self.params,
            self.model_state,
            self.hyperparameters,
            self.steps,
            KEY,
        )
        self.optimizer_state, self.params, self.model_state = self.submission.update_params(
            workload=self.view,
            current_param_container=self.params,
            current_params_types=self.view.model_params_types,
            model_state=self.model_state,
            hyperparameters=self.hyperparameters,
            batch=batch,
            loss_type=self.view.loss_type,
            optimizer_state=self.optimizer_state,
            eval_results=[],
            global_step=self.steps,
            rng=jax.random.fold_in(KEY, self.steps),
        )
        self.steps += 1

    def loss(self) -> float:
        batch = tiny_workload.points("validation")
        logits, _ = self.view.model_fn(self.params, batch, None, ForwardPassMode.EVAL, KEY, False)
        loss = self.view.loss_fn(batch["targets"], logits)
        return float(loss["summed"] / loss["n_valid_examples"])


def training(name: str) -> Training:
    submission = load_submission(name, WORKLOAD)
    view = JaxWorkload(WORKLOAD, parameter_sharding=LAYOUT.replicated)
    point = POINTS.get(name, {key: DEFAULT_POINT[key] for key in DEFAULT_POINT if key in declared(submission)})
    hyperparameters = hyperparameter_point(submission, point, "external")
    reader = WORKLOAD.data.open("train", batch_size=32, seed=0, placement=LAYOUT.placement)
    params, model_state = view.init_model_fn(KEY)
    state = submission.init_optimizer_state(view, params, model_state, hyperparameters, KEY)
    queue = DeviceFeed(reader, LAYOUT.put_batch)
    return Training(submission, hyperparameters, view, queue, params, state)


def declared(submission: Submission) -> set[str]:
    return set(submission.hyperparameters or ())


def arrays(tree: Any) -> list[Any]:
    return [leaf for leaf in jax.tree.leaves(tree) if isinstance(leaf, jax.Array)]


# --- the contract of ready-made algorithms ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", algorithm_names(JAX))
def test_algorithm_converges_keeps_types_compiles_once_and_donates(name: str) -> None:
    run = training(name)
    before = run.loss()
    signature = [(leaf.shape, leaf.dtype, leaf.weak_type) for leaf in arrays((run.params, run.optimizer_state))]
    structure = jax.tree.structure((run.params, run.optimizer_state))
    handed_over = arrays((run.params, run.optimizer_state))

    run.step()
    assert all(array.is_deleted() for array in handed_over)
    watch = CompileWatch()
    for _ in range(STEPS - 1):
        run.step()
    assert watch.count == 0

    now = (run.params, run.optimizer_state)
    assert jax.tree.structure(now) == structure
    assert [(leaf.shape, leaf.dtype, leaf.weak_type) for leaf in arrays(now)] == signature
    assert {leaf.sharding for leaf in arrays(now)} == {LAYOUT.replicated}
    assert run.loss() < 0.5 * before


@pytest.mark.parametrize("name", algorithm_names(JAX))
def test_algorithm_goes_on_from_a_checkpoint(name: str) -> None:
    run, again = training(name), training(name)
    evaluator = Evaluator(WORKLOAD, LAYOUT, batch_size=64, seed=0, stage_bytes=0)
    backend = JaxBackend(run.view, LAYOUT, evaluator)
    for _ in range(3):
        run.step()
    kept = backend.dehydrate(Content(run.params, None, run.optimizer_state))
    kept = dataclasses.replace(kept, arrays={key: np.array(value) for key, value in kept.arrays.items()})
    again.params, _, again.optimizer_state = backend.hydrate(Content(again.params, None, again.optimizer_state), kept)
    for _ in range(3):
        next(again.queue)
    again.steps = run.steps
    for _ in range(2):
        run.step()
        again.step()
    for ours, theirs in zip(
        arrays((run.params, run.optimizer_state)), arrays((again.params, again.optimizer_state)), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", algorithm_names(JAX))
def test_algorithm_declares_and_documents_its_hyperparameters(name: str) -> None:
    submission = load_submission(name, WORKLOAD)
    assert submission.hyperparameters
    module = pathlib.Path(submission.source.path).read_text()
    assert module.startswith('"""')


# --- nadamw, by hand -------------------------------------------------------------------------------------------------


def test_nadamw_by_hand() -> None:
    run = training("nadamw")
    run.hyperparameters = run.hyperparameters._replace(warmup_factor=0.0, weight_decay=0.1)
    run.optimizer_state = run.submission.init_optimizer_state(run.view, run.params, None, run.hyperparameters, KEY)
    reader = WORKLOAD.data.open("train", batch_size=32, seed=0, placement=LAYOUT.placement)
    rate, beta1, beta2, epsilon = 0.05, 0.9, 0.999, 1e-8
    expected = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), run.params)
    first = jax.tree.map(np.zeros_like, expected)
    second = jax.tree.map(np.zeros_like, expected)

    def mean_loss(params: Any, batch: Any) -> jax.Array:
        logits, _ = tiny_workload.apply(params, None, batch, KEY, train=False, update_batch_norm=False)
        return WORKLOAD.loss(batch["targets"], logits, batch["weights"]).summed / 32

    for t in range(1, 5):
        grads = jax.grad(mean_loss)(jax.tree.map(np.float32, expected), reader.batch(t - 1))
        grads = jax.tree.map(lambda grad: np.asarray(grad, np.float64), grads)
        first = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, first, grads)
        second = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * g**2, second, grads)
        schedule = rate * 0.5 * (1 + np.cos(np.pi * (t - 1) / WORKLOAD.budget.step_hint))

        def updated(p: Any, m: Any, v: Any, g: Any, t: int = t, schedule: float = schedule) -> Any:
            ahead = beta1 * m / (1 - beta1 ** (t + 1)) + (1 - beta1) * g / (1 - beta1**t)
            return p - schedule * (ahead / (np.sqrt(v / (1 - beta2**t)) + epsilon) + 0.1 * p)

        expected = jax.tree.map(updated, expected, first, second, grads)
        run.step()
        for ours, theirs in zip(jax.tree.leaves(run.params), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)


# --- the train step --------------------------------------------------------------------------------------------------


class Point(NamedTuple):
    """Hyperparameters that belong to the train step."""

    dropout_rate: float | None = None
    label_smoothing: float = 0.0
    grad_clip: float | None = None


class Spy:
    """A workload view that remembers how the model was called and what was logged."""

    def __init__(self) -> None:
        self.view = JaxWorkload(WORKLOAD)
        self.calls: list[dict[str, Any]] = []
        self.logged: list[tuple[int, dict[str, float]]] = []
        self.metrics_logger: Any = SimpleNamespace(append_scalar_metrics=self.log)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.view, name)

    def model_fn(self, params: Any, batch: Any, model_state: Any, mode: Any, rng: Any, **options: Any) -> Any:
        self.calls.append({"mode": mode, **options})
        return self.view.model_fn(params, batch, model_state, mode, rng, **options)

    def log(self, metrics: Any, global_step: int) -> None:
        self.logged.append((global_step, {name: float(value) for name, value in metrics.items()}))


def gradient_step(point: Any, *, rate: float = 1.0, batch: Any = None, global_step: int = 0) -> tuple[Any, Any, Spy]:
    """Parameters before and after one step of gradient descent."""
    spy = Spy()
    functions = make_functions(lambda hyperparameters, workload: optax.sgd(rate))
    params, _ = spy.init_model_fn(KEY)
    before = jax.tree.map(np.array, params)
    state = functions.init_optimizer_state(spy, params, None, point, KEY)
    reader = WORKLOAD.data.open("train", batch_size=32, seed=0, placement=make_layout(1).placement)
    _, after, _ = functions.update_params(
        workload=spy,
        current_param_container=params,
        model_state=None,
        batch=reader.batch(0) if batch is None else batch,
        optimizer_state=state,
        global_step=global_step,
        rng=KEY,
    )
    return before, after, spy


def gradient_norm(before: Any, after: Any) -> float:
    return float(optax.tree.norm(jax.tree.map(lambda a, b: a - b, before, after)))


def test_model_is_called_for_training_with_the_dropout_rate() -> None:
    for rate in (None, 0.25):
        before, after, spy = gradient_step(Point(dropout_rate=rate))
        assert spy.calls == [{"mode": ForwardPassMode.TRAIN, "update_batch_norm": True, "dropout_rate": rate}]
    without, _, _ = gradient_step(Point())
    jax.tree.map(np.testing.assert_array_equal, without, before)
    assert gradient_norm(after, gradient_step(Point())[1]) > 1e-3


def test_gradient_is_clipped_to_its_global_norm() -> None:
    before, after, spy = gradient_step(Point())
    norm = gradient_norm(before, after)
    assert spy.logged[0][1]["grad_norm"] == pytest.approx(norm, rel=1e-5)
    for clip, expected in ((norm / 4, norm / 4), (norm * 4, norm)):
        before, after, spy = gradient_step(Point(grad_clip=clip))
        assert gradient_norm(before, after) == pytest.approx(expected, rel=1e-4)
        # What is logged is the norm before clipping.
        assert spy.logged[0][1]["grad_norm"] == pytest.approx(norm, rel=1e-5)


def test_label_smoothing_reaches_the_loss() -> None:
    plain, smooth = (gradient_step(Point(label_smoothing=value))[2].logged[0][1]["loss"] for value in (0.0, 0.5))
    assert plain != pytest.approx(smooth, rel=1e-3)


def test_padding_does_not_count() -> None:
    whole = {**tiny_workload.points("validation"), "weights": np.ones(64, np.float32)}
    half = {**whole, "weights": np.repeat(np.asarray([1, 0], np.float32), 32)}
    first = {name: column[:32] for name, column in whole.items()}
    unweighted = {name: column for name, column in first.items() if name != "weights"}
    _, expected, spy = gradient_step(Point(), batch=first)
    for batch in (half, unweighted):
        _, after, other = gradient_step(Point(), batch=batch)
        assert other.logged[0][1]["loss"] == pytest.approx(spy.logged[0][1]["loss"], rel=1e-5)
        for ours, theirs in zip(jax.tree.leaves(after), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_losses_are_logged_now_and_then_and_only_where_there_is_a_log() -> None:
    assert [step for step, _ in gradient_step(Point(), global_step=0)[2].logged] == [0]
    assert [step for step, _ in gradient_step(Point(), global_step=500)[2].logged] == [500]
    assert gradient_step(Point(), global_step=501)[2].logged == []


def test_point_without_names_of_the_train_step() -> None:
    before, after, spy = gradient_step(SimpleNamespace())
    assert spy.calls[0]["dropout_rate"] is None
    assert jnp.isfinite(gradient_norm(before, after))
