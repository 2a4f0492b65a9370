"""Loss, accuracy and BLEU of a split whose batches have different lengths, and padding in them."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algoperf_jax.workload import Metrics
from workloads.losses import softmax_cross_entropy
from workloads.wmt.metrics import translation_metrics

LENGTH, VOCABULARY = 12, 16


def apply(params: Any, model_state: Any, batch: Any, rng: Any, **modes: Any) -> Any:
    """Logits that favour the targets, but for those that are 5."""
    del rng, modes
    expected = jnp.where(batch["targets"] == 5, 6, batch["targets"])
    return params * jax.nn.one_hot(expected, VOCABULARY), model_state


def translate(params: Any, inputs: jax.Array) -> jax.Array:
    """The sentence itself."""
    del params
    return jnp.pad(inputs, ((0, 0), (0, LENGTH - inputs.shape[1])))


def detokenize(ids: Sequence[int]) -> str:
    return " ".join(f"w{one}" for one in ids if one > 2)


def batch(pairs: Sequence[tuple[Sequence[int], Sequence[int]]], length: int, rows: int) -> dict[str, np.ndarray]:
    inputs, targets = (np.zeros((rows, length), np.int32) for _ in range(2))
    for row, (source, target) in enumerate(pairs):
        inputs[row, : len(source)], targets[row, : len(target)] = source, target
    return {"inputs": inputs, "targets": targets, "weights": (targets > 0).astype(np.int32)}


def summarized(metrics: Metrics, batches: Sequence[Any]) -> dict[str, float]:
    partials = [metrics.batch_step(jnp.float32(3.0), None, one, jax.random.PRNGKey(0)) for one in batches]
    sums = {name: float(sum(partial.sums[name] for partial in partials)) for name in partials[0].sums}
    rows = {name: np.concatenate([np.asarray(partial.rows[name]) for partial in partials]) for name in partials[0].rows}
    return metrics.summarize(sums, rows)


METRICS = translation_metrics(apply, softmax_cross_entropy, translate, detokenize)
LONG = ((7, 8, 9, 10, 11, 3, 2), (7, 8, 9, 10, 5, 3, 2))
SHORT = ((7, 8, 9, 4, 2), (7, 8, 9, 4, 2))


def test_metrics_are_those_of_the_tokens_and_of_the_whole_corpus() -> None:
    found = summarized(METRICS, [batch([LONG], 8, 1), batch([SHORT], 5, 1)])
    assert found["accuracy"] == pytest.approx(11 / 12)
    right, wrong = np.log(np.exp(3.0) + VOCABULARY - 1) - 3.0, np.log(np.exp(3.0) + VOCABULARY - 1)
    assert found["loss"] == pytest.approx((11 * right + wrong) / 12)
    # 9 of 10 words, 6 of 8 pairs, 4 of 6 triples and 2 of 4 quadruples are right; both texts have the same length.
    assert found["bleu"] == pytest.approx(100 * (9 / 10 * 6 / 8 * 4 / 6 * 2 / 4) ** 0.25)


def test_padding_changes_nothing() -> None:
    plain = summarized(METRICS, [batch([LONG, SHORT], 7, 2)])
    assert summarized(METRICS, [batch([LONG, SHORT], 12, 5)]) == pytest.approx(plain)


def test_a_sentence_that_begins_with_an_unknown_token_counts() -> None:
    unknown = ((0, 8, 9, 10, 11, 2), (0, 8, 9, 10, 11, 2))
    assert summarized(METRICS, [batch([SHORT, unknown], 6, 2)])["bleu"] == pytest.approx(100)
    assert summarized(METRICS, [batch([SHORT, ((7, 2), unknown[1])], 6, 2)])["bleu"] < 60
