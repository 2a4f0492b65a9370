"""Reads of tensors on the host: which are counted, and that counting leaves no traces."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from torch_compat.host_reads import count_host_reads
from torch_compat.metrics_logger import TensorLogger


class Log:
    def append_scalar_metrics(self, metrics: dict[str, Any], global_step: int) -> None:
        assert metrics == {"loss": 3.0}


@pytest.mark.parametrize(
    ("read", "count"),
    [
        (lambda tensor: tensor.sum().item(), 1),
        (lambda tensor: float(tensor.sum()), 1),
        (lambda tensor: 1 if tensor.sum() > 0 else 2, 1),
        (lambda tensor: math.isfinite(tensor.sum()), 1),
        (lambda tensor: f"{tensor.sum():.2f} {tensor}", 2),
        (lambda tensor: np.asarray(tensor), 1),
        (lambda tensor: tensor.cpu().numpy(), 2),
        (lambda tensor: tensor.tolist(), 1),
        (lambda tensor: float(torch.nn.Parameter(tensor.sum()).detach()), 1),
        (lambda tensor: tensor.to(torch.float64).to("cpu") + 1, 0),
        (lambda tensor: TensorLogger(Log()).append_scalar_metrics({"loss": tensor.sum()}, 0), 0),
    ],
)
def test_reads_are_counted(read: Callable[[torch.Tensor], Any], count: int) -> None:
    before = dict(vars(torch.Tensor))
    with count_host_reads() as reads:
        read(torch.ones(3))
    assert reads.places is not None
    assert reads.places.total() == count
    assert all(place.rpartition(":")[0] == __file__ for place in reads.places)
    assert dict(vars(torch.Tensor)) == before


@pytest.mark.parametrize("optimizer", [torch.optim.AdamW, torch.optim.NAdam, torch.optim.Adafactor, torch.optim.LBFGS])
def test_an_optimizer_that_counts_its_steps_on_the_host_reads_nothing(optimizer: Any) -> None:
    parameter = torch.nn.Parameter(torch.ones(3, 3))
    made = optimizer([parameter])

    def closure() -> torch.Tensor:
        made.zero_grad()
        loss = parameter.square().sum()
        loss.backward()
        return loss

    with count_host_reads() as reads:
        made.step(closure)
    assert reads.places is not None
    assert (reads.places.total() > 0) == (optimizer is torch.optim.LBFGS)


def test_with_an_accelerator_only_reads_from_it_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    # It represents a tensor on an accelerator, and refuses access to its values.
    there, here = torch.ones(3, device="meta"), torch.ones(3)
    with count_host_reads() as reads:
        for read in (lambda: there.to("cpu"), lambda: there.to(here), lambda: there.sum().item()):
            with pytest.raises((NotImplementedError, RuntimeError)):
                read()
        here.sum().item()
        here.cpu()
        here.to("meta")
        there.to(torch.float16)
    assert reads.places is not None
    assert reads.places.total() == 3
