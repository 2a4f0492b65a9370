"""The mnist workload: published facts for real data, and facts of its own for the built-in data."""

from typing import Any

from algoperf_jax.workload import Budget, Goal, LossType, Workload
from workloads import losses, metrics
from workloads.mnist import builtin, model
from workloads.mnist.data import TRAIN_MEAN, TRAIN_STDDEV, generated_data, prepared_data

_SPLIT_SIZES = {"train": 50_000, "eval_train": 10_000, "validation": 10_000, "test": 10_000}


def build(name: str, *, data_dir: str | None = None) -> Workload:
    """The digit classifier, on the data prepared in `data_dir` or on the built-in digits."""
    return Workload(
        name=name,
        base_name="mnist",
        init=model.init,
        apply=model.apply,
        loss=losses.softmax_cross_entropy,
        loss_type=LossType.SOFTMAX_CROSS_ENTROPY,
        metrics=metrics.classification(model.apply, losses.softmax_cross_entropy),
        output_parameters=("Dense_1",),
        train_mean=TRAIN_MEAN,
        train_stddev=TRAIN_STDDEV,
        **(_builtin_facts() if data_dir is None else _published_facts(data_dir)),
    )


def _published_facts(data_dir: str) -> dict[str, Any]:
    return {
        "data": prepared_data(data_dir, num_eval_train=_SPLIT_SIZES["eval_train"]),
        "goal": Goal(metric="accuracy", direction="maximize", validation=0.97, test=0.97),
        "budget": Budget(max_runtime_sec=60, eval_period_sec=10, step_hint=7_813),
        "batch_size": 128,
        "eval_batch_size": 10_000,
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
