"""Loss and word error rates of a split."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from algoperf_jax.workload import Apply, Batch, LossFunction, Metrics, ModelState, Parameters, Partial, RandomKey
from workloads.sentence_pieces import Detokenize
from workloads.speech.decoding import greedy_decode
from workloads.speech.wer import published_word_error_rate, word_error_rate


def speech_metrics(
    apply: Apply, loss: LossFunction, detokenize: Detokenize, *, max_frames: int, max_targets: int
) -> Metrics:
    """`ctc_loss`, the mean over target tokens, and the word error rates `wer` and `plain_wer` of greedy decoding.

    `wer` is on the scale of the published targets, see `workloads/speech/wer.py`.

    Args:
      apply: the forward pass, which returns logits and their paddings.
      loss: whose `n_valid_examples` is the number of target tokens.
      detokenize: makes text of token ids.
      max_frames: the largest number of frames that logits have in any batch.
      max_targets: the largest number of target tokens in any batch.
    """

    def batch_step(params: Parameters, model_state: ModelState, batch: Batch, rng: RandomKey) -> Partial:
        logits, _ = apply(params, model_state, batch, rng, train=False, update_batch_norm=False)
        losses = loss(batch["targets"], logits, batch["weights"])
        ids, paddings = batch["targets"]
        return Partial(
            sums={"ctc_loss": losses.summed, "tokens": losses.n_valid_examples},
            # Batches have different lengths; rows that are collected must not.
            rows={
                "hypotheses": _lengthened(greedy_decode(*logits), max_frames),
                "references": _lengthened(ids, max_targets),
                "reference_lengths": (paddings == 0).sum(axis=1),
                "weights": batch["weights"],
            },
        )

    def summarize(sums: Mapping[str, float], rows: Mapping[str, np.ndarray]) -> dict[str, float]:
        is_utterance = rows["weights"] != 0
        found, expected = rows["hypotheses"][is_utterance], rows["references"][is_utterance]
        hypotheses = _texts(found, np.count_nonzero(found, axis=1), detokenize)
        references = _texts(expected, rows["reference_lengths"][is_utterance], detokenize)
        return {
            "ctc_loss": sums["ctc_loss"] / sums["tokens"],
            "wer": published_word_error_rate(hypotheses, references),
            "plain_wer": word_error_rate(hypotheses, references),
        }

    return Metrics(batch_step, summarize)


def _lengthened(ids: Int[Array, "batch length"], length: int) -> Int[Array, "batch {length}"]:
    """Rows of that length, with zeros at the end."""
    return jnp.pad(ids, ((0, 0), (0, length - ids.shape[1])))


def _texts(rows: np.ndarray, lengths: np.ndarray, detokenize: Detokenize) -> list[str]:
    """The text of the first tokens of each row [N, L]."""
    return [detokenize(row[:length].tolist()) for row, length in zip(rows, lengths, strict=True)]
