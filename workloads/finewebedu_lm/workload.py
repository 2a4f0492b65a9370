"""The finewebedu_lm workload: published facts for real data, and facts of its own for the built-in data."""

from typing import Any

import jax
import jax.numpy as jnp

from algoperf_jax.workload import (
    ArraySpec,
    Batch,
    LossType,
    ModelState,
    Parameters,
    RandomKey,
    Workload,
)
from workloads.arguments import check_choices, chosen_facts
from workloads.editions import published_facts
from workloads.finewebedu_lm import builtin
from workloads.finewebedu_lm.architecture import FULL, SMALL
from workloads.finewebedu_lm.data import open_data
from workloads.finewebedu_lm.loss import loss
from workloads.finewebedu_lm.metrics import perplexity_metrics
from workloads.finewebedu_lm.model import draw, predict

SIZES = {"full": FULL, "small": SMALL}
BUILTIN = {"full": builtin.FACTS, "small": builtin.SMALL_FACTS}
PUBLISHED = published_facts(
    "finewebedu_lm", batch_size=64, split_sizes={"train": 8_749_870, "eval_train": 10_000, "validation": 100_096}
)


def build(name: str, *, data_dir: str | None = None, size: str = "full") -> Workload:
    """The language model, on the tokens prepared in `data_dir` or on the built-in ones.

    Args:
      name: registry name.
      data_dir: folder of prepared data, or None.
      size: `full`, or `small` for a model that a CPU can train.

    Raises:
      ConfigError: unknown size.
    """
    check_choices("finewebedu_lm", size=(size, SIZES))
    architecture = SIZES[size]
    length = architecture.max_length
    facts = chosen_facts(BUILTIN, PUBLISHED, size, data_dir)

    @jax.jit
    def init(rng: RandomKey) -> tuple[Parameters, ModelState]:
        return draw(architecture, rng), None

    def apply(
        params: Parameters,
        model_state: ModelState,
        batch: Batch,
        rng: RandomKey,
        *,
        train: bool,
        update_batch_norm: bool,
        dropout_rate: Any = None,
        use_running_average: bool | None = None,
    ) -> tuple[Any, ModelState]:
        del rng, train, update_batch_norm, dropout_rate, use_running_average  # neither dropout nor batch normalization
        return predict(architecture, params, jnp.asarray(batch["inputs"])), model_state

    schema = {"inputs": ArraySpec((length,), "int32"), "targets": ArraySpec((length,), "int32")}
    schema["weights"] = ArraySpec((length,))
    return Workload(
        name=name,
        base_name="finewebedu_lm",
        init=init,
        apply=apply,
        loss=loss,
        loss_type=LossType.SOFTMAX_CROSS_ENTROPY,
        metrics=perplexity_metrics(apply, loss),
        output_parameters=("embed",),
        model_arguments={"architecture": architecture},
        data=open_data(
            data_dir, sequence_length=length, vocab_size=architecture.vocab_size, split_sizes=facts.split_sizes
        ),
        schema=dict.fromkeys(("train", "eval_train", "validation"), schema),
        **vars(facts),
    )
