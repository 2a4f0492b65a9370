"""Linear regression on features of very different scale; the solution is known."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np

from algoperf_jax.data import arrays
from algoperf_jax.workload import Budget, Data, Loss, LossType
from tests.algoperf_jax import tiny_workload
from workloads import losses

SOLUTION = np.asarray([[1.0, -1.0, 0.5], [-0.5, 1.0, 1.0], [1.0, 0.5, -1.0], [-1.0, -0.5, 0.5]], np.float32)
SCALES = np.asarray([3.0, 1.0, 1.0, 0.3], np.float32)
"""Scales of the features; the problem's condition number is 100."""


def open_split(split: Any, *, batch_size: int, seed: int, placement: Any) -> Any:
    del split
    inputs = np.random.default_rng(0).standard_normal((256, len(SCALES))).astype(np.float32) * SCALES
    columns = {"inputs": inputs, "targets": inputs @ SOLUTION}
    return arrays.training_split(columns, seed=seed, batch_size=batch_size, placement=placement, transform=dict)


def apply(params: Any, model_state: Any, batch: Any, rng: Any, **options: Any) -> tuple[Any, Any]:
    del rng, options
    return batch["inputs"] @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"], model_state


def init(rng: Any) -> tuple[Any, Any]:
    del rng
    return {"Dense_0": {"kernel": jnp.full(SOLUTION.shape, 0.5), "bias": jnp.ones(SOLUTION.shape[1])}}, None


def squared_error(targets: Any, outputs: Any, weights: Any = None, label_smoothing: Any = 0.0) -> Loss:
    del label_smoothing
    return losses.weighted(jnp.mean((outputs - targets) ** 2, axis=-1), weights)


def distance(params: Any) -> float:
    """Mean squared distance from the solution, for features of unit scale."""
    kernel, bias = (np.asarray(params["Dense_0"][name]) for name in ("kernel", "bias"))
    return float(np.mean(((kernel - SOLUTION) * SCALES[:, None]) ** 2) + np.mean(bias**2))


WORKLOAD = dataclasses.replace(
    tiny_workload.build("regression"),
    base_name="regression",
    init=init,
    apply=apply,
    loss=squared_error,
    loss_type=LossType.MEAN_SQUARED_ERROR,
    data=Data(origin="builtin", open=open_split, describe=lambda: {"dataset": "regression"}),
    budget=Budget(max_runtime_sec=1000, eval_period_sec=1000, step_hint=200),
    output_parameters=(),
)
