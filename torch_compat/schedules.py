"""The learning-rate schedule of `algoperf_jax/schedules.py`, in PyTorch."""

import math

import torch
from torch.optim.lr_scheduler import LambdaLR


def warmup_cosine(optimizer: torch.optim.Optimizer, warmup_factor: float, step_hint: int) -> LambdaLR:
    """Linear warmup from 0 to the optimizer's learning rate, then cosine decay to 0 at `step_hint`.

    Args:
      optimizer: its learning rate is the peak.
      warmup_factor: fraction of `step_hint` that is spent on warmup.
      step_hint: total number of steps.
    """
    warmup_steps = int(warmup_factor * step_hint)
    decay_steps = max(step_hint - warmup_steps, 1)

    def factor(step: int) -> float:
        if step < warmup_steps:
            return step / warmup_steps
        return 0.5 * (1.0 + math.cos(math.pi * min((step - warmup_steps) / decay_steps, 1.0)))

    return LambdaLR(optimizer, factor)
