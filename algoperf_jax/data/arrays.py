"""Batches of gathered rows: one vectorized gather per batch instead of Python work per example.

`training_split` and `evaluation_split` gather from arrays in memory, `stream_split` and `pass_split` from any source
that gives rows by index (see `block_rows`).
"""

import functools
from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Int64, Shaped

from algoperf_jax.data import shuffle
from algoperf_jax.data.shuffle import IndexStream
from algoperf_jax.workload import Batch, Placement, SplitReader

Columns = Mapping[str, Shaped[np.ndarray, "examples ..."]]
"""Arrays that share their leading example axis."""
Take = Callable[[Int64[np.ndarray, " examples"]], Columns]
"""Gathers the rows of the given examples in new arrays."""
Transform = Callable[[Columns], Batch]
"""Turns gathered examples into `inputs` and `targets`; vectorized over the leading axis."""
Draw = Callable[[np.random.Generator, int], Columns]
"""Draws the random columns for augmentation of a whole global batch: (generator, batch size) -> columns."""


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
    return stream_split(
        functools.partial(take, examples),
        shuffle.endless_indices(num_examples, seed),
        num_examples=num_examples,
        batch_size=batch_size,
        placement=placement,
        transform=transform,
        draw=None if draw is None else lambda k: draw(shuffle.batch_generator(seed, k), batch_size),
    )


def stream_split(
    take_rows: Take,
    between: IndexStream,
    *,
    num_examples: int,
    batch_size: int,
    placement: Placement,
    transform: Transform,
    draw: Callable[[int], Columns] | None = None,
) -> SplitReader:
    """The endless stream of full batches in a given order; every example has weight 1.

    Args:
      take_rows: gathers examples.
      between: the order of the examples; called for one global batch at a time.
      num_examples: number of examples in an epoch.
      batch_size: examples in a global batch.
      placement: determines the rows of this process.
      transform: turns gathered examples into `inputs` and `targets`.
      draw: `k ->` the random columns for augmentation of the whole global batch k.
    """
    rows = placement.rows(batch_size)

    def batch(k: int) -> Batch:
        chosen = between(k * batch_size, (k + 1) * batch_size)[rows]
        gathered = dict(take_rows(chosen))
        if draw is not None:
            gathered |= {name: column[rows] for name, column in draw(k).items()}
        return {**transform(gathered), "weights": np.ones(len(chosen), np.float32)}

    return SplitReader(num_examples=num_examples, num_batches=None, batch=batch)


def evaluation_split(examples: Columns, *, batch_size: int, placement: Placement, transform: Transform) -> SplitReader:
    """One pass in order; batches are padded with copies of example 0, which have weight 0.

    Padding fills the last batch, and makes batches divisible by the number of devices. A split smaller than
    `batch_size` makes one batch, of the smallest size that the devices can share.
    """
    return pass_split(
        functools.partial(take, examples),
        np.arange,
        num_examples=len(next(iter(examples.values()))),
        batch_size=batch_size,
        placement=placement,
        transform=transform,
    )


def pass_split(
    take_rows: Take,
    between: IndexStream,
    *,
    num_examples: int,
    batch_size: int,
    placement: Placement,
    transform: Transform,
) -> SplitReader:
    """One pass over the first `num_examples` of a given order; see `stream_split` and `evaluation_split`."""
    size = min(batch_size, num_examples)
    padded = round_up(size, placement.device_count)
    own = np.arange(padded)[placement.rows(padded)]

    def batch(k: int) -> Batch:
        positions = k * size + own
        real = (own < size) & (positions < num_examples)
        start, count = int(positions[0]), int(real.sum())
        chosen = np.concatenate([between(start, start + count), np.repeat(between(0, 1), len(positions) - count)])
        return {**transform(take_rows(chosen)), "weights": real.astype(np.float32)}

    return SplitReader(num_examples=num_examples, num_batches=-(-num_examples // size), batch=batch)


def take(examples: Columns, indices: Int64[np.ndarray, " n"]) -> dict[str, Shaped[np.ndarray, "n ..."]]:
    """Gathers the chosen rows of every column."""
    return {name: column[indices] for name, column in examples.items()}


def round_up(count: int, multiple: int) -> int:
    """The smallest multiple of `multiple` that is at least `count`."""
    return -(-count // multiple) * multiple
