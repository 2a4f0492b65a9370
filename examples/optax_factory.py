"""AdamW with a cosine schedule: a complete submission, as an optax factory."""

from typing import Any, NamedTuple

import optax


class Hyperparameters(NamedTuple):
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2


def make_optimizer(hyperparameters: Hyperparameters, workload: Any) -> optax.GradientTransformation:
    schedule = optax.cosine_decay_schedule(hyperparameters.learning_rate, workload.step_hint)
    return optax.adamw(schedule, weight_decay=hyperparameters.weight_decay)
