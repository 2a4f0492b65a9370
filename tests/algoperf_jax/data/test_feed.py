"""The feed returns `batch(0)`, `batch(1)`, ... and resumes exactly after the last batch returned."""

import dataclasses
import json

import numpy as np
import pytest

from algoperf_jax.data.feed import DeviceFeed, FeedOptions
from algoperf_jax.workload import Batch, Finish, SplitReader


def reader(num_batches: int | None = None) -> SplitReader:
    return SplitReader(100, num_batches, lambda k: {"inputs": np.full(4, k)})


def stay(batch: Batch, finish: Finish | None = None) -> Batch:
    """Leaves a batch on the host."""
    return batch if finish is None else finish(batch)


def numbers(feed: DeviceFeed, count: int) -> list[int]:
    return [int(next(feed)["inputs"][0]) for _ in range(count)]


@pytest.mark.parametrize("threads", [0, 1, 3])
@pytest.mark.parametrize("ahead", [0, 1, 4])
def test_order_does_not_depend_on_how_far_ahead_batches_are_made(threads: int, ahead: int) -> None:
    feed = DeviceFeed(reader(), stay, FeedOptions(threads, ahead))
    assert numbers(feed, 20) == list(range(20))


@pytest.mark.parametrize("ahead", [0, 1, 4])
def test_position_is_that_of_the_last_batch_handed_out(ahead: int) -> None:
    feed = DeviceFeed(reader(), stay, FeedOptions(1, ahead))
    assert numbers(feed, 7) == list(range(7))
    position = json.loads(json.dumps(feed.position()))
    again = DeviceFeed(reader(), stay, FeedOptions(1, ahead))
    again.seek(position)
    assert again.position() == position
    assert numbers(again, 5) == [7, 8, 9, 10, 11]


def test_seek_drops_what_was_in_flight() -> None:
    feed = DeviceFeed(reader(), stay)
    start = feed.position()
    assert numbers(feed, 3) == [0, 1, 2]
    feed.seek(start)
    assert numbers(feed, 3) == [0, 1, 2]


def test_a_pass_ends() -> None:
    feed = DeviceFeed(reader(3), stay, FeedOptions(batches_ahead=2))
    assert [int(batch["inputs"][0]) for batch in feed] == [0, 1, 2]


def test_an_error_while_making_a_batch_reaches_the_consumer() -> None:
    def batch(k: int) -> dict[str, np.ndarray]:
        if k == 2:
            raise ValueError("damaged")
        return {"inputs": np.zeros(1)}

    feed = DeviceFeed(SplitReader(9, None, batch), stay, FeedOptions(threads=0))
    next(feed)
    next(feed)
    with pytest.raises(ValueError, match="damaged"):
        next(feed)


def test_the_last_stage_goes_with_each_batch() -> None:
    doubled = dataclasses.replace(reader(), finish=lambda batch: {"inputs": 2 * batch["inputs"]})
    assert numbers(DeviceFeed(doubled, stay), 4) == [0, 2, 4, 6]
    assert doubled.put(3, stay)["inputs"][0] == doubled.finished(3)["inputs"][0] == 6
    assert reader().finished(3)["inputs"][0] == 3
