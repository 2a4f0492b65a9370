"""The ways to read JAX arrays on the host."""

import contextlib
import functools
from typing import Any

import jax
import numpy as np

from algoperf_jax.devices.host_reads import HostReads, Reader, counted

_METHODS = (
    *("__array__", "__bool__", "__complex__", "__float__", "__format__", "__index__", "__int__", "__reduce__"),
    *("__repr__", "__str__", "item", "tobytes", "tolist"),
)
# NumPy reads arrays in the host's memory directly. The functions below are therefore counted separately; others, such
# as `np.mean(array)`, are counted only on accelerators, where NumPy calls `__array__`.
_FUNCTIONS = ("array", "asarray")


def count_host_reads() -> contextlib.AbstractContextManager[HostReads]:
    """Counts reads; for arrays in the host's memory, those that would be transfers from an accelerator."""
    return counted(_readers())


@functools.cache
def _readers() -> tuple[Reader, ...]:
    array_class = type(jax.device_put(0.0))

    def is_of_array(caller: str, *args: Any, **kwargs: Any) -> bool:
        del caller, kwargs
        return bool(args) and isinstance(args[0], array_class)

    owners = [*((array_class, name) for name in _METHODS), *((np, name) for name in _FUNCTIONS)]
    return tuple(Reader(owner, name, is_of_array) for owner, name in owners)
