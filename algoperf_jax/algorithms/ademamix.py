"""AdEMAMix: AdamW with a second, much slower first moment (Pagliardini et al. 2025).

As in the paper, until the last step the weight of the slow moment grows linearly, and its decay rate grows from that of
the fast moment such that its half-life grows linearly. Linear warmup, then cosine decay to zero at the workload's step
hint. `ademamix.json` is a small search space around the paper's settings.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import optax

from algoperf_jax.schedules import warmup_cosine


class Hyperparameters(NamedTuple):
    """Names and defaults.

    Attributes:
      learning_rate: peak learning rate.
      one_minus_beta1: 1 - decay rate of the fast first moment.
      beta2: decay rate of the second moment.
      beta3: final decay rate of the slow first moment.
      alpha: final weight of the slow first moment.
      epsilon: added to the root of the second moment.
      weight_decay: decoupled, multiplied by the learning rate.
      warmup_factor: fraction of the step hint spent on warmup of the learning rate.
      dropout_rate: the workload's default when None.
      label_smoothing: see the workload's loss.
      grad_clip: limit on the gradient's global norm, or None.
    """

    learning_rate: float = 1e-3
    one_minus_beta1: float = 0.1
    beta2: float = 0.999
    beta3: float = 0.9999
    alpha: float = 8.0
    epsilon: float = 1e-8
    weight_decay: float = 1e-2
    warmup_factor: float = 0.05
    dropout_rate: float | None = None
    label_smoothing: float = 0.0
    grad_clip: float | None = None


def make_optimizer(hyperparameters: Hyperparameters, workload: Any) -> optax.GradientTransformation:
    """The optimizer for a workload."""
    beta1 = 1.0 - hyperparameters.one_minus_beta1
    fast, slow = np.log(beta1), np.log(hyperparameters.beta3)

    def progress(count: Any) -> Any:
        return jnp.minimum((count + 1.0) / workload.step_hint, 1.0)

    def beta3(count: Any) -> Any:
        part = progress(count)
        return jnp.exp(fast * slow / ((1.0 - part) * slow + part * fast))

    return optax.contrib.ademamix(
        warmup_cosine(hyperparameters.learning_rate, hyperparameters.warmup_factor, workload.step_hint),
        b1=beta1,
        b2=hyperparameters.beta2,
        b3=beta3,
        alpha=lambda count: hyperparameters.alpha * progress(count),
        eps=hyperparameters.epsilon,
        weight_decay=hyperparameters.weight_decay,
    )
