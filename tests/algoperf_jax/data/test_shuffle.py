"""The order is a pure function of seed and position."""

import tracemalloc

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


@pytest.mark.parametrize("by_blocks", [False, True])
def test_no_epoch_of_a_seed_is_another_epoch_of_a_neighbouring_seed(by_blocks: bool) -> None:
    """As it would be if the epoch were added to the seed, which grain's shuffles do."""

    def stream(seed: int) -> shuffle.IndexStream:
        if by_blocks:
            return shuffle.endless_indices_by_blocks(np.full(5, 4), seed, group=2)
        return shuffle.endless_indices(20, seed)

    orders = [tuple(stream(seed)(20 * epoch, 20 * epoch + 20)) for seed in range(5) for epoch in range(5)]
    assert len(set(orders)) == 25


def test_no_generator_of_a_seed_shares_words_with_another() -> None:
    """They would if the stream of one began inside that of another."""
    generators = {
        "shuffling": np.random.Generator(np.random.Philox(key=[5, 7])),
        "batch": shuffle.batch_generator(5, 7),
        "example 0": shuffle.example_generator(5, 7, 0),
        "example 1": shuffle.example_generator(5, 7, 1),
    }
    words = [set(generator.integers(2**64, size=1000, dtype=np.uint64)) for generator in generators.values()]
    assert len(set.union(*words)) == 4000


def test_augmentation_draws_are_independent_of_the_shuffling() -> None:
    first = shuffle.batch_generator(5, 0).permutation(50)
    assert not np.array_equal(first, shuffle.epoch_order(50, 5, 0))
    np.testing.assert_array_equal(first, shuffle.batch_generator(5, 0).permutation(50))
    assert not np.array_equal(first, shuffle.batch_generator(5, 1).permutation(50))


def test_orders_in_the_cache_cannot_be_modified() -> None:
    with pytest.raises(ValueError, match="read-only"):
        shuffle.epoch_order(5, 0, 0)[0] = 1


def test_eval_train_is_a_fixed_subset() -> None:
    chosen = shuffle.eval_train_indices(100, 30)
    assert len(set(chosen)) == 30
    assert list(chosen) == sorted(chosen)
    np.testing.assert_array_equal(chosen, shuffle.eval_train_indices(100, 30))
    assert len(shuffle.eval_train_indices(10, 30)) == 10


def test_the_orders_of_small_data_sets_are_those_of_published_runs() -> None:
    assert shuffle.endless_indices(12, 7)(10, 20).tolist() == [8, 4, 1, 8, 5, 2, 9, 11, 0, 4]
    assert shuffle.eval_train_indices(12, 5).tolist() == [0, 1, 6, 7, 9]


def test_a_data_set_too_large_for_a_table_is_shuffled_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shuffle, "LARGEST_TABLE", 500)
    monkeypatch.setattr(shuffle, "epoch_order", None)
    between = shuffle.endless_indices(1001, 3)
    epochs = [between(1001 * epoch, 1001 * (epoch + 1)) for epoch in range(3)]
    assert all(sorted(epoch) == list(range(1001)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    np.testing.assert_array_equal(between(700, 2500), between(0, 3003)[700:2500])
    chosen = shuffle.eval_train_indices(1001, 300)
    assert len(set(chosen)) == 300
    assert list(chosen) == sorted(chosen)


def test_any_position_of_billions_of_examples_takes_little_memory() -> None:
    num_examples = 4_195_197_692
    between = shuffle.endless_indices(num_examples, 1)
    tracemalloc.start()
    found = between(5 * num_examples - 1000, 5 * num_examples + 1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20
    assert found.dtype == np.int64
    assert found.min() >= 0
    assert found.max() < num_examples
    np.testing.assert_array_equal(between(5 * num_examples + 10, 5 * num_examples + 20), found[1010:1020])


SIZES = np.array([5, 3, 1, 7, 4, 4, 2])


@pytest.mark.parametrize("group", [1, 2, 3, 7, 100])
def test_blocks_come_in_random_order_and_their_rows_by_groups(group: int) -> None:
    block_of = np.repeat(np.arange(len(SIZES)), SIZES)
    between = shuffle.endless_indices_by_blocks(SIZES, 3, group=group)
    epochs = [between(26 * epoch, 26 * (epoch + 1)) for epoch in range(5)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(26))
        # Each group is finished before the next begins.
        seen = block_of[epoch]
        order = list(dict.fromkeys(seen.tolist()))
        position = 0
        while position < 26:
            blocks = set(order[:1])
            while len(blocks) < min(group, len(order)):
                size = SIZES[list(blocks)].sum()
                later = [block for block in seen[position : position + size + 1].tolist() if block not in blocks]
                blocks.add(later[0])
            size = SIZES[list(blocks)].sum()
            assert set(seen[position : position + size].tolist()) == blocks
            position += size
            order = [block for block in order if block not in blocks]
    assert len({tuple(epoch) for epoch in epochs}) == 5
    other = shuffle.endless_indices_by_blocks(SIZES, 4, group=group)
    assert not np.array_equal(other(0, 26), epochs[0])


@pytest.mark.parametrize(("start", "stop"), [(0, 3), (20, 33), (5, 100), (4, 4), (26, 52)])
def test_any_stretch_by_blocks_is_that_stretch_of_the_stream(start: int, stop: int) -> None:
    whole = shuffle.endless_indices_by_blocks(SIZES, 0, group=2)(0, 130)
    again = shuffle.endless_indices_by_blocks(SIZES, 0, group=2)
    np.testing.assert_array_equal(again(start, stop), whole[start:stop])


def test_the_order_by_blocks_stays_as_it_is() -> None:
    assert shuffle.endless_indices_by_blocks(SIZES, 7, group=2)(20, 32).tolist() == [
        9,
        13,
        15,
        10,
        14,
        11,
        6,
        24,
        7,
        5,
        25,
        12,
    ]


def test_ranges_are_concatenated() -> None:
    assert shuffle.ranges(np.array([5, 0, 9]), np.array([2, 0, 3])).tolist() == [5, 6, 9, 10, 11]
    assert shuffle.ranges(np.zeros(0, int), np.zeros(0, int)).tolist() == []
