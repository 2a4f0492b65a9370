"""A workload with an embedding table: an example is a few row numbers, and its class depends on their sum."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from algoperf_jax.data import arrays
from algoperf_jax.workload import ArraySpec, Batch, Budget, Data, Goal, LossType, Workload
from workloads import losses, metrics, schemas

NUM_ROWS, WIDTH, NUM_IDS, NUM_CLASSES = 4096, 4, 3, 2
SPLIT_SIZES = {"train": 256, "eval_train": 64, "validation": 64, "test": 64}


def build() -> Workload:
    """The workload; its table may be split by rows."""
    return Workload(
        name="table",
        base_name="table",
        init=init,
        apply=apply,
        loss=losses.softmax_cross_entropy,
        loss_type=LossType.SOFTMAX_CROSS_ENTROPY,
        metrics=metrics.classification(apply, losses.softmax_cross_entropy),
        data=Data(origin="builtin", open=open_split, describe=dict),
        schema=schemas.every_split(
            {
                "inputs": ArraySpec((NUM_IDS,), dtype="int32"),
                "targets": ArraySpec(dtype="int32"),
                "weights": ArraySpec(),
            }
        ),
        goal=Goal(metric="accuracy", direction="maximize", validation=1.5, test=1.5),
        budget=Budget(max_runtime_sec=1000, eval_period_sec=1000, step_hint=100),
        batch_size=32,
        eval_batch_size=64,
        split_sizes=SPLIT_SIZES,
        output_parameters=("Dense_0",),
        sharded_parameters=("embedding_*",),
    )


def init(rng: Any) -> tuple[Any, Any]:
    params = {
        "Dense_0": {"kernel": jnp.ones((WIDTH, NUM_CLASSES)), "bias": jnp.zeros(NUM_CLASSES)},
        "embedding_table": jax.random.normal(rng, (NUM_ROWS, WIDTH)),
    }
    return params, None


def apply(params: Any, model_state: Any, batch: Batch, rng: Any, **options: Any) -> tuple[Any, Any]:
    del rng, options
    rows = params["embedding_table"][batch["inputs"]]
    return rows.sum(axis=1) @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"], model_state


def open_split(split: Any, *, batch_size: int, seed: int, placement: Any) -> Any:
    rng = np.random.default_rng(list(SPLIT_SIZES).index(split))
    ids = rng.integers(NUM_ROWS, size=(SPLIT_SIZES[split], NUM_IDS))
    columns = {"inputs": ids.astype(np.int32), "targets": (ids.sum(axis=1) % NUM_CLASSES).astype(np.int32)}
    options: dict[str, Any] = {"batch_size": batch_size, "placement": placement, "transform": dict}
    if split == "train":
        return arrays.training_split(columns, seed=seed, **options)
    return arrays.evaluation_split(columns, **options)
