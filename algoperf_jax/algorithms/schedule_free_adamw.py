"""Schedule-Free AdamW: averages the iterates instead of decaying the learning rate (Defazio et al. 2024).

Gradients are taken at y, between the iterates z and their weighted average x, and x is evaluated. The learning rate is
constant after a linear warmup, the only use of the step hint. `optax.contrib` weights the average by the squared
learning rate without Adam's bias correction, which the paper includes. Batch statistics are those of y, not recomputed
for x. `schedule_free_adamw.json` is a small search space around the authors' advice: learning rates larger than
AdamW's, from little to much momentum.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import optax


class Hyperparameters(NamedTuple):
    """Names and defaults.

    Attributes:
      learning_rate: the learning rate after warmup.
      one_minus_beta1: weight of z, relative to x, in y; between 0 and 1, both excluded.
      beta2: decay rate of the second moment.
      epsilon: added to the root of the second moment.
      weight_decay: decoupled, applied to y, multiplied by the learning rate.
      warmup_factor: fraction of the step hint spent on warmup.
      dropout_rate: the workload's default when None.
      label_smoothing: see the workload's loss.
      grad_clip: limit on the gradient's global norm, or None.
    """

    learning_rate: float = 2.5e-3
    one_minus_beta1: float = 0.1
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 1e-2
    warmup_factor: float = 0.05
    dropout_rate: float | None = None
    label_smoothing: float = 0.0
    grad_clip: float | None = None


def make_optimizer(hyperparameters: Hyperparameters, workload: Any) -> optax.GradientTransformation:
    """The optimizer for a workload; the parameters it updates are y."""
    warmup_steps = max(int(hyperparameters.warmup_factor * workload.step_hint), 1)

    def schedule(step: Any) -> Any:
        """The learning rate of a step, counted from 1."""
        return hyperparameters.learning_rate * jnp.minimum(step / warmup_steps, 1.0)

    # Adam without momentum; optax counts steps from 0 here and from 1 in the average.
    optimizer = optax.chain(
        optax.scale_by_rms(hyperparameters.beta2, eps=hyperparameters.epsilon, eps_in_sqrt=False, bias_correction=True),
        optax.add_decayed_weights(hyperparameters.weight_decay),
        optax.scale_by_learning_rate(lambda count: schedule(count + 1)),
    )
    return optax.contrib.schedule_free(optimizer, schedule, b1=1.0 - hyperparameters.one_minus_beta1)


def evaluation_params(optimizer_state: Any, params: Any) -> Any:
    """The parameters to evaluate, the average x."""
    return optax.contrib.schedule_free_eval_params(optimizer_state, params)
