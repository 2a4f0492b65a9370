"""Counts the reads of PyTorch's tensors on the host."""

import contextlib
from typing import Any

import torch

from algoperf_jax.devices.host_reads import HostReads, Reader, counted

_METHODS = (
    *("__array__", "__bool__", "__complex__", "__float__", "__format__", "__index__", "__int__", "__repr__"),
    *("cpu", "item", "numpy", "tolist"),
)


def count_host_reads() -> contextlib.AbstractContextManager[HostReads]:
    """Counts reads of tensors from an accelerator; without one, reads that would be transfers if there were one."""
    return counted(_READERS)


def _is_read(caller: str, tensor: torch.Tensor, *args: Any, **kwargs: Any) -> bool:
    del args, kwargs
    # Called from the view of the workload, whose reads of tensors on the host are not transfers.
    if caller.startswith("torch_compat.") and not caller.startswith("torch_compat.algorithms."):
        return False
    if tensor.device.type != "cpu":
        return True
    # Optimizers keep their step counts on the host on purpose; L-BFGS reads the loss.
    by_optimizer = caller.startswith("torch.optim.") and caller != "torch.optim.lbfgs"
    return not torch.accelerator.is_available() and not by_optimizer


def _is_read_by_move(caller: str, tensor: torch.Tensor, *args: Any, **kwargs: Any) -> bool:
    to_host = any(_names_host(value) for value in (*args, *kwargs.values()))
    return tensor.device.type != "cpu" and to_host and _is_read(caller, tensor)


def _names_host(value: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return value.device.type == "cpu"
    return isinstance(value, str | torch.device) and torch.device(value).type == "cpu"


_READERS = (*(Reader(torch.Tensor, name, _is_read) for name in _METHODS), Reader(torch.Tensor, "to", _is_read_by_move))
