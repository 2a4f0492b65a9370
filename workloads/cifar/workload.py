"""The cifar workload: published facts for real data, and facts of its own for the built-in data."""

from typing import Any

from algoperf_jax.workload import Budget, Goal, LossType, Workload
from workloads import losses, metrics
from workloads.cifar import builtin, model
from workloads.cifar.data import TRAIN_MEAN, TRAIN_STDDEV, generated_data, prepared_data

_SPLIT_SIZES = {"train": 45_000, "eval_train": 5_120, "validation": 5_000, "test": 10_000}


def build(name: str, *, data_dir: str | None = None) -> Workload:
    """ResNet-18, on the CIFAR-10 prepared in `data_dir` or on the built-in shapes."""
    return Workload(
        name=name,
        base_name="cifar",
        init=model.init,
        apply=model.apply,
        loss=losses.softmax_cross_entropy,
        loss_type=LossType.SOFTMAX_CROSS_ENTROPY,
        metrics=metrics.classification(model.apply, losses.softmax_cross_entropy),
        output_parameters=("Dense_0",),
        train_mean=TRAIN_MEAN,
        train_stddev=TRAIN_STDDEV,
        **(_builtin_facts() if data_dir is None else _published_facts(data_dir)),
    )


def _published_facts(data_dir: str) -> dict[str, Any]:
    return {
        "data": prepared_data(data_dir, num_eval_train=_SPLIT_SIZES["eval_train"]),
        "goal": Goal(metric="accuracy", direction="maximize", validation=0.85, test=0.85),
        "budget": Budget(max_runtime_sec=3_600, eval_period_sec=600, step_hint=4_883),
        "batch_size": 128,
        "eval_batch_size": 1_024,
        "split_sizes": _SPLIT_SIZES,
    }


def _builtin_facts() -> dict[str, Any]:
    return {
        "data": generated_data(),
        "goal": builtin.GOAL,
        "budget": builtin.BUDGET,
        "batch_size": builtin.BATCH_SIZE,
        "eval_batch_size": builtin.EVAL_BATCH_SIZE,
        "split_sizes": builtin.SPLIT_SIZES,
    }
