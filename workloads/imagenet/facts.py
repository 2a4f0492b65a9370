"""Facts and sizes that the workloads on ImageNet share."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, TypeVar

from workloads.arguments import check_choices

NUM_TRAIN, NUM_VALIDATION, NUM_TEST = 1_281_167, 50_000, 10_000
"""Number of images of ILSVRC2012 for training and validation, and of ImageNet-v2 (matched frequency) for test."""

NUM_CLASSES = 1_000


class _HasNumClasses(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def num_classes(self) -> int: ...


_Size = TypeVar("_Size", bound=_HasNumClasses)


def published_split_sizes(eval_batch_size: int) -> dict[str, int]:
    """Examples of each split; training examples are evaluated in as many full batches as the validation split has."""
    num_batches = -(-NUM_VALIDATION // eval_batch_size)
    return {
        "train": NUM_TRAIN,
        "eval_train": num_batches * eval_batch_size,
        "validation": NUM_VALIDATION,
        "test": NUM_TEST,
    }


def chosen_size(workload: str, size: str, sizes: Mapping[str, _Size], data_dir: str | None) -> _Size:
    """The size with this name; for real data, with the number of classes of ImageNet.

    Raises:
      ConfigError: there is no such size.
    """
    check_choices(workload, size=(size, sizes))
    return sizes[size] if data_dir is None else dataclasses.replace(sizes[size], num_classes=NUM_CLASSES)
