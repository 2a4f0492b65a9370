"""NadamW: Adam with Nesterov momentum (Dozat 2016) and decoupled weight decay (Loshchilov & Hutter 2019).

Linear warmup, then cosine decay to zero at the workload's step hint. This is the algorithm of the benchmark's baseline.
"""

from typing import Any, NamedTuple

import optax

from algoperf_jax.algorithms.warmup_cosine import warmup_cosine


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
    return optax.nadamw(
        learning_rate=warmup_cosine(hyperparameters.learning_rate, hyperparameters.warmup_factor, workload.step_hint),
        b1=1.0 - hyperparameters.one_minus_beta1,
        b2=hyperparameters.beta2,
        eps=hyperparameters.epsilon,
        weight_decay=hyperparameters.weight_decay,
    )
