"""Random keys of steps as PyTorch submissions of the benchmark get them: pairs of integers, drawn with NumPy.

The derivation is that of the benchmark's runner.
"""

import numpy as np

from algoperf_jax.trial.backend import StepKeys

_LARGEST = 2**31 - 1


class DrawStepKeys:
    """Derives the keys; keeps one generator, since making one takes longer than seeding it."""

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
