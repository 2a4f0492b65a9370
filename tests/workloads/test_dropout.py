"""Dropout: the share dropped, the values left, and that nothing else depends on the rate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from workloads.dropout import Dropout


def dropped(inputs: jax.Array, rate: float, seed: int = 0) -> jax.Array:
    return Dropout(deterministic=False).apply({}, inputs, rate, rngs={"dropout": jax.random.PRNGKey(seed)})  # pyright: ignore


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
def test_share_and_scale(rate: float) -> None:
    inputs = jnp.full((400, 251), 3.0)
    outputs = np.asarray(dropped(inputs, rate))
    share = (outputs == 0).mean()
    # Five standard deviations of a binomial fraction.
    assert abs(share - rate) <= 5 * np.sqrt(rate * (1 - rate) / outputs.size)
    np.testing.assert_allclose(outputs[outputs != 0], 3 / (1 - rate), rtol=1e-6)


def test_neighbours_are_dropped_independently() -> None:
    """Two entries share a random word."""
    outputs = np.asarray(dropped(jnp.ones((2000, 64)), 0.5)) == 0
    for distance in (1, 2, 32):
        both = (outputs[:, :-distance] & outputs[:, distance:]).mean()
        assert abs(both - 0.25) < 5 * np.sqrt(0.25 * 0.75 / outputs[:, distance:].size)


def test_a_larger_rate_drops_the_same_entries_and_more() -> None:
    """The mask's random numbers do not depend on the rate."""
    inputs = jnp.ones((50, 40))
    few, many = (np.asarray(dropped(inputs, rate)) == 0 for rate in (0.1, 0.3))
    assert few.any()
    assert (many | ~few).all()
    assert many.sum() > few.sum()


def test_keys_decide() -> None:
    inputs = jnp.ones((50, 40))
    np.testing.assert_array_equal(dropped(inputs, 0.5), dropped(inputs, 0.5))
    assert (dropped(inputs, 0.5) != dropped(inputs, 0.5, seed=1)).any()


def test_nothing_is_drawn_or_changed_when_deterministic() -> None:
    inputs = jnp.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(Dropout(deterministic=True).apply({}, inputs, 0.5), inputs)  # pyright: ignore


def test_a_rate_of_zero_draws_only_if_it_is_traced() -> None:
    inputs = jnp.arange(6.0).reshape(2, 3)
    fixed = jax.make_jaxpr(lambda inputs: dropped(inputs, 0.0))(inputs)
    traced = jax.make_jaxpr(dropped)(inputs, 0.0)
    assert "random_bits" not in str(fixed)
    assert "random_bits" in str(traced)
    np.testing.assert_array_equal(jax.jit(dropped)(inputs, 0.0), dropped(inputs, 0.0))


def test_gradient_passes_where_the_value_does() -> None:
    inputs = jnp.ones((30, 20))
    gradient = jax.grad(lambda inputs: dropped(inputs, 0.5).sum())(inputs)
    np.testing.assert_array_equal(gradient, dropped(inputs, 0.5))


def test_other_dtypes_are_kept() -> None:
    assert dropped(jnp.ones((4, 6), jnp.bfloat16), 0.1).dtype == jnp.bfloat16
