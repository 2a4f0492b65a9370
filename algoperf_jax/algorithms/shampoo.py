"""Shampoo: a preconditioner for each axis of an array (Gupta et al. 2018; Anil et al. 2020).

Each axis of a gradient G has a statistic, the moving average of G Gᵀ over the other axes, whose inverse 2k-th root (for
k axes) multiplies the axis. In each array, the direction is scaled to the norm of Adam's step (grafting, Anil et al.).
The roots are computed every `update_period` steps, in float32, by an eigendecomposition.

Departures: the preconditioner multiplies Adam's bias-corrected first moment, as in the distributed Shampoo of Shi et
al. 2023, instead of entering the momentum. Axes longer than `max_size`, arrays with one axis, and the steps before the
first roots are left to Adam; nothing is split into blocks. Short neighboring axes except the last are merged. Every
device computes all roots. Weight decay is decoupled; linear warmup, then cosine decay to zero at the step hint.
`shampoo.json` is the search space of the benchmark's baseline (Dahl et al. 2023).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from algoperf_jax.schedules import warmup_cosine

Square = Float[Array, "size size"]
"""A matrix for one axis of an array; sizes differ between axes."""


class Hyperparameters(NamedTuple):
    """Names and defaults.

    Attributes:
      learning_rate: peak learning rate.
      one_minus_beta1: 1 - decay rate of the first moment.
      beta2: decay rate of the statistics and of Adam's second moment.
      epsilon: added to the root of Adam's second moment.
      matrix_epsilon: added to a statistic's eigenvalues, as a fraction of the largest.
      weight_decay: decoupled, multiplied by the learning rate.
      update_period: number of steps between computations of the roots.
      max_size: length of the longest axis with a preconditioner.
      warmup_factor: fraction of the step hint spent on warmup.
      dropout_rate: the workload's default when None.
      label_smoothing: see the workload's loss.
      grad_clip: limit on the gradient's global norm, or None.
    """

    learning_rate: float = 1e-3
    one_minus_beta1: float = 0.1
    beta2: float = 0.999
    epsilon: float = 1e-8
    matrix_epsilon: float = 1e-6
    weight_decay: float = 1e-2
    update_period: int = 20
    max_size: int = 1024
    warmup_factor: float = 0.05
    dropout_rate: float | None = None
    label_smoothing: float = 0.0
    grad_clip: float | None = None


class ShampooState(NamedTuple):
    """Moments are float32 trees; `statistics` and `roots` have a tuple of matrices for each array."""

    count: jax.Array
    first: Any
    second: Any
    statistics: Any
    roots: Any


def make_optimizer(hyperparameters: Hyperparameters, workload: Any) -> optax.GradientTransformation:
    """The optimizer for a workload."""
    schedule = warmup_cosine(hyperparameters.learning_rate, hyperparameters.warmup_factor, workload.step_hint)
    return optax.chain(
        scale_by_shampoo(
            1.0 - hyperparameters.one_minus_beta1,
            hyperparameters.beta2,
            epsilon=hyperparameters.epsilon,
            matrix_epsilon=hyperparameters.matrix_epsilon,
            update_period=hyperparameters.update_period,
            max_size=hyperparameters.max_size,
        ),
        optax.add_decayed_weights(hyperparameters.weight_decay),
        optax.scale_by_learning_rate(schedule),
    )


def scale_by_shampoo(
    beta1: float, beta2: float, *, epsilon: float, matrix_epsilon: float, update_period: int, max_size: int
) -> optax.GradientTransformation:
    """Preconditions the first moment; arguments are those of `Hyperparameters`."""

    def init(params: Any) -> ShampooState:
        zeros = optax.tree.zeros_like(params, dtype=jnp.float32)
        matrices = jax.tree.map(lambda param: square_zeros(param.shape, max_size), params)
        return ShampooState(jnp.zeros([], jnp.int32), zeros, zeros, matrices, matrices)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, ShampooState]:
        del params
        count: Any = optax.safe_increment(state.count)
        grads = optax.tree.cast(updates, jnp.float32)
        first = optax.tree.update_moment(grads, state.first, beta1, 1)
        second = optax.tree.update_moment(grads, state.second, beta2, 2)
        statistics = jax.tree.map(
            lambda grad, matrices: updated_statistics(grad, matrices, beta2, max_size), grads, state.statistics
        )
        roots = jax.lax.cond(
            count % update_period == 0,
            lambda: jax.tree.map(lambda _, matrices: inverse_roots(matrices, matrix_epsilon), grads, statistics),
            lambda: state.roots,
        )
        moment = optax.tree.bias_correction(first, beta1, count)
        adam = jax.tree.map(
            lambda m, v: m / (jnp.sqrt(v) + epsilon), moment, optax.tree.bias_correction(second, beta2, count)
        )

        def direction(moment: Array, matrices: Sequence[Square], adam: Array) -> Array:
            if not matrices:
                return adam
            preconditioned = multiplied(moment, matrices, max_size)
            length = jnp.linalg.norm(preconditioned)
            grafted = preconditioned * (jnp.linalg.norm(adam) / jnp.where(length > 0, length, 1.0))
            return jnp.where(count >= update_period, grafted, adam)

        directions = jax.tree.map(direction, moment, roots, adam)
        return optax.tree.cast_like(directions, updates), ShampooState(count, first, second, statistics, roots)

    return optax.GradientTransformation(init, update)


def inverse_roots(matrices: Sequence[Square], matrix_epsilon: float) -> tuple[Square, ...]:
    """The inverse 2k-th roots of an array's k statistics; their scale is irrelevant because of grafting."""

    def root(matrix: Square) -> Square:
        values, vectors = jnp.linalg.eigh(matrix)
        largest = jnp.maximum(values[-1], jnp.finfo(jnp.float32).tiny)
        # Relative to the largest, to keep the powers of tiny gradients within the range of float32.
        powers = (jnp.maximum(values / largest, 0.0) + matrix_epsilon) ** (-0.5 / len(matrices))
        return jnp.einsum("ij,j,kj->ik", vectors, powers, vectors, precision="highest")

    return tuple(root(matrix) for matrix in matrices)


# --- arrays and their axes, shared with SOAP --------------------------------------------------------------------------


def merged_shape(shape: Sequence[int], max_size: int) -> tuple[int, ...]:
    """The shape with neighboring axes except the last merged as long as their product is at most `max_size`."""
    merged: list[int] = []
    for size in shape[:-1]:
        if merged and (merged[-1] * size <= max_size or 1 in (merged[-1], size)):
            merged[-1] *= size
        else:
            merged.append(size)
    return (*merged, *shape[-1:])


def square_zeros(shape: Sequence[int], max_size: int) -> tuple[Square, ...]:
    """A zero matrix for each merged axis of at most `max_size` elements; none for arrays with one axis."""
    sizes = merged_shape(shape, max_size) if len(shape) > 1 else ()
    return tuple(jnp.zeros((size, size), jnp.float32) for size in sizes if size <= max_size)


def updated_statistics(
    grad: Float[Array, "..."], matrices: Sequence[Square], decay: float, max_size: int
) -> tuple[Square, ...]:
    """Updates the moving averages of the gradient times itself, summed over all axes but one."""
    if not matrices:
        return ()
    grad = grad.reshape(merged_shape(grad.shape, max_size))
    axes = [axis for axis, size in enumerate(grad.shape) if size <= max_size]

    def product(axis: int) -> Square:
        others = [other for other in range(grad.ndim) if other != axis]
        return jnp.tensordot(grad, grad, (others, others), precision="highest")

    return tuple(decay * matrix + (1 - decay) * product(axis) for axis, matrix in zip(axes, matrices, strict=True))


def multiplied(
    array: Float[Array, "*shape"], matrices: Sequence[Square], max_size: int, *, transposed: bool = False
) -> Float[Array, "*shape"]:
    """Multiplies each merged axis that has a matrix by this matrix, or by its transpose."""
    if not matrices:
        return array
    remaining = list(matrices)
    result = array.reshape(merged_shape(array.shape, max_size))
    for size in result.shape:
        if size <= max_size:
            # Contracts the first axis and appends the product as the last, which rotates through the axes.
            axes = ((0,), (0 if transposed else 1,))
            result = jnp.tensordot(result, remaining.pop(0), axes, precision="highest")
        else:
            result = jnp.moveaxis(result, 0, -1)
    return result.reshape(array.shape)
