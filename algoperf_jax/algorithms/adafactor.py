"""Adafactor: second moments kept as row and column means (Shazeer & Stern 2018), with momentum (Zhai et al. 2022).

As in Zhai et al., and unlike in the first paper, there is a first moment, the decay rate of the second moment is
bounded, and steps are not multiplied by the root mean square of the parameters, so learning rates are of Adam's
magnitude. Momentum has the parameters' type. Weight decay is decoupled and multiplied by the learning rate. Linear
warmup, then cosine decay to zero at the workload's step hint. `adafactor.json` is the search space of the benchmark's
baseline (Dahl et al. 2023).
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import optax

from algoperf_jax.schedules import warmup_cosine


class Hyperparameters(NamedTuple):
    """Names and defaults.

    Attributes:
      learning_rate: peak learning rate.
      one_minus_beta1: 1 - decay rate of the momentum.
      beta2: bound on the decay rate of the second moment, which is 1 - step ** -0.8.
      epsilon: added to the square of the gradient.
      clipping_threshold: limit on the root mean square of each array's step, before momentum and learning rate.
      weight_decay: decoupled, multiplied by the learning rate.
      warmup_factor: fraction of the step hint spent on warmup.
      dropout_rate: the workload's default when None.
      label_smoothing: see the workload's loss.
      grad_clip: limit on the gradient's global norm, or None.
    """

    learning_rate: float = 1e-3
    one_minus_beta1: float = 0.1
    beta2: float = 0.999
    epsilon: float = 1e-30
    clipping_threshold: float = 1.0
    weight_decay: float = 1e-2
    warmup_factor: float = 0.05
    dropout_rate: float | None = None
    label_smoothing: float = 0.0
    grad_clip: float | None = None


def make_optimizer(hyperparameters: Hyperparameters, workload: Any) -> optax.GradientTransformation:
    """The optimizer for a workload."""

    def decay_rate(step: Any, exponent: Any) -> Any:
        return jnp.minimum(1.0 - (step + 1.0) ** -exponent, hyperparameters.beta2)

    schedule = warmup_cosine(hyperparameters.learning_rate, hyperparameters.warmup_factor, workload.step_hint)
    return optax.chain(
        optax.scale_by_factored_rms(decay_rate=0.8, epsilon=hyperparameters.epsilon, decay_rate_fn=decay_rate),
        optax.clip_by_block_rms(hyperparameters.clipping_threshold),
        optax.ema(1.0 - hyperparameters.one_minus_beta1, debias=False),
        optax.add_decayed_weights(hyperparameters.weight_decay),
        optax.scale_by_learning_rate(schedule),
    )
