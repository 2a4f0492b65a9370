"""Flax networks as `init` and `apply`: with dropout, with batch normalization, with both and with neither."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from workloads.dropout import Dropout
from workloads.flax_model import flax_model

INPUTS = np.random.default_rng(0).standard_normal((16, 4), np.float32)
RNG = jax.random.PRNGKey(0)


class Plain(nn.Module):
    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        return nn.Dense(3)(inputs)


class Dropped(nn.Module):
    deterministic: bool

    @nn.compact
    def __call__(self, inputs: jax.Array, dropout_rate: Any) -> jax.Array:
        return Dropout(self.deterministic)(nn.Dense(3)(inputs), dropout_rate)


class Normalized(nn.Module):
    use_running_average: bool

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        return nn.BatchNorm(self.use_running_average)(nn.Dense(3)(inputs))


class Both(nn.Module):
    deterministic: bool
    use_running_average: bool

    @nn.compact
    def __call__(self, inputs: jax.Array, dropout_rate: Any) -> jax.Array:
        normalized = nn.BatchNorm(self.use_running_average)(nn.Dense(3)(inputs))
        return Dropout(self.deterministic)(normalized, dropout_rate)


NETWORKS: dict[type[nn.Module], dict[str, Any]] = {
    Plain: {},
    Dropped: {"dropout_rate": 0.5},
    Normalized: {"batch_stats": True},
    Both: {"dropout_rate": 0.5, "batch_stats": True},
}
EXAMPLE = jax.ShapeDtypeStruct((1, 4), "float32")


def logits(network: type[nn.Module], *, train: bool, update: bool = False, **options: Any) -> tuple[Any, Any]:
    init, apply = flax_model(network, EXAMPLE, **NETWORKS[network])
    params, state = init(RNG)
    return apply(params, state, {"inputs": INPUTS}, RNG, train=train, update_batch_norm=update, **options)


@pytest.mark.parametrize("network", NETWORKS)
def test_init_gives_parameters_and_state(network: type[nn.Module]) -> None:
    params, state = flax_model(network, EXAMPLE, **NETWORKS[network])[0](RNG)
    assert params["Dense_0"]["kernel"].shape == (4, 3)
    assert (state is None) == ("batch_stats" not in NETWORKS[network])
    if state is not None:
        np.testing.assert_array_equal(state["batch_stats"]["BatchNorm_0"]["var"], 1)


@pytest.mark.parametrize("network", [Dropped, Both])
def test_dropout_is_in_training_only_and_at_the_rate_that_is_given(network: type[nn.Module]) -> None:
    options = {"update": True} if network is Both else {}
    share = {
        rate: float((logits(network, train=True, dropout_rate=rate, **options)[0] == 0).mean()) for rate in (None, 0.0)
    }
    assert 0.2 < share[None] < 0.8, "the default"
    assert share[0.0] == 0
    assert (logits(network, train=False, dropout_rate=0.9)[0] != 0).all()


def test_a_rate_may_be_traced() -> None:
    rates = jnp.asarray([0.0, 0.9])
    outputs = jax.vmap(lambda rate: logits(Dropped, train=True, dropout_rate=rate)[0])(rates)
    assert [(one == 0).mean() > 0.5 for one in outputs] == [False, True]


@pytest.mark.parametrize("network", [Normalized, Both])
def test_statistics_are_updated_and_used_as_requested(network: type[nn.Module]) -> None:
    off: dict[str, Any] = {"dropout_rate": 0.0}
    _, before = flax_model(network, EXAMPLE, **NETWORKS[network])[0](RNG)
    of_batch, after = logits(network, train=True, update=True, **off)
    np.testing.assert_allclose(np.mean(of_batch, 0), 0, atol=1e-5)
    assert not np.array_equal(after["batch_stats"]["BatchNorm_0"]["mean"], before["batch_stats"]["BatchNorm_0"]["mean"])
    running, kept = logits(network, train=False, **off)
    assert np.abs(np.mean(running, 0)).max() > 1e-3
    again, also_kept = logits(network, train=True, use_running_average=False, **off)
    np.testing.assert_array_equal(again, of_batch)
    jax.tree.map(np.testing.assert_array_equal, (kept, also_kept), (before, before))


def test_a_network_may_get_more_of_a_batch_than_its_inputs() -> None:
    init, apply = flax_model(Plain, EXAMPLE, inputs_of=lambda batch: batch["inputs"] + batch["more"])
    params, state = init(RNG)
    options: dict[str, Any] = {"train": False, "update_batch_norm": False}
    twice, _ = apply(params, state, {"inputs": INPUTS, "more": INPUTS}, RNG, **options)
    once, _ = apply(params, state, {"inputs": 2 * INPUTS, "more": 0}, RNG, **options)
    np.testing.assert_allclose(twice, once, rtol=1e-6)
