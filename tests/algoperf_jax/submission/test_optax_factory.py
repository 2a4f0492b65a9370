"""The train step of submissions made from optax factories; see `algorithms/` for the ready-made ones."""

from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from algoperf_jax.devices.mesh import make_layout
from algoperf_jax.framework.jax_view import JaxView
from algoperf_jax.submission.interface import ForwardPassMode
from algoperf_jax.submission.optax_factory import make_functions
from tests.algoperf_jax import tiny_workload

pytestmark = pytest.mark.usefixtures("compilation_cache")
WORKLOAD = tiny_workload.build("tiny")
KEY = jax.random.PRNGKey(0)


class Point(NamedTuple):
    """Hyperparameters that belong to the train step."""

    dropout_rate: float | None = None
    label_smoothing: float = 0.0
    grad_clip: float | None = None


class Spy:
    """A workload view that records how the model was called and what was logged."""

    def __init__(self) -> None:
        self.view = JaxView(WORKLOAD)
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
        # The norm before clipping is logged.
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


# --- optimizers that evaluate at other parameters ---------------------------------------------------------------------


class Looked(NamedTuple):
    """The arguments that an optimizer received."""

    value: Any
    value_again: Any
    grad_error: Any
    value_elsewhere: Any


def looking(names: str) -> optax.GradientTransformation:
    """An optimizer that makes no updates and records the offered arguments, all or only the named ones."""

    def keep(params: Any, value: Any, grad: Any, value_fn: Any, grad_fn: Any) -> Looked:
        error = optax.tree.norm(jax.tree.map(jnp.subtract, grad_fn(params), grad))
        elsewhere = jax.tree.map(lambda leaf: 2.0 * leaf, params)
        return Looked(value, value_fn(params), error, value_fn(elsewhere))

    def named(grads: Any, state: Any, params: Any = None, *, value: Any, grad: Any, value_fn: Any, grad_fn: Any) -> Any:
        return optax.tree.zeros_like(grads), keep(params, value, grad, value_fn, grad_fn)

    def everything(grads: Any, state: Any, params: Any = None, **rest: Any) -> Any:
        return optax.tree.zeros_like(grads), keep(params, **rest)

    update = {"named": named, "everything": everything}[names]
    return optax.GradientTransformationExtraArgs(lambda params: Looked(*4 * [jnp.zeros(())]), update)


LINE_SEARCHES = {
    "zoom": lambda: optax.lbfgs(),
    "backtracking": lambda: optax.lbfgs(linesearch=optax.scale_by_backtracking_linesearch(10)),
    "after descent": lambda: optax.chain(optax.sgd(1.0), optax.scale_by_backtracking_linesearch(10, store_grad=True)),
}


@pytest.mark.parametrize("name", LINE_SEARCHES)
def test_line_searches_lower_the_loss_of_the_batch(name: str) -> None:
    spy = Spy()
    functions = make_functions(lambda hyperparameters, workload: LINE_SEARCHES[name]())
    params, model_state = spy.init_model_fn(KEY)
    state = functions.init_optimizer_state(spy, params, model_state, Point(), KEY)
    reader = WORKLOAD.data.open("train", batch_size=32, seed=0, placement=make_layout(1).placement)
    for _ in range(3):
        state, params, model_state = functions.update_params(
            workload=spy,
            current_param_container=params,
            model_state=model_state,
            batch=reader.batch(0),
            optimizer_state=state,
            global_step=0,
            rng=KEY,
        )
    losses = [values["loss"] for _, values in spy.logged]
    assert losses[0] > losses[1] > losses[2]


def test_an_error_of_an_optimizer_is_not_mistaken_for_a_refused_argument() -> None:
    def update(updates: Any, state: Any, params: Any = None, **offered: Any) -> Any:
        raise TypeError("f() got an unexpected keyword argument 'other'")

    optimizer = optax.GradientTransformationExtraArgs(lambda params: (), update)
    with pytest.raises(TypeError, match="'other'"):
        one_step(lambda hyperparameters, workload: optimizer, Point())


class CountingSpy(Spy):
    """A workload whose model state records where and how often the model was called."""

    def model_fn(self, params: Any, batch: Any, model_state: Any, mode: Any, rng: Any, **options: Any) -> Any:
        logits, _ = super().model_fn(params, batch, None, mode, rng, **options)
        return logits, {"calls": model_state["calls"] + 1, "bias": params["Dense_1"]["bias"]}


def one_step(make_optimizer: Any, point: Any, evaluation_params: Any = None) -> tuple[Any, Any, Any, Any]:
    """Functions, and optimizer state, parameters and model state after one step."""
    spy = CountingSpy()
    functions = make_functions(make_optimizer, evaluation_params)
    params, _ = spy.init_model_fn(KEY)
    model_state = {"calls": jnp.zeros(()), "bias": jnp.zeros(3)}
    state = functions.init_optimizer_state(spy, params, model_state, point, KEY)
    return functions, *step(functions, spy, params, model_state, state)


def step(functions: Any, spy: Any, params: Any, model_state: Any, state: Any) -> tuple[Any, Any, Any]:
    reader = WORKLOAD.data.open("train", batch_size=32, seed=0, placement=make_layout(1).placement)
    return functions.update_params(
        workload=spy,
        current_param_container=params,
        model_state=model_state,
        batch=reader.batch(0),
        optimizer_state=state,
        global_step=1,
        rng=KEY,
    )


@pytest.mark.parametrize("names", ["named", "everything"])
def test_optimizer_gets_the_loss_and_its_gradient_here_and_elsewhere(names: str) -> None:
    # With the same dropout at both parameters, and with clipping of both gradients.
    point = Point(dropout_rate=0.5, grad_clip=0.01)
    _, state, _, model_state = one_step(lambda hyperparameters, workload: looking(names), point)
    looked = Looked(*map(float, state[0]))
    assert looked.value_again == pytest.approx(looked.value)
    assert looked.grad_error == pytest.approx(0.0, abs=1e-7)
    assert looked.value_elsewhere != pytest.approx(looked.value, rel=1e-3)
    assert model_state["calls"] == 1


def test_sharpness_aware_minimization_of_optax_leaves_one_trace_in_the_model_state() -> None:
    def sam(hyperparameters: Any, workload: Any) -> Any:
        uphill = optax.chain(optax.contrib.normalize(), optax.sgd(0.1))
        return optax.contrib.sam(optax.sgd(0.1), uphill, opaque_mode=True)

    _, _, params, model_state = one_step(sam, Point())
    assert model_state["calls"] == 1
    np.testing.assert_array_equal(model_state["bias"], 0)  # where the first gradient was taken
    assert float(optax.tree.norm(params["Dense_1"]["bias"])) > 1e-3


# --- parameters for evaluation ----------------------------------------------------------------------------------------


def test_state_may_begin_with_the_parameters_and_hold_keys() -> None:
    def make_optimizer(hyperparameters: Any, workload: Any) -> Any:
        def unchanged(updates: Any, state: Any, params: Any = None) -> Any:
            return updates, state

        anchored = optax.GradientTransformation(lambda params: params, unchanged)
        return optax.chain(anchored, optax.add_noise(0.1, 0.5, jax.random.key(0)), optax.sgd(0.1))

    _, state, params, _ = one_step(make_optimizer, Point())
    before = JaxView(WORKLOAD).init_model_fn(KEY)[0]
    jax.tree.map(np.testing.assert_array_equal, state[0][0], before)
    assert gradient_norm(before, params) > 1e-3


def test_parameters_for_evaluation_may_be_those_of_training() -> None:
    spy = CountingSpy()
    # The identity, whose result must still not share memory with its argument.
    functions, state, params, model_state = one_step(
        lambda hyperparameters, workload: optax.sgd(0.1), Point(), lambda optimizer_state, params: params
    )
    _, plain_state, plain, plain_model_state = one_step(lambda hyperparameters, workload: optax.sgd(0.1), Point())
    for _ in range(3):
        state, params, model_state = functions.prepare_for_eval(
            workload=spy, current_param_container=params, model_state=model_state, optimizer_state=state
        )
        state, params, model_state = step(functions, spy, params, model_state, state)
        plain_state, plain, plain_model_state = step(functions, spy, plain, plain_model_state, plain_state)
    jax.tree.map(np.testing.assert_array_equal, params, plain)


def test_most_algorithms_need_nothing_before_an_evaluation() -> None:
    assert make_functions(lambda hyperparameters, workload: optax.sgd(0.1)).prepare_for_eval is None
