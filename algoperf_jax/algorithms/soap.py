"""SOAP: Adam in the eigenbasis of Shampoo's statistics (Vyas et al. 2025).

Each axis of a gradient G has a statistic, the moving average of G Gᵀ over the other axes. Gradient and first moment are
rotated into the basis of the statistics' eigenvectors, in which the second moment is kept; Adam's step is rotated back.
Every `update_period` steps the eigenvectors take one step of power iteration, orthonormalized by a QR decomposition.
The first step only applies weight decay: its gradient initializes the eigenvectors.

Axes longer than `max_size` are not rotated, arrays with one axis are left to Adam, and short neighboring axes except
the last are merged. Every device computes all eigenvectors, in float32. Weight decay is decoupled; linear warmup, then
cosine decay to zero at the workload's step hint. `soap.json` is a small search space around the paper's settings.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from algoperf_jax.algorithms.shampoo import Square, multiplied, square_zeros, updated_statistics
from algoperf_jax.schedules import warmup_cosine


class Hyperparameters(NamedTuple):
    """Names and defaults.

    Attributes:
      learning_rate: peak learning rate.
      one_minus_beta1: 1 - decay rate of the first moment.
      beta2: decay rate of the second moment.
      shampoo_beta: decay rate of the statistics.
      epsilon: added to the root of the second moment.
      weight_decay: decoupled, multiplied by the learning rate.
      update_period: number of steps between updates of the eigenvectors.
      max_size: length of the longest axis that is rotated.
      warmup_factor: fraction of the step hint spent on warmup.
      dropout_rate: the workload's default when None.
      label_smoothing: see the workload's loss.
      grad_clip: limit on the gradient's global norm, or None.
    """

    learning_rate: float = 3e-3
    one_minus_beta1: float = 0.05
    beta2: float = 0.95
    shampoo_beta: float = 0.95
    epsilon: float = 1e-8
    weight_decay: float = 1e-2
    update_period: int = 10
    max_size: int = 2048
    warmup_factor: float = 0.05
    dropout_rate: float | None = None
    label_smoothing: float = 0.0
    grad_clip: float | None = None


class SoapState(NamedTuple):
    """Moments are float32 trees; `statistics` and `vectors` have a tuple of matrices for each array."""

    count: jax.Array
    first: Any
    second: Any
    statistics: Any
    vectors: Any


def make_optimizer(hyperparameters: Hyperparameters, workload: Any) -> optax.GradientTransformation:
    """The optimizer for a workload."""
    schedule = warmup_cosine(hyperparameters.learning_rate, hyperparameters.warmup_factor, workload.step_hint)
    return optax.chain(
        scale_by_soap(
            1.0 - hyperparameters.one_minus_beta1,
            hyperparameters.beta2,
            hyperparameters.shampoo_beta,
            epsilon=hyperparameters.epsilon,
            update_period=hyperparameters.update_period,
            max_size=hyperparameters.max_size,
        ),
        optax.add_decayed_weights(hyperparameters.weight_decay),
        optax.scale_by_learning_rate(schedule),
    )


def scale_by_soap(
    beta1: float, beta2: float, shampoo_beta: float, *, epsilon: float, update_period: int, max_size: int
) -> optax.GradientTransformation:
    """Adam in rotated coordinates; arguments are those of `Hyperparameters`."""

    def init(params: Any) -> SoapState:
        zeros = optax.tree.zeros_like(params, dtype=jnp.float32)
        matrices = jax.tree.map(lambda param: square_zeros(param.shape, max_size), params)
        return SoapState(jnp.zeros([], jnp.int32), zeros, zeros, matrices, matrices)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, SoapState]:
        del params
        count: Any = optax.safe_increment(state.count)
        grads = optax.tree.cast(updates, jnp.float32)
        statistics = jax.tree.map(
            lambda grad, matrices: updated_statistics(grad, matrices, shampoo_beta, max_size), grads, state.statistics
        )
        is_due = (state.count % update_period == 0).astype(jnp.int32)
        vectors = jax.lax.switch(
            jnp.where(count == 1, 2, is_due),
            [
                lambda: state.vectors,
                # The paper updates them at the end of a step, here at the beginning of the next.
                lambda: jax.tree.map(iterated, state.statistics, state.vectors),
                lambda: jax.tree.map(lambda matrix: jnp.linalg.eigh(matrix)[1], statistics),
            ],
        )

        def rotated(array: Array, matrices: Sequence[Square]) -> Array:
            return multiplied(array, matrices, max_size, transposed=True)

        # The first gradient only initializes the eigenvectors: along those outside its span it consists of rounding
        # errors, which Adam would magnify.
        grads = jax.tree.map(lambda grad: jnp.where(count == 1, 0.0, grad), grads)
        adam_count = jnp.maximum(count - 1, 1)
        first = optax.tree.update_moment(grads, state.first, beta1, 1)
        second = optax.tree.update_moment(jax.tree.map(rotated, grads, vectors), state.second, beta2, 2)
        moment = optax.tree.bias_correction(jax.tree.map(rotated, first, vectors), beta1, adam_count)
        adam = jax.tree.map(
            lambda m, v: m / (jnp.sqrt(v) + epsilon), moment, optax.tree.bias_correction(second, beta2, adam_count)
        )
        directions = jax.tree.map(lambda array, matrices: multiplied(array, matrices, max_size), adam, vectors)
        return optax.tree.cast_like(directions, updates), SoapState(count, first, second, statistics, vectors)

    return optax.GradientTransformation(init, update)


def iterated(matrix: Square, vectors: Square) -> Square:
    """Improves approximate eigenvectors by one step of power iteration."""
    return jnp.linalg.qr(jnp.matmul(matrix, vectors, precision="highest"))[0]
