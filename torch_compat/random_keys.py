"""Random keys of steps as PyTorch submissions of the benchmark get them: pairs of integers, drawn with NumPy.

The derivation is that of the benchmark's runner.
"""

import numpy as np

_LARGEST = 2**31 - 1


class StepKeys:
    """Derives the keys; keeps one generator, since making one takes longer than seeding it."""

    def __init__(self) -> None:
        self._generator = np.random.RandomState()

    def __call__(self, rng: np.ndarray, step: int) -> np.ndarray:
        """The four keys of a step, int32 [4, 2]: data selection, update, preparation for evaluation, evaluation.

        The step is folded in by drawing a number and pairing it with the step; the pair seeds the keys.

        Args:
          rng: key of the trial's loop, two integers.
          step: number of the step, from 0.
        """
        self._generator.seed([int(value) % _LARGEST for value in rng])
        self._generator.seed([int(self._generator.randint(0, _LARGEST, dtype=np.int32)), step])
        return self._generator.randint(0, _LARGEST, dtype=np.int32, size=(4, 2))
