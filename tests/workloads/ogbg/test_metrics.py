"""Metrics and loss, compared with reference numbers and the definition of average precision, and edge cases."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import workloads
from algoperf_jax.workload import Loss, LossFunction
from tests import golden_support
from tests.workloads.ogbg.case import graph_batch
from workloads.ogbg.loss import loss
from workloads.ogbg.metrics import average_precision_per_task, molecule_metrics


def average_precision(positive: np.ndarray, scores: np.ndarray) -> float:
    """The definition: a threshold at each distinct score, from the highest down."""
    total, recall_before = 0.0, 0.0
    for threshold in np.unique(scores)[::-1]:
        predicted = scores >= threshold
        found = (predicted & positive).sum()
        recall, precision = found / positive.sum(), found / predicted.sum()
        total += (recall - recall_before) * precision
        recall_before = recall
    return float(total)


def summarized(metrics: Any, partials: list[Any]) -> dict[str, float]:
    sums = {name: float(sum(partial.sums[name] for partial in partials)) for name in partials[0].sums}
    rows = {name: np.concatenate([partial.rows[name] for partial in partials]) for name in partials[0].rows}
    return metrics.summarize(sums, rows)


def of_logits(
    targets: np.ndarray, logits: np.ndarray, weights: np.ndarray, loss: LossFunction = loss
) -> dict[str, float]:
    """The metrics of a model that returns the given logits."""

    def apply(params: Any, model_state: Any, batch: Any, rng: Any, **modes: Any) -> Any:
        return params, model_state

    metrics = molecule_metrics(apply, loss)
    batch = {"inputs": None, "targets": targets, "weights": weights}
    return summarized(metrics, [metrics.batch_step(jnp.asarray(logits), None, batch, jax.random.PRNGKey(0))])


def test_average_precision_of_each_reference_task() -> None:
    golden = golden_support.numbers("ogbg_map_metric")
    per_task = average_precision_per_task(golden["labels"], golden["logits"], golden["weights"])
    np.testing.assert_allclose(per_task, golden["result/per_task_ap"], rtol=1e-12)
    assert np.isnan(per_task).any()


def test_reference_metrics() -> None:
    """The reference case has separate losses, which are unrelated to its logits."""
    golden = golden_support.numbers("ogbg_map_metric")

    def given(targets: Any, logits: Any, weights: Any = None, label_smoothing: Any = 0.0) -> Loss:
        per_example = golden["per_example_loss"] * weights
        return Loss(per_example.sum(), weights.sum(), per_example)

    result = of_logits(golden["labels"], golden["logits"], golden["weights"], given)
    assert sorted(result) == ["accuracy", "loss", "mean_average_precision"]
    for name, value in result.items():
        np.testing.assert_allclose(value, golden[f"result/{name}"], rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("name", ["ogbg", "ogbg_gelu", "ogbg_model_size", "ogbg_silu"])
def test_reference_metrics_over_several_batches(name: str) -> None:
    workload = workloads.load(name)
    params, state = golden_support.recipe_state(workload)
    step = jax.jit(workload.metrics.batch_step)
    partials = []
    for k in range(4):
        prefix = f"batches_gbs8_shards1/{k}/"
        raw = golden_support.numbers("ogbg_batching").items()
        batch = graph_batch({key.replace(prefix, "inputs/"): value for key, value in raw if key.startswith(prefix)})
        partials.append(jax.device_get(step(params, state, batch, jax.random.PRNGKey(0))))
    result, golden = summarized(workload.metrics, partials), golden_support.numbers(name)
    for metric, value in result.items():
        np.testing.assert_allclose(value, golden[f"eval/metrics_all_batches/{metric}"], rtol=1e-5, err_msg=metric)


@pytest.mark.parametrize("distinct", [3, 40, 100_000])
def test_average_precision_matches_its_definition(distinct: int) -> None:
    """Few distinct scores make many ties."""
    rng = np.random.default_rng(distinct)
    logits = (rng.integers(0, distinct, (300, 40)) * 8 / distinct - 4).astype(np.float32)
    weights = (rng.random((300, 40)) < 0.6).astype(np.float32)
    targets = (rng.random((300, 40)) < 0.2) * weights
    per_task = average_precision_per_task(targets, logits, weights)
    scores = 1 / (1 + np.exp(-logits))
    for task in range(40):
        rows = weights[:, task] > 0
        expected = average_precision(targets[rows, task] > 0, scores[rows, task])
        np.testing.assert_allclose(per_task[task], expected, rtol=1e-12)


def test_order_and_padding_do_not_count() -> None:
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((50, 20)).astype(np.float32)
    weights = (rng.random((50, 20)) < 0.6).astype(np.float32)
    targets = (rng.random((50, 20)) < 0.3) * weights
    order = rng.permutation(50)
    padded = [np.concatenate([array[order], np.zeros_like(array[:7])]) for array in (targets, logits, weights)]
    padded[1][50:] = 9.0
    expected = average_precision_per_task(targets, logits, weights)
    np.testing.assert_array_equal(average_precision_per_task(*padded), expected)


def test_scores_that_round_to_the_same_probability_are_equal() -> None:
    """In float32, the sigmoids of 30 and 40 are both 1."""
    targets = np.asarray([[1], [0], [0]], np.float32)
    logits = np.asarray([[30], [40], [-5]], np.float32)
    assert average_precision_per_task(targets, logits, np.ones_like(targets)).tolist() == [0.5]


def test_infinite_logits_are_scores_and_nan_is_not() -> None:
    targets = np.asarray([[1, 1], [0, 0], [1, 1], [0, 0]], np.float32)
    weights = np.ones_like(targets)
    logits = np.asarray([[np.inf, 1], [-np.inf, 0], [200, 2], [-200, 0]], np.float32)
    assert of_logits(targets, logits, weights)["mean_average_precision"] == 1.0
    logits[1, 1] = np.nan
    assert np.isnan(of_logits(targets, logits, weights)["mean_average_precision"])
    weights[1, 1] = 0
    assert of_logits(targets, logits, weights)["mean_average_precision"] == 1.0


def test_without_labels_there_is_no_metric() -> None:
    zeros = np.zeros((4, 3), np.float32)
    assert all(np.isnan(value) for value in of_logits(zeros, zeros, zeros).values())


def test_loss_needs_weights_of_one_shape() -> None:
    labels = np.zeros((4, 128), np.float32)
    with pytest.raises(ValueError, match="weights"):
        loss(labels, labels)
    for shapes in (((4, 128), (4, 128), (4,)), ((4, 128), (3, 128), (4, 128)), ((4,), (4,), (4,))):
        with pytest.raises(ValueError, match="shape"):
            loss(*(np.zeros(shape, np.float32) for shape in shapes))


def test_missing_labels_do_not_reach_loss_or_gradient() -> None:
    targets = np.asarray([[1, 0, 1]], np.float32)
    weights = np.asarray([[1, 0, 1]], np.float32)
    logits = np.asarray([[0.3, np.inf, -0.2]], np.float32)
    result, gradient = jax.value_and_grad(lambda z: loss(targets, z, weights).summed)(logits)
    assert np.isfinite(result)
    assert gradient[0, 1] == 0
    # The derivative of the sigmoid cross entropy.
    np.testing.assert_allclose(gradient[0, ::2], 1 / (1 + np.exp(-logits[0, ::2])) - 1, rtol=1e-6)
