"""Evaluation of millions of rows in large batches: nothing is left out, counted twice or lost in float32."""

import dataclasses
import itertools

import jax
import numpy as np
import pytest

from algoperf_jax.devices.evaluation import Evaluator
from algoperf_jax.devices.mesh import make_layout
from algoperf_jax.workload import Placement, Workload
from workloads.criteo1tb import builtin, data, evaluation_benchmark
from workloads.criteo1tb.workload import PUBLISHED, build

NUM_ROWS = PUBLISHED.eval_batch_size + 20_001


@pytest.fixture(scope="module")
def workload() -> Workload:
    sizes = {"train": 1, "eval_train": 1, "validation": NUM_ROWS, "test": 5_000}
    clicks = data.open_data(None, split_sizes=sizes, edition=builtin.SMALL)
    return dataclasses.replace(build("criteo1tb", size="small", vocab_size=4_096), data=clicks, split_sizes=sizes)


@pytest.mark.slow
def test_the_sum_of_a_published_batch_is_that_of_float64(workload: Workload) -> None:
    """The benchmark adds the losses of a batch in float32, and the batches in float64."""
    params, state = jax.jit(workload.init)(jax.random.key_data(jax.random.key(0)))
    evaluator = Evaluator(
        workload,
        make_layout(),
        batch_size=PUBLISHED.eval_batch_size,
        seed=0,
        stage_bytes=0,
        splits=("validation",),
    )
    found = evaluator(params, state, jax.random.key_data(jax.random.key(1)))

    @jax.jit
    def logits_and_targets(rows: np.ndarray) -> tuple[jax.Array, jax.Array]:
        batch = data.finish({"rows": rows, "weights": np.ones(len(rows), np.float32)})
        logits, _ = workload.apply(params, state, batch, state, train=False, update_batch_norm=False)
        return logits[:, 0], batch["targets"]

    rows = builtin.GeneratedRows(builtin.SMALL, "validation", 0, NUM_ROWS).drawn()
    logits, targets = (np.asarray(array, np.float64) for array in logits_and_targets(rows))
    expected = (np.logaddexp(0, logits) - targets * logits).mean()
    assert found["validation/num_examples"] == NUM_ROWS
    # A unit in the last place of float32. Targets have six digits after the point.
    assert abs(found["validation/loss"] - expected) < 2**-23 * expected


def test_the_benchmark_evaluates_every_row(workload: Workload) -> None:
    evaluation = evaluation_benchmark.Evaluation(workload)
    reader = workload.data.open("test", batch_size=2_000, seed=0, placement=Placement())
    assert reader.num_batches == 3
    in_turns = [evaluation(evaluation_benchmark.feed(reader, first, count)) for first, count in ((0, 2), (2, 1))]
    at_once = evaluation(evaluation_benchmark.feed(reader, 0, 3))
    np.testing.assert_allclose(sum(in_turns), at_once, rtol=1e-12)
    one = evaluation(evaluation_benchmark.feed(reader, 0, 1))
    constant = itertools.repeat(reader.put(0, evaluation_benchmark.put_batch), 3)
    np.testing.assert_allclose(evaluation(constant), 3 * one, rtol=1e-6)
