"""Random keys for PyTorch submissions: pairs of integers, drawn with NumPy, and seeds.

The keys of steps are derived as in the benchmark's runner.
"""

import numpy as np

from algoperf_jax.trial.backend import StepKeys

_LARGEST = 2**31 - 1


def dropout_seed(rng: np.ndarray, rank: int) -> int:
    """The seed of PyTorch's own random state in one process: 32 bits that depend on every bit of the key and the rank.

    On CPUs, PyTorch uses only the lowest 32 bits of a seed.

    Args:
      rng: key of the model, two integers.
      rank: rank of the process.
    """
    entropy = [*(int(value) % 2**32 for value in rng), rank]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


class DrawStepKeys:
    """Derives the keys of steps; keeps one generator, since making one takes longer than seeding it."""

    def __init__(self) -> None:
        self._generator = np.random.RandomState()

    def __call__(self, rng: np.ndarray, step: int) -> StepKeys:
        """The keys of a step, int32[2] each.

        The step is folded in by drawing a number and pairing it with the step; the pair seeds the keys.

        Args:
          rng: key of the trial's loop, two integers.
          step: number of the step, from 0.
        """
        self._generator.seed([int(value) % _LARGEST for value in rng])
        self._generator.seed([int(self._generator.randint(0, _LARGEST, dtype=np.int32)), step])
        return StepKeys(*self._generator.randint(0, _LARGEST, dtype=np.int32, size=(4, 2)))
