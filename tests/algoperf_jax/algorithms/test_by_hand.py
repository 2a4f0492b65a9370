"""Steps of ready-made algorithms agree with the papers' formulas, computed with NumPy in float64."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from algoperf_jax.algorithms import ademamix, momentum, muon, nesterov, schedule_free_adamw
from algoperf_jax.algorithms.sam import sharpness_aware
from algoperf_jax.algorithms.shampoo import merged_shape, scale_by_shampoo
from algoperf_jax.algorithms.soap import scale_by_soap
from algoperf_jax.schedules import warmup_cosine, warmup_linear
from algoperf_jax.submission.optax_factory import make_functions
from tests.algoperf_jax.algorithms import regression
from tests.algoperf_jax.algorithms.training import KEY, WORKLOAD, arrays, training

STEPS = 7


class View:
    """The parts of a workload that a schedule and Muon need."""

    step_hint = 20

    def is_output_params(self, name: str) -> bool:
        return name == "head"


def gradients(*shape: int) -> list[np.ndarray]:
    """Gradients of a random walk, so that averages of them matter."""
    rng = np.random.default_rng(0)
    return list(np.cumsum(rng.standard_normal((STEPS, *shape)), axis=0))


def updates_of(transformation: optax.GradientTransformation, grads: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Updates of one array for these gradients."""
    params = {"array": jnp.zeros(grads[0].shape)}
    state = transformation.init(params)
    update: Callable[..., Any] = jax.jit(transformation.update)
    for grad in grads:
        updates, state = update({"array": jnp.asarray(grad, jnp.float32)}, state, params)
        yield np.asarray(updates["array"], np.float64)


def moments(grads: list[np.ndarray], beta1: float, beta2: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Adam's two moments with bias correction."""
    first, second = np.zeros_like(grads[0]), np.zeros_like(grads[0])
    for step, grad in enumerate(grads, start=1):
        first, second = beta1 * first + (1 - beta1) * grad, beta2 * second + (1 - beta2) * grad**2
        yield first / (1 - beta1**step), second / (1 - beta2**step)


# --- Shampoo ----------------------------------------------------------------------------------------------------------


def unfolded(array: np.ndarray, axis: int) -> np.ndarray:
    return np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)


def along(array: np.ndarray, axis: int, matrix: np.ndarray) -> np.ndarray:
    return np.moveaxis(np.tensordot(matrix, array, ((1,), (axis,))), 0, axis)


@pytest.mark.parametrize(
    ("shape", "max_size", "axes"),
    [((4, 3), 8, (0, 1)), ((4, 9), 8, (0,)), ((3, 4, 5), 8, (0, 1, 2)), ((9, 10), 8, ()), ((6,), 8, ())],
    ids=["matrix", "one long axis", "three axes", "long axes", "vector"],
)
def test_shampoo_by_hand(shape: tuple[int, ...], max_size: int, axes: tuple[int, ...]) -> None:
    beta1, beta2, epsilon, matrix_epsilon, period = 0.9, 0.95, 1e-8, 1e-4, 3
    ours = updates_of(
        scale_by_shampoo(
            beta1, beta2, epsilon=epsilon, matrix_epsilon=matrix_epsilon, update_period=period, max_size=max_size
        ),
        gradients(*shape),
    )
    statistics = {axis: np.zeros((shape[axis], shape[axis])) for axis in axes}
    roots: dict[int, np.ndarray] = {}
    theirs = moments(gradients(*shape), beta1, beta2)
    for step, (grad, update, (first, second)) in enumerate(zip(gradients(*shape), ours, theirs, strict=True), start=1):
        expected = adam = first / (np.sqrt(second) + epsilon)
        for axis in axes:
            product = unfolded(grad, axis) @ unfolded(grad, axis).T
            statistics[axis] = beta2 * statistics[axis] + (1 - beta2) * product
            if step % period == 0:
                ridge = matrix_epsilon * np.linalg.norm(statistics[axis], 2) * np.eye(shape[axis])
                values, vectors = np.linalg.eigh(statistics[axis] + ridge)
                roots[axis] = vectors @ np.diag(values ** (-1 / (2 * len(axes)))) @ vectors.T
        if roots:
            expected = first
            for axis in axes:
                expected = along(expected, axis, roots[axis])
            expected = expected * np.linalg.norm(adam) / np.linalg.norm(expected)
        # Float32 inverse roots of matrices with condition numbers up to 1e4.
        np.testing.assert_allclose(update, expected, rtol=1e-3, atol=1e-4)


def test_short_axes_are_merged() -> None:
    assert merged_shape((3, 3, 4, 8), 16) == (9, 4, 8)
    assert merged_shape((3, 3, 4, 8), 64) == (36, 8)
    assert merged_shape((1, 1, 32, 8), 16) == (32, 8)
    assert merged_shape((5,), 16) == (5,)
    assert merged_shape((), 16) == ()


# --- SOAP -------------------------------------------------------------------------------------------------------------


def test_soap_by_hand() -> None:
    beta1, beta2, shampoo_beta, epsilon, period = 0.9, 0.95, 0.8, 1e-8, 2
    grads = gradients(4, 4)
    ours = updates_of(
        scale_by_soap(beta1, beta2, shampoo_beta, epsilon=epsilon, update_period=period, max_size=8), grads
    )
    left = (1 - shampoo_beta) * grads[0] @ grads[0].T
    right = (1 - shampoo_beta) * grads[0].T @ grads[0]
    left_vectors, right_vectors = np.linalg.eigh(left)[1], np.linalg.eigh(right)[1]
    np.testing.assert_array_equal(next(ours), 0)
    first, second = np.zeros((4, 4)), np.zeros((4, 4))
    for step, (grad, update) in enumerate(zip(grads[1:], ours, strict=True), start=1):
        if step % period == 0:
            left_vectors = np.linalg.qr(left @ left_vectors)[0]
            right_vectors = np.linalg.qr(right @ right_vectors)[0]
        first = beta1 * first + (1 - beta1) * grad
        second = beta2 * second + (1 - beta2) * (left_vectors.T @ grad @ right_vectors) ** 2
        rotated = left_vectors.T @ first @ right_vectors / (1 - beta1**step)
        adam = rotated / (np.sqrt(second / (1 - beta2**step)) + epsilon)
        np.testing.assert_allclose(update, left_vectors @ adam @ right_vectors.T, rtol=1e-3, atol=1e-4)
        left = shampoo_beta * left + (1 - shampoo_beta) * grad @ grad.T
        right = shampoo_beta * right + (1 - shampoo_beta) * grad.T @ grad


@pytest.mark.parametrize("shape", [(6,), (9, 10)], ids=["vector", "long axes"])
def test_soap_without_rotations_is_adam_from_the_second_step_on(shape: tuple[int, ...]) -> None:
    grads = gradients(*shape)
    ours = list(updates_of(scale_by_soap(0.9, 0.95, 0.8, epsilon=1e-8, update_period=2, max_size=8), grads))
    theirs = updates_of(optax.scale_by_adam(0.9, 0.95, 1e-8), grads[1:])
    for update, expected in zip(ours[1:], theirs, strict=True):
        np.testing.assert_allclose(update, expected, rtol=1e-5)


# --- SAM --------------------------------------------------------------------------------------------------------------


def test_sam_by_hand() -> None:
    """A step on a regression in NumPy: the second gradient is from the same batch, `rho` uphill."""
    rho, rate = 0.3, 0.1
    functions = make_functions(lambda hyperparameters, workload: sharpness_aware(optax.sgd(rate), rho))
    run = training("sam", workload=regression.WORKLOAD)
    batch = jax.tree.map(np.asarray, next(run.queue))
    kernel, bias = (np.asarray(run.params["Dense_0"][name], np.float64) for name in ("kernel", "bias"))

    def gradient(kernel: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        error = (batch["inputs"] @ kernel + bias - batch["targets"]) * 2 / batch["targets"].size
        return batch["inputs"].T @ error, error.sum(axis=0)

    first = gradient(kernel, bias)
    length = np.sqrt(sum(np.sum(part**2) for part in first))
    second = gradient(kernel + rho * first[0] / length, bias + rho * first[1] / length)
    assert not np.allclose(first[0], second[0], rtol=1e-2)

    state = functions.init_optimizer_state(run.view, run.params, None, None, KEY)
    _, params, _ = functions.update_params(
        workload=run.view,
        current_param_container=run.params,
        model_state=None,
        batch=batch,
        optimizer_state=state,
        global_step=1,
        rng=KEY,
    )
    np.testing.assert_allclose(params["Dense_0"]["kernel"], kernel - rate * second[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(params["Dense_0"]["bias"], bias - rate * second[1], rtol=1e-5, atol=1e-6)


def test_sam_takes_a_gradient_that_is_zero() -> None:
    zeros = {"array": jnp.zeros(3)}
    optimizer = sharpness_aware(optax.sgd(1.0), 0.1)
    updates: Any = optimizer.update(zeros, optimizer.init(zeros), zeros, grad_fn=lambda params: params)[0]
    np.testing.assert_array_equal(updates["array"], 0)


# --- the others -------------------------------------------------------------------------------------------------------


def test_momentum_and_weight_decay_by_hand() -> None:
    point = nesterov.Hyperparameters(learning_rate=0.5, one_minus_beta1=0.2, weight_decay=0.1, warmup_factor=0.2)
    schedule = [0, 0.125, 0.25, 0.375, 0.5, *np.linspace(0.5, 0.005, 15)[1:]]  # warmup of 4 steps, decay of 14
    for module in (momentum, nesterov):
        optimizer = module.make_optimizer(point, View())
        params = {"array": jnp.ones(3)}
        state = optimizer.init(params)
        expected, velocity = np.ones(3), np.zeros(3)
        for step, grad in enumerate(gradients(3)):
            updates, state = optimizer.update({"array": jnp.asarray(grad, jnp.float32)}, state, params)
            params: Any = optax.apply_updates(params, updates)
            decayed = grad + 0.1 * expected
            velocity = 0.8 * velocity + decayed
            expected = expected - schedule[step] * (decayed + 0.8 * velocity if module is nesterov else velocity)
            np.testing.assert_allclose(params["array"], expected, rtol=1e-5)


def test_schedules() -> None:
    linear: Any = warmup_linear(1.0, 0.2, 0.5, 0.1, 20)
    np.testing.assert_allclose([linear(step) for step in (0, 2, 4, 8, 12, 20)], [0, 0.5, 1, 0.55, 0.1, 0.1], rtol=1e-6)
    cosine: Any = warmup_cosine(1.0, 0.2, 20)
    np.testing.assert_allclose([cosine(step) for step in (0, 2, 4, 12, 20)], [0, 0.5, 1, 0.5, 0], atol=1e-6)
    for schedule in (warmup_linear(1.0, 0.0, 0.5, 0.1, 20), warmup_cosine(1.0, 0.0, 20)):
        assert schedule(0) == 1


def test_schedule_free_averages_by_hand() -> None:
    point = schedule_free_adamw.Hyperparameters(learning_rate=0.1, weight_decay=0.1, warmup_factor=0.2)
    optimizer = schedule_free_adamw.make_optimizer(point, View())
    params: Any = {"array": jnp.ones(3)}
    state = optimizer.init(params)
    x = y = z = np.ones(3)
    second, weights = np.zeros(3), 0.0
    for step, grad in enumerate(gradients(3), start=1):
        updates, state = optimizer.update({"array": jnp.asarray(grad, jnp.float32)}, state, params)
        params = optax.apply_updates(params, updates)
        rate = 0.1 * min(step / 4, 1)
        second = 0.999 * second + 0.001 * grad**2
        z = z - rate * (grad / (np.sqrt(second / (1 - 0.999**step)) + 1e-8) + 0.1 * y)
        weights += rate**2
        x = x + rate**2 / weights * (z - x)
        y = 0.9 * x + 0.1 * z
        np.testing.assert_allclose(params["array"], y, rtol=1e-5)
        judged = schedule_free_adamw.evaluation_params(state, params)
        np.testing.assert_allclose(judged["array"], x, rtol=1e-5)


def test_slow_moment_of_ademamix_by_hand() -> None:
    point = ademamix.Hyperparameters(learning_rate=1.0, alpha=8.0, beta3=0.99, weight_decay=0.0, warmup_factor=0.0)
    ours = updates_of(ademamix.make_optimizer(point, View()), gradients(3))
    slow = np.zeros(3)
    for step, (grad, update, (first, second)) in enumerate(
        zip(gradients(3), ours, moments(gradients(3), 0.9, 0.999), strict=True), start=1
    ):
        half_life = (1 - step / 20) / np.log(0.9) + step / 20 / np.log(0.99)
        decay = np.exp(1 / half_life)
        slow = decay * slow + (1 - decay) * grad
        rate = 0.5 * (1 + np.cos(np.pi * (step - 1) / 20))
        expected = -rate * (first + 8 * step / 20 * slow) / (np.sqrt(second) + 1e-8)
        np.testing.assert_allclose(update, expected, rtol=1e-4, atol=1e-5)


def test_muon_takes_the_hidden_matrices() -> None:
    shapes = {
        "embedding": {"kernel": (5, 3)},
        "Conv_0": {"kernel": (2, 2, 3, 4), "bias": (4,)},
        "attention": {"query": {"kernel": (3, 2, 4)}, "out": {"kernel": (2, 4, 3)}},
        "Dense_0": {"kernel": (3, 4)},
        "head": {"kernel": (3, 4)},
    }
    params = jax.tree.map(jnp.zeros, shapes, is_leaf=lambda node: isinstance(node, tuple))
    found = muon.matrices(params, View())
    assert found == {
        "embedding": {"kernel": None},
        "Conv_0": {"kernel": ((0, 1, 2), (3,)), "bias": None},
        "attention": {"query": {"kernel": ((0,), (1, 2))}, "out": {"kernel": ((0, 1), (2,))}},
        "Dense_0": {"kernel": ((0,), (1,))},
        "head": {"kernel": None},
    }
    # One step with a gradient of one entry: Muon's is not a multiple of Adam's, which has the same size everywhere.
    optimizer = muon.make_optimizer(muon.Hyperparameters(warmup_factor=0.0, weight_decay=0.0), View())
    grads = jax.tree.map(lambda param: param.at[(0,) * param.ndim].set(1.0), params)
    updates, _ = jax.jit(optimizer.update)(grads, jax.jit(optimizer.init)(params), params)
    length = {name: float(jnp.linalg.norm(updates[name]["kernel"])) for name in ("Dense_0", "head", "embedding")}
    assert length["Dense_0"] < 0.5 * length["head"] == pytest.approx(0.5 * length["embedding"])


def test_nadamw_by_hand() -> None:
    run = training("nadamw", learning_rate=0.05, weight_decay=0.1, warmup_factor=0.0)
    expected = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), run.params)
    first = jax.tree.map(np.zeros_like, expected)
    second = jax.tree.map(np.zeros_like, expected)
    batches = training("nadamw").queue

    def mean_loss(params: Any, batch: Any) -> jax.Array:
        logits, _ = WORKLOAD.apply(params, None, batch, KEY, train=False, update_batch_norm=False)
        return WORKLOAD.loss(batch["targets"], logits, batch["weights"]).summed / 32

    gradient = jax.jit(jax.grad(mean_loss))
    for t in range(1, 5):
        grads = gradient(jax.tree.map(np.float32, expected), jax.tree.map(np.asarray, next(batches)))
        grads = jax.tree.map(lambda grad: np.asarray(grad, np.float64), grads)
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, grads)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g**2, second, grads)
        schedule = 0.05 * 0.5 * (1 + np.cos(np.pi * (t - 1) / WORKLOAD.budget.step_hint))

        def updated(p: Any, m: Any, v: Any, g: Any, t: int = t, schedule: float = schedule) -> Any:
            ahead = (0.9 * m + 0.1 * g) / (1 - 0.9**t)
            return p - schedule * (ahead / (np.sqrt(v / (1 - 0.999**t)) + 1e-8) + 0.1 * p)

        expected = jax.tree.map(updated, expected, first, second, grads)
        run.step()
        for ours, theirs in zip(arrays(run.params), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)
