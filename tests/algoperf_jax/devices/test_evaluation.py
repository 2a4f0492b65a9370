"""Every example counts once, batches are staged once, each split is compiled once."""

from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import workloads
from algoperf_jax.data.arrays import evaluation_split
from algoperf_jax.devices.evaluation import Evaluator
from algoperf_jax.devices.mesh import make_layout
from algoperf_jax.workload import Data, Metrics, Partial, SplitReader, Workload

SIZES = {"eval_train": 12, "validation": 37, "test": 5}


class Counted:
    """A stub of mnist's workload whose metrics count examples and whose reads are counted."""

    def __init__(self) -> None:
        self.reads: Counter[str] = Counter()
        self.traces = 0

    def open(self, split: str, *, batch_size: int, seed: int, placement: Any) -> SplitReader:
        inputs = {"inputs": np.arange(SIZES[split], dtype=np.float32)}
        reader = evaluation_split(
            inputs, batch_size=batch_size, placement=placement, transform=lambda examples: dict(examples)
        )

        def batch(k: int) -> Any:
            self.reads[split] += 1
            return reader.batch(k)

        return SplitReader(reader.num_examples, reader.num_batches, batch)

    def batch_step(self, params: Any, model_state: Any, batch: Any, rng: Any) -> Partial:
        self.traces += 1
        weights = batch["weights"]
        return Partial(
            sums={"weight": weights.sum(), "total": (batch["inputs"] * weights * params["scale"]).sum()},
            rows={"inputs": batch["inputs"], "weights": weights},
        )

    def workload(self) -> Workload:
        import dataclasses

        def summarize(sums: Any, rows: Any) -> dict[str, float]:
            real = rows["inputs"][rows["weights"] > 0]
            return {"weight": sums["weight"], "total": sums["total"], "distinct": float(len(set(real.tolist())))}

        return dataclasses.replace(
            workloads.load("mnist"),
            metrics=Metrics(self.batch_step, summarize),
            data=Data("builtin", self.open, dict),  # pyright: ignore[reportArgumentType]
            split_sizes=SIZES,
        )


def evaluator(counted: Counted, devices: int, batch_size: int, stage_bytes: int = 2**30) -> Evaluator:
    return Evaluator(counted.workload(), make_layout(devices), batch_size=batch_size, seed=0, stage_bytes=stage_bytes)


@pytest.mark.parametrize("devices", [1, 2, 8])
@pytest.mark.parametrize("batch_size", [8, 16, 64, 1, 7, 36, 37])
def test_every_example_counts_once(devices: int, batch_size: int) -> None:
    results = evaluator(Counted(), devices, batch_size)({"scale": jnp.ones(())}, None, jax.random.PRNGKey(0))
    for split, size in SIZES.items():
        name = "train" if split == "eval_train" else split
        assert results[f"{name}/weight"] == size
        assert results[f"{name}/distinct"] == size
        assert results[f"{name}/total"] == sum(range(size))
    assert results["validation/num_examples"] == 37
    assert results["test/num_examples"] == 5
    assert "train/num_examples" not in results


def test_batches_are_read_once_and_splits_compiled_once() -> None:
    counted = Counted()
    evaluate = evaluator(counted, 2, 16)
    for scale in (1.0, 2.0, 3.0):
        results = evaluate({"scale": jnp.asarray(scale)}, None, jax.random.PRNGKey(0))
        assert results["validation/total"] == scale * sum(range(37))
    assert counted.reads["validation"] == 1 + 3  # one to learn the size
    assert counted.traces == len(SIZES)


def test_batches_that_do_not_fit_are_read_again() -> None:
    counted = Counted()
    evaluate = evaluator(counted, 1, 16, stage_bytes=0)
    first = evaluate({"scale": jnp.ones(())}, None, jax.random.PRNGKey(0))
    assert evaluate({"scale": jnp.ones(())}, None, jax.random.PRNGKey(0)) == first
    assert counted.reads["validation"] == 1 + 2 * 3 + 1
