"""Gradient descent with heavy-ball momentum (Polyak 1964).

Weight decay is L2 regularization: it is added to the gradient, before the momentum. Linear warmup, then linear decay to
a fraction of the peak, which stays constant to the end, as in the benchmark's baseline (Dahl et al. 2023), whose search
space is in `momentum.json`.
"""

from typing import Any

import optax

from algoperf_jax.algorithms.nesterov import Hyperparameters as Hyperparameters
from algoperf_jax.algorithms.nesterov import momentum_descent


def make_optimizer(hyperparameters: Hyperparameters, workload: Any) -> optax.GradientTransformation:
    """The optimizer for a workload; the hyperparameters are those of Nesterov momentum."""
    return momentum_descent(hyperparameters, workload.step_hint, nesterov=False)
