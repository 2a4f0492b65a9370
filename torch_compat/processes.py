"""The processes that share a run of a PyTorch submission, one per device, started by torchrun."""

import atexit
import dataclasses
import inspect
import os
import socket
from typing import Any

import jax
import numpy as np
import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from algoperf_jax.devices.distributed import Agreement
from algoperf_jax.errors import ConfigError
from algoperf_jax.trial.loop import Agree, no_need_to_agree

_SYNCHRONIZES_BUFFERS = next(
    name
    for name in ("forward_sync_buffers", "broadcast_buffers")  # older releases have only the second
    if name in inspect.signature(DistributedDataParallel.__init__).parameters
)


@dataclasses.dataclass(frozen=True)
class Processes:
    """One of the processes that share a run.

    Attributes:
      rank: its rank; rank 0 writes the logs.
      count: number of processes.
      device: device of its module and of its rows of each batch.
      grouped: whether torchrun started it, so that `torch.distributed` is set up.
    """

    rank: int
    count: int
    device: torch.device
    grouped: bool

    def wrap(self, module: torch.nn.Module) -> torch.nn.Module:
        """The module as a submission gets it: if there are several processes, gradients are averaged over them."""
        if not self.grouped:
            return module
        # Running statistics are already those of the global batch in every process.
        options: dict[str, Any] = {_SYNCHRONIZES_BUFFERS: False}
        return DistributedDataParallel(module, **options)

    def unwrap(self, module: torch.nn.Module) -> torch.nn.Module:
        """The inverse of `wrap`."""
        return module.module if isinstance(module, DistributedDataParallel) else module

    def gather(self, value: Any) -> list[Any]:
        """The value of each process."""
        if self.count == 1:
            return [value]
        gathered: list[Any] = [None] * self.count
        distributed.all_gather_object(gathered, value)
        return gathered


def this_process() -> Processes:
    """Describes this process; call `join` first."""
    grouped = "LOCAL_RANK" in os.environ
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device("cuda", local_rank) if torch.cuda.is_available() else torch.device("cpu")
    rank, count = (distributed.get_rank(), distributed.get_world_size()) if grouped else (0, 1)
    return Processes(rank, count, device, grouped)


def join() -> None:
    """Joins the processes that torchrun started, in PyTorch and in JAX; does nothing without torchrun.

    Raises:
      ConfigError: there are more processes than GPUs on this host, or the other processes cannot be reached.
    """
    if "LOCAL_RANK" not in os.environ or distributed.is_initialized():
        return
    local_rank, local_count = int(os.environ["LOCAL_RANK"]), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    has_gpu = torch.cuda.is_available()
    if has_gpu and local_count > torch.cuda.device_count():
        raise ConfigError(
            "--nproc_per_node",
            value=local_count,
            expected=f"at most {torch.cuda.device_count()}, the GPUs of this host",
        )
    if has_gpu:
        torch.cuda.set_device(local_rank)
    try:
        distributed.init_process_group("cpu:gloo,cuda:nccl" if has_gpu else "gloo")
        atexit.register(_leave)
        if distributed.get_world_size() > 1:
            _join_in_jax(local_rank if has_gpu else None)
    except (RuntimeError, ValueError) as error:
        raise ConfigError(
            f"the processes did not find each other ({str(error).strip().splitlines()[0]})",
            expected="torchrun --nproc_per_node=N -m algoperf_jax.main ...",
        ) from error


def _join_in_jax(local_device: int | None) -> None:
    """Joins the same processes in JAX, which evaluates and writes checkpoints."""
    address = [None]
    if distributed.get_rank() == 0:
        address = [f"{os.environ['MASTER_ADDR']}:{_free_port()}"]
    distributed.broadcast_object_list(address, src=0)
    jax.distributed.initialize(
        address[0],
        distributed.get_world_size(),
        distributed.get_rank(),
        local_device_ids=None if local_device is None else [local_device],
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


def _leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()


def agreement() -> Agree:
    """How the processes agree on one reading of the clock: that of the slowest.

    They use the hosts' network rather than JAX's devices, so that this does not wait for queued work on the devices.
    """
    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        return no_need_to_agree
    return Agreement(_gather_readings)


def _gather_readings(mine: np.ndarray) -> np.ndarray:
    gathered = [torch.empty(mine.shape, dtype=torch.float64) for _ in range(distributed.get_world_size())]
    distributed.all_gather(gathered, torch.from_numpy(mine))
    return torch.stack(gathered).numpy()
