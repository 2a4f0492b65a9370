"""Normalizations that leave padding out, convolutions as products, and layers that are compiled as one."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.golden_support import COMPILE_QUICKLY
from workloads.dropout import Dropout
from workloads.speech.convolution import library_conv, products
from workloads.speech.layers import BatchNorm, LayerNorm
from workloads.speech.repeated import repeat

PADDINGS = np.array([[0, 0, 0, 0], [0, 0, 1, 1]], np.float32)


def compiled(function: Any, *values: Any) -> Any:
    return jax.jit(function, compiler_options=COMPILE_QUICKLY)(*values)


# --- normalization --------------------------------------------------------------------------------------------------


def test_statistics_are_those_of_the_frames_without_padding() -> None:
    rng = np.random.default_rng(0)
    frames = rng.standard_normal((2, 4, 3)).astype(np.float32)
    layer = BatchNorm(use_running_average=False, momentum=0.9)
    variables = {
        "params": {"scale": rng.standard_normal(3, np.float32), "bias": rng.standard_normal(3, np.float32)},
        "batch_stats": {"mean": np.ones(3, np.float32), "var": np.full(3, 2, np.float32)},
    }
    found, updated = layer.apply(variables, frames, PADDINGS, mutable=["batch_stats"])
    valid = frames[PADDINGS == 0]
    mean, variance = valid.mean(axis=0), valid.var(axis=0)
    expected = (frames - mean) / np.sqrt(variance + 1e-3) * (1 + variables["params"]["scale"])
    expected = (expected + variables["params"]["bias"]) * (1 - PADDINGS)[..., None]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    statistics: Any = updated["batch_stats"]
    np.testing.assert_allclose(statistics["mean"], 0.9 + 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(statistics["var"], 1.8 + 0.1 * variance, rtol=1e-5)
    others = frames + 100 * PADDINGS[..., None]
    np.testing.assert_allclose(layer.apply(variables, others, PADDINGS, mutable=["batch_stats"])[0], found, rtol=1e-6)


def test_a_batch_of_nothing_but_padding_has_finite_statistics() -> None:
    layer = BatchNorm(use_running_average=False, momentum=0.9)
    frames, paddings = np.ones((2, 4, 3), np.float32), np.ones((2, 4), np.float32)
    variables = layer.init(jax.random.PRNGKey(0), frames, paddings)
    found, updated = layer.apply(variables, frames, paddings, mutable=["batch_stats"])
    assert not np.any(found)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(updated))


def test_layer_normalization_multiplies_by_one_more_than_its_scale() -> None:
    frames = 1_000 + np.random.default_rng(0).standard_normal((2, 4, 64)).astype(np.float32)
    params = {"scale": np.full(64, 0.5, np.float32), "bias": np.full(64, 0.25, np.float32)}
    wide = frames.astype(np.float64)
    expected = (wide - wide.mean(-1, keepdims=True)) / wide.std(-1, keepdims=True) * 1.5 + 0.25
    # Far from zero, too, the variance is right.
    found: Any = LayerNorm().apply({"params": params}, frames)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


# --- convolution ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width", "channels"), [(6, 4, 1), (7, 5, 3), (1, 2, 2)])
def test_products_are_the_convolution_and_so_are_their_derivatives(height: int, width: int, channels: int) -> None:
    rng = np.random.default_rng(0)
    images = rng.standard_normal((2, height, width, channels)).astype(np.float32)
    kernel = rng.standard_normal((3, 3, channels, 5)).astype(np.float32)
    found = []
    for conv in (products, library_conv):
        gradient = jax.grad(lambda images, kernel, conv=conv: jnp.sin(conv(images, kernel)).sum(), argnums=(0, 1))
        found.append(compiled(lambda *values, c=conv, g=gradient: (c(*values), g(*values)), images, kernel))
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5), *found)


# --- repeated layers ------------------------------------------------------------------------------------------------


class Block(nn.Module):
    deterministic: bool
    use_running_average: bool

    @nn.compact
    def __call__(self, frames: Any, paddings: Any, rate: Any) -> Any:
        hidden = BatchNorm(self.use_running_average, 0.9)(nn.Dense(frames.shape[-1])(frames), paddings)
        return frames + Dropout(self.deterministic)(jnp.tanh(hidden), rate)


class Repeated(nn.Module):
    is_loop: bool
    deterministic: bool = True
    use_running_average: bool = False

    @nn.compact
    def __call__(self, frames: Any, paddings: Any, rate: Any) -> Any:
        arguments = self.deterministic, self.use_running_average
        if not self.is_loop:
            return repeat(self, Block(*arguments, parent=None), 3, frames, paddings, rate)
        for _ in range(3):
            frames = Block(*arguments)(frames, paddings, rate)
        return frames


def test_repeated_layers_are_those_of_a_loop() -> None:
    frames = np.random.default_rng(0).standard_normal((2, 4, 5)).astype(np.float32)
    key = jax.random.PRNGKey(0)
    shapes = [jax.eval_shape(Repeated(is_loop).init, key, frames, PADDINGS, 0.0) for is_loop in (True, False)]
    assert shapes[0] == shapes[1]
    variables = Repeated(False).init(key, frames, PADDINGS, 0.0)
    found = []
    for is_loop in (True, False):

        def objective(params: Any, is_loop: bool = is_loop) -> Any:
            inputs = {**variables, "params": params}
            outputs, updated = Repeated(is_loop).apply(inputs, frames, PADDINGS, 0.0, mutable=["batch_stats"])
            return jnp.sin(outputs).sum(), updated

        found.append(compiled(jax.value_and_grad(objective, has_aux=True), variables["params"]))
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6), *found)


def test_repeated_layers_have_their_own_parameters_and_dropout() -> None:
    frames, key = np.ones((2, 4, 64), np.float32), jax.random.PRNGKey(0)
    variables = Repeated(False).init(key, frames, PADDINGS, 0.0)
    kernels: list[Any] = [variables["params"][f"Block_{index}"]["Dense_0"]["kernel"] for index in range(3)]
    assert not np.allclose(kernels[0], kernels[1])
    assert not np.allclose(kernels[1], kernels[2])

    def dropped(rate: float, seed: int) -> Any:
        rngs = {"dropout": jax.random.PRNGKey(seed)}
        model = Repeated(False, deterministic=False)
        return model.apply(variables, frames, PADDINGS, rate, rngs=rngs, mutable=["batch_stats"])[0]

    assert not np.allclose(dropped(0.5, 0), dropped(0.5, 1))
    np.testing.assert_array_equal(dropped(0.0, 0), dropped(0.0, 1))


def test_repeated_layers_normalize_with_running_statistics_and_keep_them() -> None:
    frames, key = np.ones((2, 4, 5), np.float32), jax.random.PRNGKey(0)
    variables = Repeated(False).init(key, frames, PADDINGS, 0.0)
    model = Repeated(False, use_running_average=True)
    outputs, updated = model.apply(variables, frames, PADDINGS, 0.0, mutable=["batch_stats"])
    jax.tree.map(np.testing.assert_array_equal, dict(updated["batch_stats"]), dict(variables["batch_stats"]))
    np.testing.assert_array_equal(model.apply(variables, frames, PADDINGS, 0.0), outputs)
