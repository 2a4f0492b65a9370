"""LAMB: Adam with steps scaled, in each array, to the norm of the array (You et al. 2020).

Linear warmup, then cosine decay to zero at the workload's step hint, where the paper decays linearly. `lamb.json` is
the search space of the benchmark's baseline (Dahl et al. 2023). Arrays that are zero get Adam's step.
"""

from typing import Any, NamedTuple

import optax

from algoperf_jax.schedules import warmup_cosine


class Hyperparameters(NamedTuple):
    """Names and defaults.

    Attributes:
      learning_rate: peak learning rate; norm of a step relative to the norm of the parameters.
      one_minus_beta1: 1 - decay rate of the first moment.
      beta2: decay rate of the second moment.
      epsilon: added to the root of the second moment.
      weight_decay: added to Adam's step before it is scaled.
      warmup_factor: fraction of the step hint spent on warmup.
      dropout_rate: the workload's default when None.
      label_smoothing: see the workload's loss.
      grad_clip: limit on the gradient's global norm, or None.
    """

    learning_rate: float = 2e-3
    one_minus_beta1: float = 0.1
    beta2: float = 0.999
    epsilon: float = 1e-6
    weight_decay: float = 1e-2
    warmup_factor: float = 0.05
    dropout_rate: float | None = None
    label_smoothing: float = 0.0
    grad_clip: float | None = None


def make_optimizer(hyperparameters: Hyperparameters, workload: Any) -> optax.GradientTransformation:
    """The optimizer for a workload."""
    return optax.lamb(
        warmup_cosine(hyperparameters.learning_rate, hyperparameters.warmup_factor, workload.step_hint),
        b1=1.0 - hyperparameters.one_minus_beta1,
        b2=hyperparameters.beta2,
        eps=hyperparameters.epsilon,
        weight_decay=hyperparameters.weight_decay,
    )
