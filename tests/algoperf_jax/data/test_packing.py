"""Bins are filled greedily in order, as defined, and along an endless stream."""

import concurrent.futures
import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from algoperf_jax.data import packing, shuffle
from algoperf_jax.data.packing import BinStream

CAPACITIES = (20, 9)


def random_sizes(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(count)
    return rng.integers(0, 12, count).astype(np.int32), rng.integers(0, 7, count).astype(np.int32)


def greedy(sizes: Sequence[np.ndarray], most: int, group: int | None = None, first: int = 0) -> list[int]:
    """The definition, example by example."""
    starts, inside, sums = [0], 0, np.zeros(len(sizes), int)
    for i, example in enumerate(np.stack(sizes, axis=1)):
        border = group is not None and (first + i) % group == 0
        if inside and (border or inside + 1 > most or (sums + example > CAPACITIES).any()):
            starts.append(i)
            inside, sums = 0, np.zeros(len(sizes), int)
        inside, sums = inside + 1, sums + example
    return [*starts, len(sizes[0])]


@pytest.mark.parametrize("most", [1, 3, 1000])
@pytest.mark.parametrize(("group", "first"), [(None, 0), (7, 0), (7, 5), (1, 0)])
def test_filling_is_greedy(most: int, group: int | None, first: int) -> None:
    sizes = random_sizes(300)
    starts = packing.greedy_starts(sizes, CAPACITIES, most=most, group=group, first=first)
    assert starts.tolist() == greedy(sizes, most, group, first)


def test_one_limit_is_enough() -> None:
    assert packing.greedy_starts([np.array([3, 3, 4, 1])], [6], most=9).tolist() == [0, 2, 4]


def test_filling_stops_after_the_bin_that_reaches_the_wanted_position() -> None:
    sizes = random_sizes(300)
    whole = packing.greedy_starts(sizes, CAPACITIES, most=8)
    part = packing.greedy_starts(sizes, CAPACITIES, most=8, starts_before=100)
    assert part.tolist() == whole[: len(part)].tolist()
    assert part[-2] < 100 <= part[-1]


def test_an_example_larger_than_a_bin_is_named() -> None:
    with pytest.raises(ValueError, match=r"example 2 of size \[1, 10\] does not fit a bin of \[20, 9\]"):
        packing.greedy_starts([np.ones(4, int), np.array([1, 2, 10, 11])], CAPACITIES, most=5)


@pytest.mark.parametrize("group", [None, 16])
def test_a_stream_is_filled_across_the_borders_of_epochs(group: int | None) -> None:
    sizes, between = random_sizes(90), shuffle.endless_indices(90, 4)
    order = between(0, 2000)
    starts = greedy([of_examples[order] for of_examples in sizes], 6, group)
    stream = BinStream(sizes, CAPACITIES, between, most=6, group=group)
    found = [*stream.bins(0, 40), *stream.bins(40, 41), *stream.bins(41, 200)]
    assert len(found) == 200
    for bin_of_stream, (start, stop) in zip(found, itertools.pairwise(starts[:201]), strict=True):
        assert bin_of_stream.tolist() == order[start:stop].tolist()


def test_any_bins_at_any_time_from_any_thread() -> None:
    sizes, between = random_sizes(50), shuffle.endless_indices(50, 1)
    expected = BinStream(sizes, CAPACITIES, between, most=4).bins(0, 300)
    stream = BinStream(sizes, CAPACITIES, between, most=4)
    asked = np.random.default_rng(0).integers(0, 300, 500).tolist()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for k, (found,) in zip(asked, pool.map(lambda k: stream.bins(k, k + 1), asked), strict=True):
            assert found.tolist() == expected[k].tolist()


@pytest.mark.parametrize("stretch", [1, 13, 1000])
def test_bins_do_not_depend_on_how_many_are_found_at_once(stretch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, between = random_sizes(90), shuffle.endless_indices(90, 4)
    expected = BinStream(sizes, CAPACITIES, between, most=6, group=16).bins(0, 200)
    monkeypatch.setattr(packing, "_STRETCH", stretch)
    stream = BinStream(sizes, CAPACITIES, between, most=6, group=16)
    for found, wanted in zip(
        [*stream.bins(150, 200), *stream.bins(0, 150)], expected[150:] + expected[:150], strict=True
    ):
        assert found.tolist() == wanted.tolist()


def test_memory_does_not_depend_on_the_number_of_examples_or_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the order no more is asked for at once than a stretch and a bin, and only some tables are kept."""
    stretch = 64
    monkeypatch.setattr(packing, "_STRETCH", stretch)
    sizes, between = random_sizes(5000), shuffle.endless_indices(5000, 4)
    asked: list[int] = []

    def counted(start: int, stop: int) -> np.ndarray:
        asked.append(stop - start)
        return between(start, stop)

    stream = BinStream(sizes, CAPACITIES, counted, most=6)
    for k in range(0, 9000, 100):
        stream.bins(k, k + 3)
    assert max(asked) <= stretch + 6
    assert sum(asked) > 3 * 5000, "several epochs"
    assert len(stream._tables) <= packing._TABLES
    assert all(len(table) <= stretch + 1 for table in stream._tables.values())
