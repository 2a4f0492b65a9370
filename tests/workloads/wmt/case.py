from typing import Any

import numpy as np

from algoperf_jax.workload import Workload
from tests import golden_support
from tests.workloads.case import Case, Golden


def unpacked(golden: Golden) -> dict[str, Any]:
    """Rows of one sentence, those that evaluation has."""
    return _batch(golden, "inputs/unpacked/")


def packed(golden: Golden) -> dict[str, Any]:
    """Rows of several sentences, with positions and segments."""
    return _batch(golden, "inputs/packed/")


def _batch(golden: Golden, prefix: str) -> dict[str, Any]:
    batch = {key.removeprefix(prefix): array for key, array in golden.items() if key.startswith(prefix)}
    return {**batch, "weights": batch["weights"].astype(np.float32)}


def with_few_words(workload: Workload) -> dict[str, Any]:
    """Packed rows with the vocabulary of a small model."""
    batch, vocab_size = packed(golden_support.numbers("wmt")), workload.model_arguments["architecture"].size.vocab_size
    words = {name: np.where(batch[name] > 0, batch[name] % (vocab_size - 1) + 1, 0) for name in ("inputs", "targets")}
    return {**batch, **words}


CASE = Case(
    golden_batch=unpacked,
    golden_training_batch=packed,
    stored_logits=lambda logits: logits[:, ::4, ::125],
    reduced={"": {"size": "small"}},
    reduced_batch=with_few_words,
    num_outputs=32_000,
)
