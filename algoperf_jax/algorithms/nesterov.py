"""Gradient descent with Nesterov momentum (Nesterov 1983; in the form of Sutskever et al. 2013).

Weight decay is L2 regularization: it is added to the gradient, before the momentum. Linear warmup, then linear decay to
a fraction of the peak, which stays constant to the end, as in the benchmark's baseline (Dahl et al. 2023), whose search
space is in `nesterov.json`.
"""

from typing import Any, NamedTuple

import optax

from algoperf_jax.schedules import warmup_linear


class Hyperparameters(NamedTuple):
    """Names and defaults.

    Attributes:
      learning_rate: peak learning rate.
      one_minus_beta1: 1 - decay rate of the momentum, a sum of gradients.
      weight_decay: multiplied by the parameters and added to the gradient.
      warmup_factor: fraction of the step hint spent on warmup.
      decay_steps_factor: fraction of the steps after the warmup spent on the decay.
      end_factor: the learning rate after the decay, relative to the peak.
      dropout_rate: the workload's default when None.
      label_smoothing: see the workload's loss.
      grad_clip: limit on the gradient's global norm, or None.
    """

    learning_rate: float = 0.1
    one_minus_beta1: float = 0.1
    weight_decay: float = 1e-5
    warmup_factor: float = 0.05
    decay_steps_factor: float = 0.9
    end_factor: float = 1e-2
    dropout_rate: float | None = None
    label_smoothing: float = 0.0
    grad_clip: float | None = None


def make_optimizer(hyperparameters: Hyperparameters, workload: Any) -> optax.GradientTransformation:
    """The optimizer for a workload."""
    return momentum_descent(hyperparameters, workload.step_hint, nesterov=True)


def momentum_descent(
    hyperparameters: Hyperparameters, step_hint: int, *, nesterov: bool
) -> optax.GradientTransformation:
    """Gradient descent with either momentum."""
    schedule = warmup_linear(
        hyperparameters.learning_rate,
        hyperparameters.warmup_factor,
        hyperparameters.decay_steps_factor,
        hyperparameters.end_factor,
        step_hint,
    )
    return optax.chain(
        optax.add_decayed_weights(hyperparameters.weight_decay),
        optax.sgd(schedule, momentum=1.0 - hyperparameters.one_minus_beta1, nesterov=nesterov),
    )
