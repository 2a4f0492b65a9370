"""The products of pairs and their derivative."""

import functools

import jax
import numpy as np

from tests.golden_support import COMPILE_QUICKLY
from tests.workloads.criteo1tb import plain_model
from workloads.criteo1tb.interaction import dot_interaction

jit = functools.partial(jax.jit, compiler_options=COMPILE_QUICKLY)


def vectors(count: int = 5) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((3, count, 4), np.float32)


def test_each_pair_is_there_once_in_the_order_of_rows() -> None:
    array = vectors(3)
    found = jit(dot_interaction)(array)
    pairs = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    for column, (i, j) in enumerate(pairs):
        np.testing.assert_allclose(found[:, column], (array[:, i] * array[:, j]).sum(-1), rtol=1e-5)
    assert found.shape == (3, len(pairs))


def test_the_products_and_their_derivative_are_those_of_the_plain_form() -> None:
    array, cotangent = vectors(27), np.random.default_rng(1).standard_normal((3, 378), np.float32)
    for function in (lambda f, x: f(x), lambda f, x: jax.vjp(f, x)[1](cotangent)[0]):
        ours, plain = (
            jit(functools.partial(function, form))(array) for form in (dot_interaction, plain_model.dot_interaction)
        )
        np.testing.assert_allclose(ours, plain, atol=1e-5)


def test_the_derivative_scatters_nothing() -> None:
    text = jax.jit(jax.grad(lambda x: dot_interaction(x).sum())).lower(vectors()).as_text()
    assert "scatter" not in text
    assert text.count("dot_general") == 1
