"""The librispeech_deepspeech workload: published facts for real data, and facts of its own for the built-in data."""

from typing import get_args

from algoperf_jax.workload import Budget, Facts, Goal, Workload
from workloads.activations import ACTIVATIONS
from workloads.arguments import check_choices, chosen_facts
from workloads.editions import published_facts
from workloads.librispeech_deepspeech.architecture import FULL, SMALL, Architecture, Normalization
from workloads.librispeech_deepspeech.model import DeepSpeech
from workloads.speech.spec_augment import FEW_MASKS, NO_MASKS, SpecAugment
from workloads.speech.workload import LIMITS, SPLIT_SIZES, speech_workload

SIZES = {"full": FULL, "small": SMALL}
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
        budget=Budget(max_runtime_sec=360, eval_period_sec=30, step_hint=1_000),
        batch_size=16,
        eval_batch_size=64,
        split_sizes={"train": 4_096, "eval_train": 256, "validation": 256, "test": 256},
    ),
}
PUBLISHED = published_facts("librispeech_deepspeech", batch_size=256, split_sizes=SPLIT_SIZES)


def build(
    name: str,
    *,
    data_dir: str | None = None,
    activation: str = "relu",
    use_residual: bool = True,
    normalization: Normalization = "batch",
    num_time_masks: int = 10,
    num_frequency_masks: int = 2,
    use_spec_augment: bool = True,
    size: str = "full",
) -> Workload:
    """The recurrent network, on LibriSpeech prepared in `data_dir` or on the built-in utterances.

    Args:
      name: registry name.
      data_dir: folder of prepared data, or None.
      activation: of convolutions and feed-forward layers, a name from `ACTIVATIONS`.
      use_residual: residual connections around recurrent and feed-forward layers.
      normalization: `batch` or `layer`.
      num_time_masks: masks of SpecAugment over time; the small model has few.
      num_frequency_masks: masks of SpecAugment over frequencies; likewise.
      use_spec_augment: SpecAugment in training.
      size: `full`, or `small` for a model that a CPU can train.

    Raises:
      ConfigError: unknown activation, normalization or size.
    """
    check_choices(
        "librispeech_deepspeech",
        activation=(activation, ACTIVATIONS),
        normalization=(normalization, get_args(Normalization)),
        size=(size, SIZES),
    )
    masks = SpecAugment(num_time_masks, num_frequency_masks) if size == "full" else FEW_MASKS
    return speech_workload(
        name,
        "librispeech_deepspeech",
        DeepSpeech,
        architecture=Architecture(
            SIZES[size], activation, use_residual, normalization, masks if use_spec_augment else NO_MASKS
        ),
        has_batch_stats=normalization == "batch",
        limits=LIMITS[size],
        facts=chosen_facts(BUILTIN, PUBLISHED, size, data_dir),
        data_dir=data_dir,
    )
