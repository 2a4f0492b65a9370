"""The recurrent layer against the one that goes cell by cell, in value and derivatives, and its seam to cuDNN."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import rnn

from tests.golden_support import COMPILE_QUICKLY
from tests.workloads.librispeech_deepspeech.plain_lstm import plain_bidirectional_lstm
from workloads.librispeech_deepspeech.cudnn_lstm import packed
from workloads.librispeech_deepspeech.lstm import Weights, bidirectional_lstm, scanned_lstm

BATCH, FRAMES, FEATURES, HIDDEN = 3, 11, 6, 4
LENGTHS = np.array([11, 7, 1], np.int32)
PADDINGS: Any = (np.arange(FRAMES) >= LENGTHS[:, None]).astype(np.float32)


def arguments(dtype: Any = np.float32) -> tuple[Any, Weights]:
    rng = np.random.default_rng(0)
    frames = rng.standard_normal((BATCH, FRAMES, FEATURES)).astype(dtype)
    shapes = (2, FEATURES, 4 * HIDDEN), (2, HIDDEN, 4 * HIDDEN), (2, 4 * HIDDEN)
    weights: Any = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    return frames, Weights(*weights)


def of_valid(layer: Any, frames: Any, weights: Weights) -> Any:
    return layer(frames, PADDINGS, weights) * (1 - PADDINGS)[..., None]


def compiled(function: Any, *values: Any) -> Any:
    return jax.jit(function, compiler_options=COMPILE_QUICKLY)(*values)


@pytest.mark.parametrize("order", ["value", "reverse", "forward", "forward of reverse"])
def test_value_and_derivatives_are_those_of_the_cells(order: str) -> None:
    with jax.enable_x64(True):
        frames, weights = arguments(np.float64)
        tangents = jax.tree.map(lambda leaf: np.cos(np.arange(leaf.size)).reshape(leaf.shape), (frames, weights))
        found = []
        for layer in (scanned_lstm, plain_bidirectional_lstm):

            def objective(frames: Any, weights: Weights, layer: Any = layer) -> jax.Array:
                return jnp.sin(of_valid(layer, frames, weights)).sum()

            gradient = jax.grad(objective, argnums=(0, 1))
            functions = {
                "value": functools.partial(of_valid, layer),
                "reverse": gradient,
                "forward": lambda *values, objective=objective: jax.jvp(objective, values, tangents),
                "forward of reverse": lambda *values, gradient=gradient: jax.jvp(gradient, values, tangents)[1],
            }
            found.append(compiled(functions[order], frames, weights))
        jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-11), *found)


def test_padding_gives_0_and_changes_nothing() -> None:
    frames, weights = arguments()
    outputs = compiled(scanned_lstm, frames, PADDINGS, weights)
    assert not outputs[PADDINGS > 0].any()
    others = frames + 100 * PADDINGS[..., None]
    np.testing.assert_array_equal(compiled(scanned_lstm, others, PADDINGS, weights), outputs)
    alone = compiled(scanned_lstm, frames[1:2, : LENGTHS[1]], np.zeros((1, LENGTHS[1]), np.float32), weights)
    np.testing.assert_allclose(alone[0], outputs[1, : LENGTHS[1]], rtol=1e-6, atol=1e-7)


def test_no_product_with_weights_is_left_in_the_backward_scan_but_that_of_the_state() -> None:
    """The gradients of the weights are products over all frames at once."""
    frames, weights = arguments()
    gradient = jax.make_jaxpr(jax.grad(lambda *values: scanned_lstm(values[0], PADDINGS, values[1]).sum(), (0, 1)))
    scans = [equation for equation in gradient(frames, weights).eqns if equation.primitive.name == "scan"]
    products = [str(scan.params["jaxpr"]).count("dot_general") for scan in scans]
    assert products == [1, 1]


def test_weights_are_packed_as_cudnn_has_them() -> None:
    """By the plain form of cuDNN's layer that JAX has for its own tests."""
    frames, weights = arguments()
    sizes = {"input_size": FEATURES, "hidden_size": HIDDEN, "num_layers": 1, "bidirectional": True}
    unpacked = rnn.unpack_lstm_weights(packed(*weights), **sizes)
    start = jnp.zeros((2, BATCH, HIDDEN))
    outputs, _, _ = rnn.lstm_ref(frames, start, start, *unpacked, LENGTHS, *_in_order(sizes))
    np.testing.assert_allclose(scanned_lstm(frames, PADDINGS, weights), outputs, rtol=1e-5, atol=1e-6)


def _in_order(sizes: dict[str, Any]) -> tuple[Any, ...]:
    return sizes["input_size"], sizes["hidden_size"], sizes["num_layers"], 0.0, sizes["bidirectional"]


@pytest.mark.skipif(jax.default_backend() != "gpu", reason="needs an NVIDIA GPU")
def test_cudnn_gives_the_numbers_of_the_scan() -> None:
    frames, weights = arguments()
    found = []
    for layer in (bidirectional_lstm, scanned_lstm):
        gradient = jax.grad(lambda *values, layer=layer: jnp.sin(of_valid(layer, *values)).sum(), argnums=(0, 1))
        found.append((of_valid(layer, frames, weights), gradient(frames, weights)))
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5), *found)
