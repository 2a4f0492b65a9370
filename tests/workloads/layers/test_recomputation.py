"""Functions that keep only their arguments: the same numbers in less memory, also on CPUs."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from workloads.layers.recomputation import late, recomputed


def wavy(tokens: jax.Array, kernel: jax.Array) -> jax.Array:
    return jnp.sin(jnp.exp(jnp.sin(tokens))) @ kernel


def objective(layer: Any) -> Any:
    def summed(tokens: jax.Array, kernel: jax.Array) -> jax.Array:
        for _ in range(4):
            tokens = layer(tokens, kernel)
        return jnp.square(tokens).sum()

    return jax.jit(jax.grad(summed, argnums=(0, 1)))


def arrays() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((64, 16), np.float32), rng.standard_normal((16, 16), np.float32)


def test_the_derivatives_are_the_same() -> None:
    for one, other in zip(objective(recomputed(wavy, of=(0,)))(*arrays()), objective(wavy)(*arrays()), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_second_derivatives_are_the_same() -> None:
    tokens, kernel = (jnp.asarray(array[:3]) for array in arrays())
    tokens, kernel = tokens[:, :3], kernel[:, :3]

    def curvature(layer: Any) -> jax.Array:
        gradient = jax.grad(lambda tokens: jnp.square(layer(tokens, kernel)).sum())
        return jax.jvp(gradient, (tokens,), (jnp.ones_like(tokens),))[1]

    np.testing.assert_allclose(curvature(recomputed(wavy, of=(0,))), curvature(wavy), rtol=1e-4, atol=1e-5)


def temporary_bytes(layer: Any) -> int:
    shapes = [jax.ShapeDtypeStruct(shape, "float32") for shape in ((65_536, 16), (16, 16))]
    analysis = objective(layer).lower(*shapes).compile().memory_analysis()
    assert analysis is not None
    return analysis.temp_size_in_bytes


def test_intermediate_results_are_not_kept() -> None:
    """The plain function has room for twelve arrays of the size of the tokens, this one for seven."""
    of_tokens = 65_536 * 16 * 4
    assert temporary_bytes(recomputed(wavy, of=(0,))) < 8 * of_tokens < 11 * of_tokens < temporary_bytes(wavy)


def test_a_cotangent_that_is_not_a_number_makes_gradients_that_are_none() -> None:
    assert np.isnan(late(jnp.ones(3), jnp.array([np.nan, 1.0]))).all()
    np.testing.assert_array_equal(late(jnp.ones(3), jnp.array([np.inf, np.nan])), 1)
