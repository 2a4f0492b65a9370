"""AdamW: Adam (Kingma & Ba 2015) with decoupled weight decay (Loshchilov & Hutter 2019).

Linear warmup, then cosine decay to zero at the workload's step hint. `adamw.json` is the search space of the
benchmark's baseline (Dahl et al. 2023).
"""

from typing import Any

import optax

from algoperf_jax.algorithms.nadamw import Hyperparameters as Hyperparameters
from algoperf_jax.schedules import warmup_cosine


def make_optimizer(hyperparameters: Hyperparameters, workload: Any) -> optax.GradientTransformation:
    """The optimizer for a workload; the hyperparameters are those of NadamW."""
    return optax.adamw(
        learning_rate=warmup_cosine(hyperparameters.learning_rate, hyperparameters.warmup_factor, workload.step_hint),
        b1=1.0 - hyperparameters.one_minus_beta1,
        b2=hyperparameters.beta2,
        eps=hyperparameters.epsilon,
        weight_decay=hyperparameters.weight_decay,
    )
