"""The common losses, on any leading axes and in the arrays of each library."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import torch

from tests import golden_support
from workloads.losses import mean_absolute_error, softmax_cross_entropy, weighted

LIBRARIES = {"numpy": np.asarray, "jax": jnp.asarray, "torch": torch.from_numpy}


def mixed(golden: Any) -> np.ndarray:
    """Labels [3, 1000], each mixed with that of the previous example."""
    labels = np.eye(golden["logits"].shape[1], dtype=np.float32)[golden["targets"]]
    share = golden["lam"]
    return share * labels + (1 - share) * np.roll(labels, 1, axis=0)


@pytest.mark.parametrize("to_array", LIBRARIES.values(), ids=LIBRARIES)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_mixed_labels(smoothing: float, to_array: Callable[[np.ndarray], Any]) -> None:
    golden = golden_support.numbers("soft_labels")
    loss = softmax_cross_entropy(to_array(mixed(golden)), to_array(golden["logits"]), label_smoothing=smoothing)
    np.testing.assert_allclose(np.asarray(loss.per_example), golden[f"per_example_{smoothing}"], rtol=1e-6)
    np.testing.assert_allclose(np.asarray(loss.summed), golden[f"summed_{smoothing}"], rtol=1e-6)
    assert loss.n_valid_examples == 3


@pytest.mark.parametrize("to_array", LIBRARIES.values(), ids=LIBRARIES)
def test_certain_probabilities_are_indices(to_array: Callable[[np.ndarray], Any]) -> None:
    rng = np.random.default_rng(0)
    logits, targets = to_array(rng.standard_normal((4, 7))), rng.integers(7, size=4)
    weights = to_array(np.array([1.0, 0.0, 1.0, 1.0]))
    by_index = softmax_cross_entropy(to_array(targets), logits, weights, 0.2)
    by_probability = softmax_cross_entropy(to_array(np.eye(7)[targets]), logits, weights, 0.2)
    for one, other in zip(by_index, by_probability, strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=1e-6)


@pytest.mark.parametrize("shape", [(4, 6), (3, 7), (4, 1), (4, 7, 1)])
def test_probabilities_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="do not share their leading axes"):
        softmax_cross_entropy(np.ones(shape), np.zeros((4, 7)))


@pytest.mark.parametrize("to_array", LIBRARIES.values(), ids=LIBRARIES)
@pytest.mark.parametrize("as_probabilities", [False, True], ids=["indices", "probabilities"])
def test_tokens_are_examples_with_two_axes(as_probabilities: bool, to_array: Callable[[np.ndarray], Any]) -> None:
    rng = np.random.default_rng(0)
    logits, targets = rng.standard_normal((3, 5, 7)), rng.integers(7, size=(3, 5))
    weights = (rng.random((3, 5)) < 0.6).astype(np.float64)
    if as_probabilities:
        targets = np.eye(7)[targets]
    tokens = softmax_cross_entropy(to_array(targets), to_array(logits), to_array(weights), 0.1)
    flat_targets = targets.reshape(15, *targets.shape[2:])
    flat = softmax_cross_entropy(
        to_array(flat_targets), to_array(logits.reshape(15, 7)), to_array(weights.reshape(15)), 0.1
    )
    assert tokens.per_example.shape == (3, 5)
    assert tokens.n_valid_examples == weights.sum()
    np.testing.assert_allclose(np.asarray(tokens.per_example).reshape(15), np.asarray(flat.per_example), rtol=1e-6)
    np.testing.assert_allclose(np.asarray(tokens.summed), np.asarray(flat.summed), rtol=1e-6)


@pytest.mark.parametrize("to_array", LIBRARIES.values(), ids=LIBRARIES)
def test_mean_absolute_error_of_what_has_a_weight(to_array: Callable[[np.ndarray], Any]) -> None:
    rng = np.random.default_rng(0)
    targets, logits = rng.standard_normal((2, 3, 5, 7, 4))
    errors = np.abs(targets - logits)
    one_each = mean_absolute_error(to_array(targets), to_array(logits), to_array(np.ones(3)))
    np.testing.assert_allclose(np.asarray(one_each.per_example), errors.mean((1, 2, 3)), rtol=1e-6)
    many_each = mean_absolute_error(to_array(targets), to_array(logits), to_array(np.ones((3, 5))))
    np.testing.assert_allclose(np.asarray(many_each.per_example), errors.mean((2, 3)), rtol=1e-6)
    assert many_each.n_valid_examples == 15


def test_weights_of_other_axes_are_refused() -> None:
    with pytest.raises(ValueError, match="do not share their leading axes"):
        softmax_cross_entropy(np.zeros((3, 5), np.int32), np.zeros((3, 5, 7)), np.ones(3))
    with pytest.raises(ValueError, match=r"losses \(3, 5\) and weights \(3,\) differ in shape"):
        weighted(np.zeros((3, 5)), np.ones(3))
