"""What both speech workloads are made of, but for the network."""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax

from algoperf_jax.workload import ArraySpec, Batch, Facts, LossType, Workload
from workloads import schemas
from workloads.flax_model import flax_model
from workloads.speech import sizes
from workloads.speech.data import open_data
from workloads.speech.features import num_logit_frames
from workloads.speech.loss import loss
from workloads.speech.metrics import speech_metrics

DROPOUT_RATE = 0.1
SPLIT_SIZES = {"train": 263_840, "eval_train": 5_376, "validation": 5_348, "test": 2_472}
"""Of LibriSpeech, without the utterances that are too long."""
LIMITS = {"full": sizes.FULL, "small": sizes.SMALL}


def speech_workload(
    name: str,
    base_name: str,
    network: Callable[..., nn.Module],
    *,
    architecture: Any,
    has_batch_stats: bool,
    limits: sizes.Size,
    facts: Facts,
    data_dir: str | None,
) -> Workload:
    """A workload that transcribes LibriSpeech or the built-in utterances.

    Args:
      name: registry name.
      base_name: registry name of the workload that it is a variant of.
      network: constructs the network from its architecture and the modes of `flax_model`.
      architecture: size and variant of the network.
      has_batch_stats: whether the network has batch normalization.
      limits: of the built-in utterances.
      facts: for the data in use.
      data_dir: folder of prepared data, or None.
    """
    utterances = open_data(data_dir, size=limits, split_sizes=facts.split_sizes)
    row = jax.ShapeDtypeStruct((1, sizes.SAMPLES_MULTIPLE), "int16"), jax.ShapeDtypeStruct((1,), "int32")
    init, apply = flax_model(
        functools.partial(network, architecture),
        row,
        dropout_rate=DROPOUT_RATE,
        batch_stats=has_batch_stats,
        inputs_of=_utterances_of,
    )
    metrics = speech_metrics(
        apply,
        loss,
        utterances.tokenizer.decode,
        max_frames=num_logit_frames(utterances.size.max_samples),
        max_targets=utterances.size.max_targets,
    )
    return Workload(
        name=name,
        base_name=base_name,
        init=init,
        apply=apply,
        loss=loss,
        loss_type=LossType.CTC_LOSS,
        metrics=metrics,
        output_parameters=("Dense_0",),
        dropout_rate=DROPOUT_RATE,
        model_arguments={"architecture": architecture},
        data=utterances.data,
        schema=schemas.every_split(
            {
                "inputs": ArraySpec((None,), "int16"),
                "input_lengths": ArraySpec(dtype="int32"),
                "targets": (ArraySpec((None,), "int32"), ArraySpec((None,))),
                "weights": ArraySpec(),
            }
        ),
        **vars(facts),
    )


def _utterances_of(batch: Batch) -> tuple[Any, Any]:
    """What the model reads: samples, and how many of them belong to the utterance."""
    return batch["inputs"], batch["input_lengths"]
