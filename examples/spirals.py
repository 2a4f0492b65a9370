"""A workload of your own in one file: a network that tells the two arms of a spiral apart.

`python examples/spirals.py` trains it with AdamW. The guide docs/guides/add-a-workload.md explains each part.
"""

import flax.linen as nn
import jax
import numpy as np

import algoperf_jax
import workloads
from algoperf_jax.data import arrays, shuffle
from algoperf_jax.data.sources import ColumnSource, GeneratedColumns
from algoperf_jax.workload import (
    ArraySpec,
    Batch,
    Budget,
    Data,
    Facts,
    Goal,
    LossType,
    Placement,
    SplitReader,
    Workload,
)
from workloads import losses, metrics, schemas
from workloads.flax_model import flax_model

FACTS = Facts(
    goal=Goal(metric="accuracy", direction="maximize", validation=0.98, test=0.98),
    budget=Budget(max_runtime_sec=60, eval_period_sec=1, step_hint=4_000),
    batch_size=128,
    eval_batch_size=1_000,
    split_sizes={"train": 8_000, "eval_train": 1_000, "validation": 1_000, "test": 1_000},
)


class SpiralClassifier(nn.Module):
    """[B, 2] -> logits [B, 2]."""

    @nn.compact
    def __call__(self, points: jax.Array) -> jax.Array:
        hidden = nn.relu(nn.Dense(64)(points))
        hidden = nn.relu(nn.Dense(64)(hidden))
        return nn.Dense(2)(hidden)


init, apply = flax_model(SpiralClassifier, example_inputs=jax.ShapeDtypeStruct((1, 2), "float32"))


def generate(split: str) -> arrays.Columns:
    """Columns `point` float32 [n, 2] and `arm` int32 [n]; the same at every call."""
    rng = np.random.default_rng([7, ("train", "validation", "test").index(split)])
    size = FACTS.split_sizes[split]
    arm = rng.integers(2, size=size, dtype=np.int32)
    turns = rng.uniform(0.25, 1.5, size)
    angle = 2 * np.pi * (turns + 0.5 * arm)
    point = turns[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1) + 0.02 * rng.normal(size=(size, 2))
    return {"point": point.astype(np.float32), "arm": arm}


SOURCE = GeneratedColumns(generate, {"version": "1", "split_sizes": dict(FACTS.split_sizes)})


def to_batch(examples: arrays.Columns) -> Batch:
    return {"inputs": examples["point"], "targets": examples["arm"]}


def open_data(source: ColumnSource) -> Data:
    """The splits of a source with the columns of `generate`."""

    def open_split(split: str, *, batch_size: int, seed: int, placement: Placement) -> SplitReader:
        if split == "train":
            return arrays.training_split(
                source.columns("train"), batch_size=batch_size, seed=seed, placement=placement, transform=to_batch
            )
        examples = source.columns("train" if split == "eval_train" else split)
        if split == "eval_train":
            chosen = shuffle.eval_train_indices(len(examples["arm"]), FACTS.split_sizes["eval_train"])
            examples = arrays.take(examples, chosen)
        return arrays.evaluation_split(examples, batch_size=batch_size, placement=placement, transform=to_batch)

    return Data(origin=source.origin, open=open_split, describe=source.describe)


def build(name: str, *, data_dir: str | None = None) -> Workload:
    """The workload; there is no real data to prepare, so `data_dir` is not used."""
    return Workload(
        name=name,
        base_name="spirals",
        init=init,
        apply=apply,
        loss=losses.softmax_cross_entropy,
        loss_type=LossType.SOFTMAX_CROSS_ENTROPY,
        metrics=metrics.classification(apply, losses.softmax_cross_entropy),
        data=open_data(SOURCE),
        schema=schemas.every_split(
            {"inputs": ArraySpec((2,)), "targets": ArraySpec(dtype="int32"), "weights": ArraySpec()}
        ),
        output_parameters=("Dense_2",),
        **vars(FACTS),
    )


def main() -> None:
    """Adds the workload to the registry for the length of one trial, and trains it."""
    with workloads.registered("spirals", workloads.Entry("spirals")):
        result = algoperf_jax.run_trial("spirals", "adamw", hyperparameters={"learning_rate": 3e-3})
    print(result.status, result.best)


if __name__ == "__main__":
    main()
