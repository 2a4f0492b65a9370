"""The learning-rate schedule that most of the ready-made algorithms share."""

import optax


def warmup_cosine(learning_rate: float, warmup_factor: float, step_hint: int) -> optax.Schedule:
    """Linear warmup from 0, then cosine decay to 0 at `step_hint`.

    Args:
      learning_rate: the peak.
      warmup_factor: fraction of `step_hint` that is spent on warmup.
      step_hint: number of steps in all.
    """
    warmup_steps = int(warmup_factor * step_hint)
    decay_steps = max(step_hint - warmup_steps, 1)
    return optax.join_schedules(
        [
            optax.linear_schedule(0.0, learning_rate, max(warmup_steps, 1)),
            optax.cosine_decay_schedule(learning_rate, decay_steps),
        ],
        boundaries=[warmup_steps],
    )
