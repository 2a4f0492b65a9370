"""Layers whose parameters are not initialized: they later get the values of the JAX model."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch

_Module = TypeVar("_Module", bound=torch.nn.Module)


def uninitialized(kind: Callable[..., _Module], *arguments: Any, **options: Any) -> _Module:
    """Makes a layer `kind(*arguments, **options)` on the CPU without initializing its parameters."""
    return kind(*arguments, **options, device="meta").to_empty(device="cpu")
