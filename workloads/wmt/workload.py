"""The wmt workload: published facts for real data, and facts of its own for the built-in data."""

import functools

import jax

from algoperf_jax.workload import (
    EVALUATION_SPLITS,
    ArraySpec,
    Batch,
    Budget,
    Facts,
    Goal,
    LossType,
    Schema,
    SplitName,
    Workload,
)
from workloads.activations import ACTIVATIONS
from workloads.arguments import check_choices, chosen_facts
from workloads.editions import published_facts
from workloads.flax_model import flax_model
from workloads.wmt.architecture import FULL, SMALL, Architecture, Size
from workloads.wmt.data import open_data
from workloads.wmt.incremental import Decoder
from workloads.wmt.loss import loss
from workloads.wmt.metrics import translation_metrics
from workloads.wmt.model import PACKED, Transformer
from workloads.wmt.translation import translate

SIZES = {"full": FULL, "small": SMALL}
BUILTIN = {
    "full": Facts(
        goal=Goal("bleu", "maximize", validation=80.0, test=80.0),
        budget=Budget(max_runtime_sec=3_600, eval_period_sec=300, step_hint=4_000),
        batch_size=16,
        eval_batch_size=32,
        # An untrained model ends no sentence, and a CPU takes minutes to translate 32 of them to their full length.
        split_sizes={"train": 16_384, "eval_train": 32, "validation": 32, "test": 32},
    ),
    "small": Facts(
        goal=Goal("bleu", "maximize", validation=90.0, test=90.0),
        budget=Budget(max_runtime_sec=300, eval_period_sec=30, step_hint=1_000),
        batch_size=32,
        eval_batch_size=64,
        split_sizes={"train": 16_384, "eval_train": 256, "validation": 256, "test": 256},
    ),
}
DROPOUT_RATE = 0.1
PUBLISHED = published_facts(
    "wmt",
    batch_size=128,
    split_sizes={"train": 5_906_184, "eval_train": 3_072, "validation": 3_000, "test": 3_003},
)


def build(
    name: str,
    *,
    data_dir: str | None = None,
    activation: str = "relu",
    use_glu: bool = False,
    use_post_layer_norm: bool = False,
    attention_temperature: float = 1.0,
    size: str = "full",
) -> Workload:
    """The transformer, on the sentences prepared in `data_dir` or on the built-in ones.

    Args:
      name: registry name.
      data_dir: folder of prepared data, or None.
      activation: of the multilayer perceptrons, a name from `ACTIVATIONS`.
      use_glu: gated linear units in the multilayer perceptrons.
      use_post_layer_norm: layer normalization after each layer, not before.
      attention_temperature: what the scores of the attention are multiplied by.
      size: `full`, or `small` for a model that a CPU can train.

    Raises:
      ConfigError: unknown activation or size.
    """
    check_choices("wmt", activation=(activation, ACTIVATIONS), size=(size, SIZES))
    architecture = Architecture(SIZES[size], activation, use_glu, use_post_layer_norm, attention_temperature)
    facts = chosen_facts(BUILTIN, PUBLISHED, size, data_dir)
    network = functools.partial(Transformer, architecture)
    data, tokenizer = open_data(
        data_dir,
        vocab_size=architecture.size.vocab_size,
        max_length=architecture.size.max_length,
        split_sizes=facts.split_sizes,
    )
    row = jax.ShapeDtypeStruct((1, 2), "int32")
    init, apply = flax_model(network, {"inputs": row, "targets": row}, dropout_rate=DROPOUT_RATE, inputs_of=_tokens_of)
    return Workload(
        name=name,
        base_name="wmt",
        init=init,
        apply=apply,
        loss=loss,
        loss_type=LossType.SOFTMAX_CROSS_ENTROPY,
        metrics=translation_metrics(apply, loss, functools.partial(translate, Decoder(architecture)), tokenizer.decode),
        output_parameters=("shared_embedding",),
        dropout_rate=DROPOUT_RATE,
        model_arguments={"architecture": architecture},
        data=data,
        schema=_schema(architecture.size),
        **vars(facts),
    )


def _tokens_of(batch: Batch) -> Batch:
    """What the model reads: all of a batch but its weights."""
    return {name: batch[name] for name in ("inputs", "targets", *PACKED) if name in batch}


def _schema(size: Size) -> dict[SplitName, Schema]:
    """Rows of training are packed; those of evaluation hold one sentence, and have a length for each batch."""
    train = {name: ArraySpec((size.max_length,), "int32") for name in ("inputs", "targets", *PACKED)}
    evaluation = {name: ArraySpec((None,), "int32") for name in ("inputs", "targets")}
    return {
        "train": {**train, "weights": ArraySpec((size.max_length,))},
        **{split: {**evaluation, "weights": ArraySpec((None,))} for split in EVALUATION_SPLITS},
    }
