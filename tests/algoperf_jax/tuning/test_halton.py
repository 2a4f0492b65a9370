"""The quasi-random points are those of the reference implementation, to the last bit.

`tests/golden/halton.listing.npz` lists the reference's numbers, without `points_20_np_random_seed_*` for their size.
"""

import math

import pytest

from algoperf_jax.tuning import halton
from tests import golden_support

GOLDEN = golden_support.listing("halton")


def test_primes() -> None:
    golden = GOLDEN["generate_primes"]
    primes = halton.odd_primes(1000)
    assert list(halton.odd_primes(30)) == golden["30"]
    assert list(primes[-5:]) == golden["1000_last5"]
    assert list(primes[:3]) == golden["first3"]
    assert len(primes) == golden["1000_count"]


@pytest.mark.parametrize("num_dims", GOLDEN["sequences_generation_order"], ids=str)
def test_points_of_the_unit_cube(num_dims: str) -> None:
    golden = GOLDEN["sequences_generation_order"][num_dims]
    assert list(halton.bases(int(num_dims))) == golden["primes"]
    points = halton.unit_cube_points(20, int(num_dims))
    assert [list(point) for point in points] == golden["points_20"]
    assert halton.unit_cube_points(5, int(num_dims)) == points[:5]


@pytest.mark.parametrize("base", GOLDEN["van_der_corput"])
def test_scrambling_of_a_base(base: str) -> None:
    golden = GOLDEN["van_der_corput"][base]
    assert halton.digit_permutation(int(base)) == (golden["digit_permutation"], golden["shift"])


@pytest.mark.parametrize(
    ("bases", "first", "shifted", "name"),
    [
        ((983, 991), 1, False, "num_samples=6,num_dims=2,skip=0,per_dim_shift=False,shuffle=False"),
        ((983, 991), 1, True, "num_samples=6,num_dims=2,skip=0,per_dim_shift=True,shuffle=False"),
        ((5, 7), 4, True, "num_samples=6,num_dims=2,primes=[5,7],skip=3,shift,noshuffle"),
    ],
)
def test_radical_inverses(bases: tuple[int, int], first: int, shifted: bool, name: str) -> None:
    golden = GOLDEN["sequence_options"][name]
    for column, base in enumerate(bases):
        permutation, shift = halton.digit_permutation(base)
        values = [halton.radical_inverse(index, permutation) for index in range(first, first + len(golden))]
        expected = [point[column] for point in golden]
        assert [math.fmod(value + shift * shifted, 1.0) for value in values] == expected


def test_radical_inverse_of_unpermuted_digits() -> None:
    assert halton.radical_inverse(0, range(3)) == 0.0
    assert halton.radical_inverse(5, range(3)) == pytest.approx(2 / 3 + 1 / 9)  # 12 in base 3 becomes 0.21


@pytest.mark.parametrize("num_dims", [0, 167])
def test_number_of_dimensions_without_bases(num_dims: int) -> None:
    with pytest.raises(ValueError, match=f"{num_dims} dimensions; expected 1 to 166"):
        halton.unit_cube_points(1, num_dims)
