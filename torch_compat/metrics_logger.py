"""The logger of scalars for PyTorch submissions."""

from collections.abc import Mapping
from typing import Any

import torch

from algoperf_jax.framework.workload_view import MetricsLogger


class TensorLogger:
    """Logs the values that tensors have at the moment of the call, without waiting for a GPU.

    Args:
      logger: takes numbers and 0-d arrays.
    """

    def __init__(self, logger: MetricsLogger) -> None:
        self._logger = logger

    def append_scalar_metrics(self, metrics: Mapping[str, Any], global_step: int) -> None:
        """Logs a mapping from names to numbers or 0-d tensors."""
        self._logger.append_scalar_metrics({name: _kept(value) for name, value in metrics.items()}, global_step)


def _kept(value: Any) -> Any:
    if not isinstance(value, torch.Tensor) or value.numel() != 1:
        return value
    return _PendingNumber(value) if value.is_cuda else value.item()


class _PendingNumber:
    """A number that is still on its way from a GPU."""

    shape: tuple[int, ...] = ()

    def __init__(self, value: torch.Tensor) -> None:
        self._value = torch.empty((), dtype=value.dtype, pin_memory=True)
        self._value.copy_(value.detach().reshape(()), non_blocking=True)
        self._arrived = torch.cuda.Event()
        self._arrived.record()

    def is_ready(self) -> bool:
        return self._arrived.query()

    def __float__(self) -> float:
        self._arrived.synchronize()
        return float(self._value)
