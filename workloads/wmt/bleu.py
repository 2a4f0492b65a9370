"""From tokens to text, and BLEU (Papineni et al. 2002, https://aclanthology.org/P02-1040) of a whole corpus."""

from collections.abc import Sequence

import numpy as np

from workloads.sentence_pieces import END_ID, Detokenize


def until_end(ids: np.ndarray, eos_id: int = END_ID) -> np.ndarray:
    """The tokens [L] of a sentence up to its end, which is included; the first one alone where there is no end.

    The latter is what the benchmark's reference does with translations that were cut off.
    """
    return ids[: int(np.argmax(ids == eos_id)) + 1]


def texts(rows: np.ndarray, detokenize: Detokenize) -> list[str]:
    """The text of each row of token ids [N, L]."""
    return [detokenize([int(one) for one in until_end(row)]) for row in rows]


def corpus_bleu(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """BLEU from 0 to 100 with one reference for each hypothesis; NaN for none.

    As `sacrebleu` computes it by default: tokenizer `13a`, case kept, exponential smoothing.
    """
    if not hypotheses:
        return float("nan")
    import sacrebleu  # takes a third of a second, which only evaluations of translations need

    # `force` only silences a warning about text that looks tokenized.
    return sacrebleu.corpus_bleu(list(hypotheses), [list(references)], force=True).score
