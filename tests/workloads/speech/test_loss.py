"""The loss of an utterance batch: weights, and the number of tokens."""

from typing import Any

import jax
import numpy as np
import pytest

from tests import golden_support
from workloads.speech.loss import loss


def batch() -> tuple[Any, Any]:
    numbers = golden_support.numbers("librispeech_ctc")
    return (numbers["labels"], numbers["label_paddings"]), (numbers["logits"], numbers["logit_paddings"])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_reference_numbers(smoothing: float) -> None:
    numbers = golden_support.numbers("librispeech_ctc")
    for field, value in loss(*batch(), label_smoothing=smoothing)._asdict().items():
        np.testing.assert_allclose(value, numbers[f"loss/{field}"], rtol=1e-6, err_msg=field)


def test_an_utterance_of_weight_0_does_not_count() -> None:
    targets, logits = batch()
    weights = np.asarray([1, 1, 1, 1, 0, 1, 1], np.float32)
    whole, masked = loss(targets, logits), loss(targets, logits, weights)
    np.testing.assert_array_equal(masked.per_example, whole.per_example * weights)
    np.testing.assert_allclose(masked.summed, whole.per_example[weights != 0].sum(), rtol=1e-6)
    # It has five tokens.
    assert (whole.n_valid_examples, masked.n_valid_examples) == (24, 19)
    gradient = jax.grad(lambda x: loss(targets, (x, logits[1]), weights).summed)(logits[0])
    assert not gradient[4].any()
    assert gradient[3].any()


def test_without_tokens_the_number_is_1() -> None:
    targets, logits = batch()
    empty = loss(targets, logits, np.zeros(7, np.float32))
    assert (empty.summed, empty.n_valid_examples) == (0, 1)


def test_weights_of_another_shape_are_refused() -> None:
    targets, logits = batch()
    with pytest.raises(ValueError, match="differ in shape"):
        loss(targets, logits, np.ones((7, 9), np.float32))
