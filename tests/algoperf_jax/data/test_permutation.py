"""The computed order is a permutation for every size, looks random, and never changes."""

import numpy as np
import pytest

from algoperf_jax.data.permutation import Permutation


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 97, 127, 128, 1000, 1024, 1025, 65_537, 1 << 17])
def test_every_number_comes_once(size: int) -> None:
    np.testing.assert_array_equal(np.sort(Permutation(size, 3, 5)(np.arange(size))), np.arange(size))


def test_seeds_and_epochs_have_different_orders() -> None:
    orders = [Permutation(50, seed, epoch)(np.arange(50)) for seed in range(5) for epoch in range(5)]
    assert len({tuple(order) for order in orders}) == 25


def test_any_positions_in_any_shape() -> None:
    whole = Permutation(1000, 1, 2)(np.arange(1000))
    asked = np.array([[999, 3], [3, 500]], np.int32)
    found = Permutation(1000, 1, 2)(asked)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, whole[asked])
    assert Permutation(1000, 1, 2)(np.zeros(0, np.int64)).shape == (0,)
    assert Permutation(1000, 1, 2)(np.array(7)) == whole[7]


@pytest.mark.parametrize(
    ("size", "positions", "expected"),
    [
        (4_195_197_692, [0, 1, 2**31, 4_195_197_691], [4100553657, 2168652430, 2698680613, 900210657]),
        (10, list(range(10)), [4, 8, 5, 6, 0, 7, 9, 1, 3, 2]),
    ],
)
def test_the_order_stays_as_it_is(size: int, positions: list[int], expected: list[int]) -> None:
    seed, epoch = (1, 2) if size > 10 else (3, 0)
    assert Permutation(size, seed, epoch)(np.array(positions)).tolist() == expected


def test_every_number_is_as_likely_at_every_position() -> None:
    """Chi-square over many seeds; 5 deviations of its normal approximation, exceeded by chance once in 3 million."""
    size, count = 64, 1000
    places = np.zeros((size, size))
    for seed in range(count):
        places[np.arange(size), Permutation(size, seed, 0)(np.arange(size))] += 1
    expected, freedom = count / size, (size - 1) ** 2
    chi_square = ((places - expected) ** 2 / expected).sum()
    assert abs(chi_square - freedom) < 5 * np.sqrt(2 * freedom)


@pytest.mark.parametrize("size", [100_003, 4_195_197_692])
def test_neighbors_are_independent(size: int) -> None:
    """Neighbors are uncorrelated, with the distances expected by chance; again within 5 standard deviations."""
    count = 100_000
    found = Permutation(size, 9, 4)(np.arange(count)) / size
    deviation = np.sqrt(1 / count)
    assert abs(np.corrcoef(found[1:], found[:-1])[0, 1]) < 5 * deviation
    # The distance of two numbers that are uniform in 0 .. 1 has mean 1/3 and variance 1/18; adjacent ones overlap.
    assert abs(np.abs(np.diff(found)).mean() - 1 / 3) < 5 * np.sqrt(2 / 18) * deviation
    low_bits = Permutation(size, 9, 4)(np.arange(count)) % 16
    expected = count / 16
    assert ((np.bincount(low_bits, minlength=16) - expected) ** 2 / expected).sum() < 15 + 5 * np.sqrt(30)


@pytest.mark.parametrize("size", [0, -1, (1 << 62) + 1])
def test_sizes_out_of_range(size: int) -> None:
    with pytest.raises(ValueError, match=f"numbers, not {size}"):
        Permutation(size, 0, 0)
