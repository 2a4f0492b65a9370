"""The buckets partition the wall time, and work queued on the devices counts in the bucket that queued it."""

import time

import jax
import jax.numpy as jnp
import pytest

from algoperf_jax.devices.evaluation import Evaluator
from algoperf_jax.devices.mesh import make_layout
from algoperf_jax.framework.jax_backend import JaxBackend
from algoperf_jax.trial.clock import Bucket, Clock
from tests.algoperf_jax.trial.scripted_trial import FakeTime


def test_buckets_sum_to_wall_time_on_a_fake_clock() -> None:
    fake = FakeTime()
    clock = Clock.start(Bucket.SETUP, now=fake.now)
    for bucket, seconds in (
        (Bucket.SUBMISSION, 3.5),
        (Bucket.EVALUATION, 0.25),
        (Bucket.SUBMISSION, 1.5),
        (Bucket.LOGGING, 2.0),
    ):
        clock = clock.switch(bucket)
        fake.sleep(seconds)
    clock = clock.switch(Bucket.OTHER)
    assert clock.readings() == {
        "setup": 0.0,
        "submission": 5.0,
        "evaluation": 0.25,
        "logging": 2.0,
        "other": 0.0,
    }
    assert sum(clock.readings().values()) == 7.25


def test_waiting_is_paid_by_the_bucket_that_queued_the_work() -> None:
    fake = FakeTime()
    clock = Clock.start(Bucket.SUBMISSION, now=fake.now).waiting(lambda outputs: fake.sleep(outputs))
    clock = clock.switch(Bucket.EVALUATION, 4.0)
    assert clock.seconds(Bucket.SUBMISSION) == 4.0
    assert clock.seconds(Bucket.EVALUATION) == 0.0


def test_continued_adds_to_the_readings_of_an_interrupted_run() -> None:
    fake = FakeTime()
    clock = Clock.start(Bucket.SETUP, now=fake.now)
    fake.sleep(2.0)
    clock = clock.continued({"setup": 10**9, "submission": 5 * 10**9}).switch(Bucket.SUBMISSION)
    fake.sleep(1.0)
    clock = clock.book(Bucket.SUBMISSION)
    assert (clock.seconds(Bucket.SETUP), clock.seconds(Bucket.SUBMISSION)) == (3.0, 6.0)
    assert clock.trial_seconds() == 6.0


def test_a_clock_is_immutable() -> None:
    clock = Clock.start(Bucket.SETUP, now=FakeTime().now)
    with pytest.raises(AttributeError):
        clock.bucket = "submission"  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(TypeError):
        clock.nanoseconds["setup"] = 1  # pyright: ignore[reportIndexIssue]


@jax.jit
def _heavy(x: jax.Array) -> jax.Array:
    """Keeps a CPU busy for a large part of a second."""
    return jax.lax.fori_loop(0, 60, lambda _, y: jnp.tanh(y @ y), x)


def _device_seconds(x: jax.Array) -> float:
    started = time.perf_counter()
    _heavy(x).block_until_ready()
    return time.perf_counter() - started


@pytest.mark.parametrize("kept", [True, False], ids=["returned", "dropped by the submission"])
def test_real_clock_with_sleeps_and_queued_device_work(kept: bool) -> None:
    x = jnp.full((800, 800), 1e-3)
    _heavy(x).block_until_ready()
    alone = min(_device_seconds(x) for _ in range(2))
    backend = JaxBackend(None, make_layout(1), _no_evaluator())  # pyright: ignore[reportArgumentType]

    started = time.monotonic_ns()
    clock = Clock.start(Bucket.SETUP).waiting(backend.wait_for)
    time.sleep(0.02)
    clock = clock.switch(Bucket.SUBMISSION)
    queued = [_heavy(x) for _ in range(3)]
    outputs = queued if kept else None
    clock = clock.switch(Bucket.EVALUATION, outputs)
    assert all(array.is_ready() for array in queued)
    time.sleep(0.03)
    clock = clock.switch(Bucket.LOGGING)
    time.sleep(0.01)
    clock = clock.switch(Bucket.OTHER)
    wall = (time.monotonic_ns() - started) / 1e9

    assert sum(clock.readings().values()) == pytest.approx(wall, rel=1e-3)
    assert set(clock.readings()) == set(Bucket)
    # Dispatching takes microseconds; the work itself must count in the bucket that queued it.
    assert clock.seconds(Bucket.SUBMISSION) > 1.5 * alone
    assert clock.seconds(Bucket.EVALUATION) < clock.seconds(Bucket.SUBMISSION)


def _no_evaluator() -> Evaluator:
    return None  # pyright: ignore[reportReturnType] -- this test evaluates nothing
