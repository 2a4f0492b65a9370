"""Loss and accuracy of the tokens, and BLEU of translations by beam search."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from algoperf_jax.workload import Apply, Batch, LossFunction, Metrics, ModelState, Parameters, Partial, RandomKey
from workloads.metrics import classification
from workloads.sentence_pieces import Detokenize
from workloads.wmt.bleu import corpus_bleu, texts

Translate = Callable[[Parameters, jax.Array], jax.Array]
"""`(params, inputs [B, N]) -> token ids [B, L]`, with the same L for inputs of any length."""


def translation_metrics(apply: Apply, loss: LossFunction, translate: Translate, detokenize: Detokenize) -> Metrics:
    """`loss` and `accuracy`, means over tokens that are predicted from those before them, and `bleu` of translations.

    All three are of the same sentences. In the reference, BLEU of the training subset is of another draw of them.

    Args:
      apply: the forward pass.
      loss: of tokens.
      translate: finds the translations; L is at least the number of tokens of any target.
      detokenize: makes text of token ids.
    """
    of_tokens = classification(apply, loss)

    def batch_step(params: Parameters, model_state: ModelState, batch: Batch, rng: RandomKey) -> Partial:
        sums = of_tokens.batch_step(params, model_state, batch, rng).sums
        hypotheses = translate(params, batch["inputs"])
        # Batches have different lengths; rows that are collected must not.
        missing = hypotheses.shape[1] - batch["targets"].shape[1]
        return Partial(
            sums=sums,
            rows={
                "hypotheses": hypotheses,
                "references": jnp.pad(batch["targets"], ((0, 0), (0, missing))),
                # Unknown tokens have weight 0, but the last token of a sentence never has.
                "weights": (batch["weights"] != 0).any(axis=1),
            },
        )

    def summarize(sums: Mapping[str, float], rows: Mapping[str, np.ndarray]) -> dict[str, float]:
        is_sentence = rows["weights"] != 0
        hypotheses, references = (texts(rows[name][is_sentence], detokenize) for name in ("hypotheses", "references"))
        return {**of_tokens.summarize(sums, {}), "bleu": corpus_bleu(hypotheses, references)}

    return Metrics(batch_step, summarize)
