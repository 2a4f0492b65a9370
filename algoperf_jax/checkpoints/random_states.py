"""The random states that Python and NumPy keep for the whole process, on which submissions of both frameworks may draw.

A trial begins with the states of its seed, whatever ran before it in the process, and resumes with those that its
checkpoint kept. PyTorch's own states are `torch_compat`'s.
"""

import contextlib
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

_SEEDS = 2**32


class RandomStates(NamedTuple):
    """The states of both.

    Attributes:
      python: of the module `random`: version, numbers as a uint32 array, and the normal variate left over, or None.
      numpy: of `numpy.random`, as its `get_state` describes it.
    """

    python: tuple[int, np.ndarray, float | None]
    numpy: dict[str, Any]


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Begins with the states of a seed, the same in all processes; afterwards those of before are back."""
    before = current()
    random.seed(seed)
    np.random.seed(seed % _SEEDS)  # noqa: NPY002 -- the global generator is meant
    try:
        yield
    finally:
        restore(before)


def current() -> RandomStates:
    """The states now."""
    state: Any = np.random.get_state(legacy=False)  # noqa: NPY002 -- as above
    return RandomStates(of_python(random.getstate()), state)


def restore(states: RandomStates) -> None:
    """Makes `states` those of the process."""
    random.setstate(for_python(states.python))
    np.random.set_state(states.numpy)  # noqa: NPY002 -- as above


def of_python(state: Any) -> tuple[int, np.ndarray, float | None]:
    """What `getstate` of a generator of Python returned, as a checkpoint keeps it."""
    version, numbers, left_over = state
    return version, np.asarray(numbers, np.uint32), left_over


def for_python(kept: Any) -> Any:
    """The inverse, for `setstate`."""
    version, numbers, left_over = kept
    return version, tuple(numbers.tolist()), left_over
