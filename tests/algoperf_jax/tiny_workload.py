"""A workload that compiles and trains in moments: one hidden layer with dropout classifies clouds of points."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import workloads
from algoperf_jax.data import arrays
from algoperf_jax.workload import ArraySpec, Batch, Budget, Data, Goal, LossType, Workload
from workloads import losses, metrics, schemas

NUM_FEATURES = 4
NUM_CLASSES = 3
SPLIT_SIZES = {"train": 256, "eval_train": 64, "validation": 64, "test": 64}


ENTRY = workloads.Entry("tests.algoperf_jax.tiny_workload", variants={"wide": workloads.Variant({"width": 16})})


def build(name: str, *, data_dir: str | None = None, width: int = 8, target: float | None = 1.5) -> Workload:
    del data_dir

    def init(rng: Any) -> tuple[Any, Any]:
        # Not random, but different for each key, and compiled at once.
        noise = jnp.sin(rng[1].astype(jnp.float32) + jnp.arange(NUM_FEATURES * width).reshape(NUM_FEATURES, width))
        params = {
            "Dense_0": {"kernel": noise, "bias": jnp.zeros(width)},
            "Dense_1": {"kernel": 0.1 * noise.T[:, :NUM_CLASSES], "bias": jnp.zeros(NUM_CLASSES)},
        }
        return params, None

    return Workload(
        name=name,
        base_name="tiny",
        init=init,
        apply=apply,
        loss=losses.softmax_cross_entropy,
        loss_type=LossType.SOFTMAX_CROSS_ENTROPY,
        metrics=metrics.classification(apply, losses.softmax_cross_entropy),
        data=Data(origin="builtin", open=open_split, describe=lambda: {"dataset": "points"}),
        schema=schemas.every_split(
            {"inputs": ArraySpec((NUM_FEATURES,)), "targets": ArraySpec(dtype="int32"), "weights": ArraySpec()}
        ),
        goal=Goal(metric="accuracy", direction="maximize", validation=target, test=target),
        budget=Budget(max_runtime_sec=1000, eval_period_sec=1000, step_hint=100),
        batch_size=32,
        eval_batch_size=64,
        split_sizes=SPLIT_SIZES,
        output_parameters=("Dense_1",),
    )


def apply(
    params: Any,
    model_state: Any,
    batch: Batch,
    rng: Any,
    *,
    train: bool,
    update_batch_norm: bool,
    dropout_rate: Any = None,
    use_running_average: bool | None = None,
) -> tuple[Any, Any]:
    del update_batch_norm, use_running_average
    hidden = jnp.tanh(batch["inputs"] @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"])
    if train and dropout_rate is not None:
        keep = 1.0 - dropout_rate
        hidden = jnp.where(jax.random.bernoulli(rng, keep, hidden.shape), hidden / keep, 0.0)
    return hidden @ params["Dense_1"]["kernel"] + params["Dense_1"]["bias"], model_state


def points(split: str) -> arrays.Columns:
    rng = np.random.default_rng(list(SPLIT_SIZES).index(split))
    labels = rng.integers(NUM_CLASSES, size=SPLIT_SIZES[split])
    centers = 2.0 * np.eye(NUM_CLASSES, NUM_FEATURES)
    inputs = centers[labels] + rng.normal(size=(len(labels), NUM_FEATURES))
    return {"inputs": inputs.astype(np.float32), "targets": labels.astype(np.int32)}


def open_split(split: Any, *, batch_size: int, seed: int, placement: Any) -> Any:
    options: dict[str, Any] = {"batch_size": batch_size, "placement": placement, "transform": dict}
    if split == "train":
        return arrays.training_split(points(split), seed=seed, **options)
    return arrays.evaluation_split(points(split), **options)
