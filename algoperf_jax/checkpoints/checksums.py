"""Checksums of arrays, on the host or distributed over devices and processes.

The checksum of an array is the CRC-32 of its bytes in row-major order, the same on any number of devices and processes.
CRC-32 is linear: the checksum of a whole is the sum (exclusive or) of those of its parts, each shifted by the number of
bytes that follow it. So several threads read an array part by part, each process reads only its own shards, and no
array is copied.
"""

import concurrent.futures
import functools
import itertools
import math
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

_PART_BYTES = 16 * 2**20
_THREADS = 4
_POLYNOMIAL = 0xEDB88320
"""The polynomial of CRC-32; the lowest bit is the coefficient of x^31, and x^32 is implied."""
_ONE = 1 << 31

_Part = tuple[int, Callable[[], np.ndarray]]
"""The number of bytes of the array after a part, and a function that reads the part."""


def checksums(arrays: Mapping[str, Any]) -> dict[str, int]:
    """The checksum of each NumPy or JAX array, by name; all processes of a run must call this together.

    An array of which each process has a complete copy gets the checksum of the first process, which writes it.
    """
    mine = checksums_here(arrays)
    if jax.process_count() == 1:
        return mine
    gathered = _gathered(mine)
    return {
        name: int(np.bitwise_xor.reduce(column)) if _is_shared_out(arrays[name]) else int(column[0])
        for name, column in zip(mine, gathered.T, strict=True)
    }


def differing(arrays: Mapping[str, Any], expected: Mapping[str, int]) -> list[str]:
    """The names of arrays whose checksum differs in any process; all processes must call this together."""
    mine = checksums_here(arrays)
    rows = np.asarray([list(mine.values())], np.uint32) if jax.process_count() == 1 else _gathered(mine)
    found = []
    for name, column in zip(mine, rows.T, strict=True):
        sums = [np.bitwise_xor.reduce(column)] if _is_shared_out(arrays[name]) else column
        if any(int(value) != expected[name] for value in sums):
            found.append(name)
    return found


def checksums_here(arrays: Mapping[str, Any]) -> dict[str, int]:
    """The contribution of this process's parts to each array's checksum; the checksum itself for a complete array."""
    parts = ((name, part) for name, array in arrays.items() for part in _parts(array))
    sums = dict.fromkeys(arrays, 0)
    with concurrent.futures.ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as executor:
        # A few at a time, so that parts are freed before the last is read.
        while batch := list(itertools.islice(parts, 64)):
            for (name, _), value in zip(batch, executor.map(_contribution, batch), strict=True):
                sums[name] ^= value
    return sums


def _contribution(named_part: tuple[str, _Part]) -> int:
    _, (following, read) = named_part
    elements = np.ascontiguousarray(read()).reshape(-1).view(np.uint8)
    return _multiplied(zlib.crc32(elements.data), _power_of_x(8 * following))


def _gathered(mine: Mapping[str, int]) -> np.ndarray:
    """The contributions of all processes, [processes, arrays]."""
    return np.asarray(multihost_utils.process_allgather(np.asarray(list(mine.values()), np.uint32)))


def _is_shared_out(array: Any) -> bool:
    """Whether no process has all shards of an array."""
    return isinstance(array, jax.Array) and not array.is_fully_addressable


# --- parts -----------------------------------------------------------------------------------------------------------


def _parts(array: Any) -> Iterator[_Part]:
    """The parts of an array that this process must read, each a contiguous run of elements."""
    if not isinstance(array, jax.Array):
        array = np.asarray(array)
        yield from _blocks(array, 0)
        return
    for shard in array.addressable_shards:
        if shard.replica_id == 0 and shard.data.size:
            data = shard.data
            on_host = np.asarray(data) if next(iter(data.devices())).platform == "cpu" else data
            yield from _runs(on_host, shard.index, array.shape)


def _runs(data: Any, index: tuple[slice, ...], shape: tuple[int, ...]) -> Iterator[_Part]:
    """The parts of a shard that is the slice `index` of an array of `shape`."""
    itemsize, size = data.dtype.itemsize, math.prod(shape)
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    # The last split axis: along it and all axes after it, elements are contiguous.
    split = max((axis for axis in range(len(shape)) if data.shape[axis] != shape[axis]), default=0)
    starts = [part.start or 0 for part in index]
    for before in np.ndindex(data.shape[:split]):
        first = sum((start + offset) * stride for start, offset, stride in zip(starts, before, strides, strict=False))
        first += sum(start * stride for start, stride in zip(starts[split:], strides[split:], strict=True))
        run = data[before] if before else data
        yield from _blocks(run, itemsize * (size - first - run.size))


def _blocks(run: Any, following: int) -> Iterator[_Part]:
    """Cuts a contiguous run along its first axis; `following` bytes of the array come after it."""
    rows = run.shape[0] if run.ndim else 1
    row_bytes = run.dtype.itemsize * (run.size // rows if rows else 0)
    count = max(1, _PART_BYTES // max(1, row_bytes))
    if rows <= count:
        yield following, functools.partial(np.asarray, run)
        return
    for start in range(0, rows, count):
        stop = min(start + count, rows)
        yield following + row_bytes * (rows - stop), functools.partial(_slice, run, start, stop)


def _slice(run: Any, start: int, stop: int) -> np.ndarray:
    return np.asarray(run[start:stop])


# --- polynomials over the field of two elements, modulo the polynomial of CRC-32 -------------------------------------


def _multiplied(left: int, right: int) -> int:
    """The product of two polynomials; bit 31 is the coefficient of 1, bit 0 that of x^31."""
    product = 0
    while left:
        if left & _ONE:
            product ^= right
        left = (left << 1) & 0xFFFFFFFF
        right = (right >> 1) ^ (_POLYNOMIAL if right & 1 else 0)
    return product


@functools.lru_cache(maxsize=4096)
def _power_of_x(exponent: int) -> int:
    if exponent == 0:
        return _ONE
    half = _power_of_x(exponent // 2)
    square = _multiplied(half, half)
    return _multiplied(square, _ONE >> 1) if exponent % 2 else square
