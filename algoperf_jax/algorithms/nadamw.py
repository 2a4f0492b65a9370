"""NadamW: Adam with Nesterov momentum (Dozat 2016) and decoupled weight decay (Loshchilov & Hutter 2019).

Linear warmup, then cosine decay to zero at the workload's step hint. This is the algorithm of the benchmark's baseline,
whose five published points are in `nadamw.json`. As there, the first moment and the gradient added to look ahead share
one bias correction; Dozat and `optax.nadamw` correct each by its own number of steps.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from algoperf_jax.schedules import warmup_cosine


class Hyperparameters(NamedTuple):
    """Names and defaults.

    Attributes:
      learning_rate: peak learning rate.
      one_minus_beta1: 1 - decay rate of the first moment.
      beta2: decay rate of the second moment.
      epsilon: added to the root of the second moment.
      weight_decay: decoupled, multiplied by the learning rate.
      warmup_factor: fraction of the step hint spent on warmup.
      dropout_rate: the workload's default when None.
      label_smoothing: see the workload's loss.
      grad_clip: limit on the gradient's global norm, or None.
    """

    learning_rate: float = 1e-3
    one_minus_beta1: float = 0.1
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 1e-2
    warmup_factor: float = 0.05
    dropout_rate: float | None = None
    label_smoothing: float = 0.0
    grad_clip: float | None = None


def make_optimizer(hyperparameters: Hyperparameters, workload: Any) -> optax.GradientTransformation:
    """The optimizer for a workload."""
    schedule = warmup_cosine(hyperparameters.learning_rate, hyperparameters.warmup_factor, workload.step_hint)
    return optax.chain(
        scale_by_nadam(1.0 - hyperparameters.one_minus_beta1, hyperparameters.beta2, hyperparameters.epsilon),
        optax.add_decayed_weights(hyperparameters.weight_decay),
        optax.scale_by_learning_rate(schedule),
    )


def scale_by_nadam(beta1: float, beta2: float, epsilon: float) -> optax.GradientTransformation:
    """Divides the first moment, one step ahead, by the root of the second moment, both with bias correction."""

    def init(params: Any) -> optax.ScaleByAdamState:
        first, second = optax.tree.zeros_like(params), optax.tree.zeros_like(params)
        return optax.ScaleByAdamState(jnp.zeros([], jnp.int32), first, second)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, optax.ScaleByAdamState]:
        del params
        count = optax.safe_increment(state.count)
        first = optax.tree.update_moment(updates, state.mu, beta1, 1)
        second = optax.tree.update_moment(updates, state.nu, beta2, 2)
        ahead = optax.tree.bias_correction(optax.tree.update_moment(updates, first, beta1, 1), beta1, count)
        corrected = optax.tree.bias_correction(second, beta2, count)
        updates = jax.tree.map(lambda m, v: m / (jnp.sqrt(v) + epsilon), ahead, corrected)
        return updates, optax.ScaleByAdamState(count, first, second)

    return optax.GradientTransformation(init, update)
