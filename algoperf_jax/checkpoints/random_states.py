"""The global random states of Python and NumPy, which submissions in both frameworks may use.

A trial starts with the states given by its seed, regardless of what ran before it in the process, and resumes with
those in its checkpoint. `torch_compat` handles PyTorch's own states.
"""

import contextlib
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

_SEEDS = 2**32


class RandomStates(NamedTuple):
    """The states of both generators.

    Attributes:
      python: state of the module `random`: version, numbers as a uint32 array, and a cached normal variate or None.
      numpy: state of `numpy.random`, as returned by its `get_state`.
    """

    python: tuple[int, np.ndarray, float | None]
    numpy: dict[str, Any]


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Sets the states given by a seed, equal in all processes; restores the previous states at the end."""
    before = current()
    random.seed(seed)
    np.random.seed(seed % _SEEDS)  # noqa: NPY002 -- the global generator is meant
    try:
        yield
    finally:
        restore(before)


def current() -> RandomStates:
    """The current states."""
    state: Any = np.random.get_state(legacy=False)  # noqa: NPY002 -- as above
    return RandomStates(of_python(random.getstate()), state)


def restore(states: RandomStates) -> None:
    """Sets the states of the process."""
    random.setstate(for_python(states.python))
    np.random.set_state(states.numpy)  # noqa: NPY002 -- as above


def of_python(state: Any) -> tuple[int, np.ndarray, float | None]:
    """Converts the result of `random.Random.getstate` for a checkpoint."""
    version, numbers, left_over = state
    return version, np.asarray(numbers, np.uint32), left_over


def for_python(kept: Any) -> Any:
    """The inverse of `of_python`, for `random.Random.setstate`."""
    version, numbers, left_over = kept
    return version, tuple(numbers.tolist()), left_over
