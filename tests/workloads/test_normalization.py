"""The means of what the models normalize are not large compared with its deviation, so float32 suffices.

flax computes variances as E[x^2] - E[x]^2, as the reference does, and so does the instance normalization of fastmri.
The part of a variance that is lost grows with the square of the mean.
"""

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.golden_support import COMPILE_QUICKLY
from tests.workloads import reduced
from workloads.fastmri import model as fastmri_model

LOST = 1e-3
"""As a fraction of the variance plus epsilon."""


def lost(values: Any, axes: Any, epsilon: float) -> jax.Array:
    """The largest part of a variance that rounding to float32 may take."""
    return jnp.finfo(jnp.float32).eps * ((values**2).mean(axes) / (jnp.var(values, axes) + epsilon)).max()


@contextlib.contextmanager
def observed() -> Iterator[list[jax.Array]]:
    """The part lost in each normalization that is traced inside the context."""
    found: list[jax.Array] = []
    instance_norm = fastmri_model.instance_norm

    def observe_instance_norm(features: jax.Array) -> jax.Array:
        found.append(lost(features, (1, 2), fastmri_model.INSTANCE_NORM_EPSILON))
        return instance_norm(features)

    def observe(call: Any, arguments: Any, keywords: Any, context: Any) -> Any:
        layer = context.module
        if isinstance(layer, nn.LayerNorm):
            found.append(lost(arguments[0], layer.reduction_axes, layer.epsilon))
        elif isinstance(layer, nn.BatchNorm):
            found.append(lost(arguments[0], range(arguments[0].ndim - 1), layer.epsilon))
        return call(*arguments, **keywords)

    with mock.patch.object(fastmri_model, "instance_norm", observe_instance_norm), nn.intercept_methods(observe):
        yield found


@pytest.mark.parametrize("name", ["cifar", "fastmri", "imagenet_vit", "ogbg"])
def test_no_variance_is_lost_to_rounding(name: str) -> None:
    workload = reduced.load(name)

    def parts_lost(key: jax.Array, batch: Any) -> list[jax.Array]:
        params, state = workload.init(key)
        with observed() as found:
            workload.apply(params, state, batch, key, train=True, update_batch_norm=True)
        return found

    batch = {"inputs": reduced.batch(name)["inputs"]}
    parts = np.asarray(jax.jit(parts_lost, compiler_options=COMPILE_QUICKLY)(jax.random.PRNGKey(0), batch))
    assert len(parts) >= 5
    assert parts.max() < LOST


def test_a_loss_due_to_a_large_mean_is_noticed() -> None:
    values = np.random.default_rng(0).standard_normal((1, 1000), np.float32)
    assert lost(values + 1000, 1, 1e-6) > LOST
    assert lost(values + 10, 1, 1e-6) < LOST
