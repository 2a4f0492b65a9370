"""SAM: sharpness-aware minimization (Foret et al. 2021) on AdamW.

AdamW's step with the gradient at the worst point within `rho` of the parameters, to first order. Both gradients use the
same batch and dropout masks; the model state comes from the first. On several devices, the perturbation uses the
gradient of the global batch, where the paper perturbs the parameters on each device by the gradient of its own share.
Linear warmup, then cosine decay to zero at the workload's step hint. `sam.json` is the search space of the benchmark's
baseline (Dahl et al. 2023).
"""

from typing import Any, NamedTuple

import jax
import optax

from algoperf_jax.algorithms import adamw


class Hyperparameters(NamedTuple):
    """Names and defaults.

    Attributes:
      learning_rate: peak learning rate.
      one_minus_beta1: 1 - decay rate of the first moment.
      beta2: decay rate of the second moment.
      epsilon: added to the root of the second moment.
      weight_decay: decoupled, multiplied by the learning rate.
      rho: distance at which the second gradient is taken.
      warmup_factor: fraction of the step hint spent on warmup.
      dropout_rate: the workload's default when None.
      label_smoothing: see the workload's loss.
      grad_clip: limit on each gradient's global norm, or None.
    """

    learning_rate: float = 1e-3
    one_minus_beta1: float = 0.1
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 1e-2
    rho: float = 0.02
    warmup_factor: float = 0.05
    dropout_rate: float | None = None
    label_smoothing: float = 0.0
    grad_clip: float | None = None


def make_optimizer(hyperparameters: Hyperparameters, workload: Any) -> optax.GradientTransformation:
    """The optimizer for a workload."""
    adam = adamw.Hyperparameters(
        **{name: value for name, value in hyperparameters._asdict().items() if name in adamw.Hyperparameters._fields}
    )
    return sharpness_aware(adamw.make_optimizer(adam, workload), hyperparameters.rho)


def sharpness_aware(optimizer: optax.GradientTransformation, rho: float) -> optax.GradientTransformationExtraArgs:
    """An optimizer's step with the gradient taken at distance `rho` uphill.

    Unlike `optax.contrib.sam`, it accepts a zero gradient, and its state is the optimizer's.
    """

    def update(updates: Any, state: Any, params: Any = None, **offered: Any) -> tuple[Any, Any]:
        scale = rho / (optax.tree.norm(updates) + 1e-12)
        uphill = jax.tree.map(lambda param, grad: param + scale * grad, params, updates)
        return optimizer.update(offered["grad_fn"](uphill), state, params)

    return optax.GradientTransformationExtraArgs(optimizer.init, update)
