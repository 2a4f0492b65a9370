"""The criteo1tb workload: published facts for real data, and separate facts for the built-in data."""

import functools

from algoperf_jax.errors import ConfigError
from algoperf_jax.workload import ArraySpec, Budget, Facts, Goal, LossType, Workload
from workloads import metrics, schemas
from workloads.arguments import check_choices, chosen_facts
from workloads.criteo1tb import builtin
from workloads.criteo1tb.architecture import FULL, SMALL, VOCAB_SIZE, Architecture
from workloads.criteo1tb.data import open_data
from workloads.criteo1tb.loss import loss
from workloads.criteo1tb.model import EXAMPLE_INPUTS, NUM_FEATURES, ClickModel
from workloads.flax_model import flax_model

SIZES = {"full": FULL, "small": SMALL}
EDITIONS = {"full": builtin.FULL, "small": builtin.SMALL}
BUILTIN = {"full": builtin.FACTS, "small": builtin.SMALL_FACTS}
DROPOUT_RATE = 0.0
_EVAL_BATCH_SIZE = 131_072
_NUM_VALIDATION = 83_274_637
PUBLISHED = Facts(
    goal=Goal("loss", "minimize"),
    budget=Budget(max_runtime_sec=7_703, eval_period_sec=120, step_hint=10_666),
    batch_size=262_144,
    eval_batch_size=_EVAL_BATCH_SIZE,
    split_sizes={
        "train": 4_195_197_692,
        # As many full batches as validation has.
        "eval_train": -(-_NUM_VALIDATION // _EVAL_BATCH_SIZE) * _EVAL_BATCH_SIZE,
        "validation": _NUM_VALIDATION,
        "test": 95_000_000,
    },
)
"""Everything except the targets, which each variant has separately (`workloads/entries.py`)."""


def build(
    name: str,
    *,
    data_dir: str | None = None,
    vocab_size: int = VOCAB_SIZE,
    use_layer_norm: bool = False,
    use_residual: bool = False,
    embedding_scale: float | None = None,
    size: str = "full",
) -> Workload:
    """Builds the workload of the recommendation model, on the click logs prepared in `data_dir` or on built-in ones.

    Args:
      name: registry name.
      data_dir: folder of prepared data, or None.
      vocab_size: rows of the embedding table; ids are taken modulo this number.
      use_layer_norm: normalize after each activation, and the embeddings.
      use_residual: residual connections, and concatenated embeddings instead of their products.
      embedding_scale: upper bound of the initial values of the table, or None for 1 / sqrt(vocab_size).
      size: `full`, or `small` for a model that a CPU can train.

    Raises:
      ConfigError: the size is unknown, or the variants cannot be combined.
    """
    check_choices("criteo1tb", size=(size, SIZES))
    if use_layer_norm and use_residual:
        raise ConfigError(
            "use_layer_norm of criteo1tb with use_residual",
            value=True,
            expected="one of the two variants: the residual model has no layer normalization",
        )
    architecture = Architecture(SIZES[size], vocab_size, use_layer_norm, use_residual, embedding_scale)
    facts = chosen_facts(BUILTIN, PUBLISHED, size, data_dir)
    init, apply = flax_model(functools.partial(ClickModel, architecture), EXAMPLE_INPUTS, dropout_rate=DROPOUT_RATE)
    return Workload(
        name=name,
        base_name="criteo1tb",
        init=init,
        apply=apply,
        loss=loss,
        loss_type=LossType.SIGMOID_CROSS_ENTROPY,
        metrics=metrics.weighted_means(apply, loss, {}),
        output_parameters=(f"Dense_{len(architecture.bottom_widths) + len(architecture.top_widths) - 1}",),
        sharded_parameters=("embedding_table",),
        dropout_rate=DROPOUT_RATE,
        model_arguments={"architecture": architecture},
        data=open_data(data_dir, split_sizes=facts.split_sizes, edition=EDITIONS[size]),
        schema=schemas.every_split(
            {"inputs": ArraySpec((NUM_FEATURES,)), "targets": ArraySpec(), "weights": ArraySpec()}
        ),
        **vars(facts),
    )
