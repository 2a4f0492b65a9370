"""The librispeech_conformer workload: published facts for real data, and facts of its own for the built-in data."""

from algoperf_jax.workload import Budget, Facts, Goal, Workload
from workloads.activations import ACTIVATIONS
from workloads.arguments import check_choices, chosen_facts
from workloads.editions import published_facts
from workloads.librispeech_conformer.architecture import FULL, SMALL, Architecture
from workloads.librispeech_conformer.model import Conformer
from workloads.speech.spec_augment import FEW_MASKS, NO_MASKS, SpecAugment
from workloads.speech.workload import LIMITS, SPLIT_SIZES, speech_workload

SIZES = {"full": FULL, "small": SMALL}
MASKS = {"full": SpecAugment(), "small": FEW_MASKS}
BUILTIN = {
    "full": Facts(
        goal=Goal("wer", "minimize", validation=0.1, test=0.1),
        budget=Budget(max_runtime_sec=3_600, eval_period_sec=300, step_hint=4_000),
        batch_size=16,
        eval_batch_size=32,
        split_sizes={"train": 4_096, "eval_train": 256, "validation": 256, "test": 256},
    ),
    "small": Facts(
        goal=Goal("wer", "minimize", validation=0.1, test=0.1),
        budget=Budget(max_runtime_sec=360, eval_period_sec=30, step_hint=1_500),
        batch_size=16,
        eval_batch_size=64,
        split_sizes={"train": 4_096, "eval_train": 256, "validation": 256, "test": 256},
    ),
}
PUBLISHED = published_facts("librispeech_conformer", batch_size=256, split_sizes=SPLIT_SIZES)


def build(
    name: str,
    *,
    data_dir: str | None = None,
    activation: str = "silu",
    attention_temperature: float = 1.0,
    use_block_layer_norm: bool = True,
    use_spec_augment: bool = True,
    size: str = "full",
) -> Workload:
    """The Conformer, on LibriSpeech prepared in `data_dir` or on the built-in utterances.

    Args:
      name: registry name.
      data_dir: folder of prepared data, or None.
      activation: of feed-forward modules and convolution blocks, a name from `ACTIVATIONS`.
      attention_temperature: what attention returns is multiplied by it.
      use_block_layer_norm: layer normalization at the end of each block.
      use_spec_augment: SpecAugment in training.
      size: `full`, or `small` for a model that a CPU can train.

    Raises:
      ConfigError: unknown activation or size.
    """
    check_choices("librispeech_conformer", activation=(activation, ACTIVATIONS), size=(size, SIZES))
    return speech_workload(
        name,
        "librispeech_conformer",
        Conformer,
        architecture=Architecture(
            SIZES[size],
            activation,
            attention_temperature,
            use_block_layer_norm,
            MASKS[size] if use_spec_augment else NO_MASKS,
        ),
        has_batch_stats=True,
        limits=LIMITS[size],
        facts=chosen_facts(BUILTIN, PUBLISHED, size, data_dir),
        data_dir=data_dir,
    )
