"""Batches of the reference's utterances, which both speech models have in common."""

from typing import Any

import numpy as np

from algoperf_jax.workload import Workload
from tests import golden_support
from tests.workloads.case import Case, Golden

LONGEST = 16_000 // 640 * 640
"""Samples of an utterance in a reduced batch."""


def utterances(golden: Golden) -> dict[str, Any]:
    """Three utterances, of 2.5, 2 and 1 s, and their made up targets."""
    targets, lengths = golden["inputs/targets"], golden["inputs/target_lengths"]
    paddings = (np.arange(targets.shape[1]) >= lengths[:, None]).astype(np.float32)
    return {
        "inputs": golden["inputs/audio_int16"],
        "input_lengths": golden["inputs/audio_lengths"].astype(np.int32),
        "targets": (targets.astype(np.int32), paddings),
        "weights": np.ones(len(targets), np.float32),
    }


def shortened(workload: Workload) -> dict[str, Any]:
    """The beginnings of the utterances, of 1, 0.8 and 0.6 s, with a few tokens of a small vocabulary."""
    batch = utterances(golden_support.numbers("librispeech_conformer"))
    ids, paddings = (part[:, :12] for part in batch["targets"])
    vocab_size = workload.model_arguments["architecture"].size.vocab_size
    return {
        **batch,
        # Floats in the range of 16 bits, which a test in float64 can widen.
        "inputs": batch["inputs"][:, :LONGEST].astype(np.float32),
        "input_lengths": np.array([LONGEST, 12_801, 9_600], np.int32),
        "targets": (np.where(paddings > 0, 0, ids % (vocab_size - 1) + 1).astype(np.int32), paddings),
    }


def valid_part(logits: Any) -> np.ndarray:
    """The part of the logits that the reference numbers hold, 0 at padding."""
    scores, paddings = (np.asarray(part) for part in logits)
    return (scores * (1 - paddings)[..., None])[:, ::4, ::8]


CASE = Case(
    golden_batch=utterances,
    reference_arguments={"use_spec_augment": False},
    stored_logits=valid_part,
    reduced={"": {"size": "small"}},
    reduced_batch=shortened,
    num_outputs=1_024,
)
