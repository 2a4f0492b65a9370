"""Order is a pure function of seed and position."""

import numpy as np
import pytest

from algoperf_jax.data import shuffle


def test_each_epoch_is_a_permutation_in_its_own_order() -> None:
    between = shuffle.endless_indices(10, seed=3)
    epochs = [between(10 * epoch, 10 * (epoch + 1)) for epoch in range(4)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(10))
    assert len({tuple(epoch) for epoch in epochs}) == 4


@pytest.mark.parametrize(("start", "stop"), [(0, 3), (7, 13), (5, 45), (4, 4)])
def test_any_stretch_is_that_stretch_of_the_stream(start: int, stop: int) -> None:
    between = shuffle.endless_indices(10, seed=0)
    np.testing.assert_array_equal(between(start, stop), between(0, 50)[start:stop])


def test_seeds_differ() -> None:
    assert not np.array_equal(shuffle.endless_indices(100, 0)(0, 100), shuffle.endless_indices(100, 1)(0, 100))


def test_augmentation_draws_are_independent_of_the_shuffling() -> None:
    first = shuffle.batch_generator(5, 0).permutation(50)
    assert not np.array_equal(first, shuffle.epoch_order(50, 5, 0))
    np.testing.assert_array_equal(first, shuffle.batch_generator(5, 0).permutation(50))
    assert not np.array_equal(first, shuffle.batch_generator(5, 1).permutation(50))


def test_orders_in_the_cache_cannot_be_spoilt() -> None:
    with pytest.raises(ValueError, match="read-only"):
        shuffle.epoch_order(5, 0, 0)[0] = 1


def test_eval_train_is_a_fixed_subset() -> None:
    chosen = shuffle.eval_train_indices(100, 30)
    assert len(set(chosen)) == 30
    assert list(chosen) == sorted(chosen)
    np.testing.assert_array_equal(chosen, shuffle.eval_train_indices(100, 30))
    assert len(shuffle.eval_train_indices(10, 30)) == 10
