"""Loss and word error rates of a split whose batches have different lengths, and padding in them."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algoperf_jax.workload import Metrics
from workloads.speech.loss import loss
from workloads.speech.metrics import speech_metrics

VOCABULARY = 12
END, SPACE = 2, 3


def apply(params: Any, model_state: Any, batch: Any, rng: Any, **modes: Any) -> Any:
    """Logits of one frame for each input, which is the id that the frame favours; 0 at the end is padding."""
    del rng
    assert modes == {"train": False, "update_batch_norm": False}
    frames = jnp.arange(batch["inputs"].shape[1]) >= batch["input_lengths"][:, None]
    return (params * jax.nn.one_hot(batch["inputs"], VOCABULARY), frames.astype(jnp.float32)), model_state


def detokenize(ids: Sequence[int]) -> str:
    assert all(type(one) is int for one in ids)
    return "".join({END: "", SPACE: " ", 0: "?"}.get(one, chr(ord("A") + one)) for one in ids)


def batch(
    utterances: Sequence[tuple[Sequence[int], Sequence[int]]], *, frames: int, tokens: int, rows: int
) -> dict[str, Any]:
    """Rows of frames and target tokens; rows of padding are copies of the first."""
    inputs, lengths = np.zeros((rows, frames), np.int16), np.zeros(rows, np.int32)
    ids, paddings = np.zeros((rows, tokens), np.int32), np.ones((rows, tokens), np.float32)
    for row in range(rows):
        said, target = utterances[row] if row < len(utterances) else utterances[0]
        inputs[row, : len(said)], lengths[row] = said, len(said)
        ids[row, : len(target)], paddings[row, : len(target)] = target, 0
    weights = (np.arange(rows) < len(utterances)).astype(np.float32)
    return {"inputs": inputs, "input_lengths": lengths, "targets": (ids, paddings), "weights": weights}


def summarized(metrics: Metrics, batches: Sequence[Any]) -> dict[str, float]:
    batch_step = jax.jit(metrics.batch_step)
    partials = [batch_step(jnp.float32(4.0), None, one, jax.random.PRNGKey(0)) for one in batches]
    sums = {name: float(sum(partial.sums[name] for partial in partials)) for name in partials[0].sums}
    rows = {name: np.concatenate([np.asarray(partial.rows[name]) for partial in partials]) for name in partials[0].rows}
    return metrics.summarize(sums, rows)


METRICS = speech_metrics(apply, loss, detokenize, max_frames=30, max_targets=20)
RIGHT = ((5, 5, 0, 5, 6, SPACE, 7, END, 0), (5, 5, 6, SPACE, 7, END))
# One word of two is wrong.
WRONG = ((8, SPACE, 9, 9, END), (8, SPACE, 9, 10, END))


def test_rates_are_those_of_all_words() -> None:
    found = summarized(
        METRICS, [batch([RIGHT], frames=12, tokens=8, rows=1), batch([WRONG], frames=6, tokens=5, rows=1)]
    )
    assert found["plain_wer"] == 1 / 4
    assert found["wer"] == 1 / 8


def test_the_loss_is_a_mean_over_tokens() -> None:
    whole = batch([RIGHT, WRONG], frames=12, tokens=8, rows=2)
    logits, _ = apply(jnp.float32(4.0), None, whole, None, train=False, update_batch_norm=False)
    expected = loss(whole["targets"], logits)
    assert expected.n_valid_examples == 11
    assert summarized(METRICS, [whole])["ctc_loss"] == pytest.approx(float(expected.summed) / 11)


def test_padding_changes_nothing() -> None:
    plain = summarized(METRICS, [batch([RIGHT, WRONG], frames=9, tokens=6, rows=2)])
    assert summarized(METRICS, [batch([RIGHT, WRONG], frames=30, tokens=20, rows=5)]) == pytest.approx(plain)


def test_an_unknown_token_inside_a_target_counts() -> None:
    found = summarized(METRICS, [batch([((5, END), (5, 0, END))], frames=9, tokens=6, rows=1)])
    assert found["plain_wer"] == 1.0
