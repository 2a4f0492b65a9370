"""The learning-rate schedules that the ready-made algorithms share."""

import optax


def warmup_cosine(learning_rate: float, warmup_factor: float, step_hint: int) -> optax.Schedule:
    """Linear warmup from 0, then cosine decay to 0 at `step_hint`.

    Args:
      learning_rate: the peak.
      warmup_factor: fraction of `step_hint` spent on warmup.
      step_hint: total number of steps.

    Returns:
      Step number -> learning rate.
    """
    warmup_steps = int(warmup_factor * step_hint)
    decay_steps = max(step_hint - warmup_steps, 1)
    return _after_warmup(optax.cosine_decay_schedule(learning_rate, decay_steps), learning_rate, warmup_steps)


def warmup_linear(
    learning_rate: float, warmup_factor: float, decay_steps_factor: float, end_factor: float, step_hint: int
) -> optax.Schedule:
    """Linear warmup from 0, linear decay to `end_factor` times the peak, then constant.

    Args:
      learning_rate: the peak.
      warmup_factor: fraction of `step_hint` spent on warmup.
      decay_steps_factor: fraction of the steps after warmup spent on decay.
      end_factor: final learning rate, relative to the peak.
      step_hint: total number of steps.

    Returns:
      Step number -> learning rate.
    """
    warmup_steps = int(warmup_factor * step_hint)
    decay_steps = max(int(decay_steps_factor * (step_hint - warmup_steps)), 1)
    decay = optax.linear_schedule(learning_rate, end_factor * learning_rate, decay_steps)
    return _after_warmup(decay, learning_rate, warmup_steps)


def _after_warmup(schedule: optax.Schedule, learning_rate: float, warmup_steps: int) -> optax.Schedule:
    # A schedule over 0 steps would never end. See findings/optax_warmup_of_no_steps.sh.
    warmup = optax.linear_schedule(0.0, learning_rate, max(warmup_steps, 1))
    return optax.join_schedules([warmup, schedule], boundaries=[warmup_steps])
