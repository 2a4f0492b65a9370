"""Prodigy: AdamW that estimates its own learning rate (Mishchenko & Defazio 2024).

The estimate, a lower bound on the distance to the solution, is multiplied by the learning rate, which is 1 in the
paper. Linear warmup, excluded from the estimate (an option of the authors' code), then cosine decay to zero at the
workload's step hint. Nothing needs tuning; `prodigy.json` is a small search space of what can be tuned.
"""

from typing import Any, NamedTuple

import optax

from algoperf_jax.schedules import warmup_cosine


class Hyperparameters(NamedTuple):
    """Names and defaults.

    Attributes:
      learning_rate: peak of the factor on the estimate.
      one_minus_beta1: 1 - decay rate of the first moment.
      beta2: decay rate of the second moment; the estimate's decay rate is its square root.
      epsilon: added to the root of the second moment, both relative to the estimate.
      weight_decay: decoupled, multiplied by the learning rate and the estimate.
      initial_distance: the first estimate, which should be too small.
      distance_factor: factor on later estimates.
      warmup_factor: fraction of the step hint spent on warmup.
      dropout_rate: the workload's default when None.
      label_smoothing: see the workload's loss.
      grad_clip: limit on the gradient's global norm, or None.
    """

    learning_rate: float = 1.0
    one_minus_beta1: float = 0.1
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 1e-2
    initial_distance: float = 1e-6
    distance_factor: float = 1.0
    warmup_factor: float = 0.05
    dropout_rate: float | None = None
    label_smoothing: float = 0.0
    grad_clip: float | None = None


def make_optimizer(hyperparameters: Hyperparameters, workload: Any) -> optax.GradientTransformation:
    """The optimizer for a workload."""
    return optax.contrib.prodigy(
        warmup_cosine(hyperparameters.learning_rate, hyperparameters.warmup_factor, workload.step_hint),
        betas=(1.0 - hyperparameters.one_minus_beta1, hyperparameters.beta2),
        eps=hyperparameters.epsilon,
        estim_lr0=hyperparameters.initial_distance,
        estim_lr_coef=hyperparameters.distance_factor,
        weight_decay=hyperparameters.weight_decay,
        safeguard_warmup=True,
    )
