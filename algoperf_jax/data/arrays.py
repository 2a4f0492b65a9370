"""Batches gathered from arrays in memory: one vectorized gather per batch instead of Python work per example."""

from collections.abc import Callable, Mapping

import numpy as np

from algoperf_jax.data import shuffle
from algoperf_jax.workload import Batch, Placement, SplitReader

Columns = Mapping[str, np.ndarray]
"""Arrays that share their leading example axis."""
Transform = Callable[[Columns], Batch]
"""Turns gathered examples into `inputs` and `targets`; vectorized over the leading axis."""
Draw = Callable[[np.random.Generator, int], Columns]
"""Draws the random columns of augmentation for a whole global batch of the given size."""


def training_split(
    examples: Columns,
    *,
    batch_size: int,
    seed: int,
    placement: Placement,
    transform: Transform,
    draw: Draw | None = None,
) -> SplitReader:
    """The endless shuffled stream of full batches; every example has weight 1."""
    num_examples = len(next(iter(examples.values())))
    indices = shuffle.endless_indices(num_examples, seed)
    rows = placement.rows(batch_size)

    def batch(k: int) -> Batch:
        chosen = indices(k * batch_size, (k + 1) * batch_size)[rows]
        gathered = {name: column[chosen] for name, column in examples.items()}
        if draw is not None:
            drawn = draw(shuffle.batch_generator(seed, k), batch_size)
            gathered |= {name: column[rows] for name, column in drawn.items()}
        return {**transform(gathered), "weights": np.ones(len(chosen), np.float32)}

    return SplitReader(num_examples=num_examples, num_batches=None, batch=batch)


def evaluation_split(examples: Columns, *, batch_size: int, placement: Placement, transform: Transform) -> SplitReader:
    """One pass in order; the last batch is filled up with copies of example 0 of weight 0.

    A split smaller than `batch_size` makes one batch of just the size that the devices can share.
    """
    num_examples = len(next(iter(examples.values())))
    size = min(batch_size, round_up(num_examples, placement.device_count))
    rows = placement.rows(size)

    def batch(k: int) -> Batch:
        positions = np.arange(k * size, (k + 1) * size)[rows]
        real = positions < num_examples
        chosen = np.where(real, positions, 0)
        gathered = {name: column[chosen] for name, column in examples.items()}
        return {**transform(gathered), "weights": real.astype(np.float32)}

    return SplitReader(num_examples=num_examples, num_batches=-(-num_examples // size), batch=batch)


def take(examples: Columns, indices: np.ndarray) -> dict[str, np.ndarray]:
    """The chosen rows of every column."""
    return {name: column[indices] for name, column in examples.items()}


def round_up(count: int, multiple: int) -> int:
    """The smallest multiple of `multiple` that is at least `count`."""
    return -(-count // multiple) * multiple
