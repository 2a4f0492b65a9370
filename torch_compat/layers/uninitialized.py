"""Layers whose parameters have no values yet: they get those of the JAX model."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch

_Module = TypeVar("_Module", bound=torch.nn.Module)


def uninitialized(kind: Callable[..., _Module], *arguments: Any, **options: Any) -> _Module:
    """A layer `kind(*arguments, **options)` on the CPU whose parameters are not drawn."""
    return kind(*arguments, **options, device="meta").to_empty(device="cpu")
