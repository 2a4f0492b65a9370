"""Lion: the sign of a momentum (Chen et al. 2023).

Decoupled weight decay. Linear warmup, then cosine decay to zero at the workload's step hint, as in the paper.
`lion.json` follows the paper's advice: learning rates 3 to 10 times smaller than AdamW's, and weight decay as many
times larger.
"""

from typing import Any, NamedTuple

import optax

from algoperf_jax.schedules import warmup_cosine


class Hyperparameters(NamedTuple):
    """Names and defaults.

    Attributes:
      learning_rate: peak learning rate; the size of a step in every parameter.
      one_minus_beta1: 1 - weight of the momentum against the gradient in the sign.
      beta2: decay rate of the momentum.
      weight_decay: decoupled, multiplied by the learning rate.
      warmup_factor: fraction of the step hint spent on warmup.
      dropout_rate: the workload's default when None.
      label_smoothing: see the workload's loss.
      grad_clip: limit on the gradient's global norm, or None.
    """

    learning_rate: float = 2e-4
    one_minus_beta1: float = 0.1
    beta2: float = 0.99
    weight_decay: float = 0.1
    warmup_factor: float = 0.05
    dropout_rate: float | None = None
    label_smoothing: float = 0.0
    grad_clip: float | None = None


def make_optimizer(hyperparameters: Hyperparameters, workload: Any) -> optax.GradientTransformation:
    """The optimizer for a workload."""
    return optax.lion(
        warmup_cosine(hyperparameters.learning_rate, hyperparameters.warmup_factor, workload.step_hint),
        b1=1.0 - hyperparameters.one_minus_beta1,
        b2=hyperparameters.beta2,
        weight_decay=hyperparameters.weight_decay,
    )
