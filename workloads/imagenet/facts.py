"""Facts and sizes that the workloads on ImageNet share."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, TypeVar

from algoperf_jax.errors import ConfigError, did_you_mean
from algoperf_jax.workload import Facts

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
    if size not in sizes:
        raise ConfigError(f"size of {workload}", value=size, remedy=did_you_mean(size, sizes))
    return sizes[size] if data_dir is None else dataclasses.replace(sizes[size], num_classes=NUM_CLASSES)


def with_batches_of(builtin: Mapping[str, Facts], size: str, published: Facts) -> Facts:
    """The published facts, except that a small model keeps the small batches that it has on built-in data."""
    if size == "full":
        return published
    small = builtin[size]
    return dataclasses.replace(published, batch_size=small.batch_size, eval_batch_size=small.eval_batch_size)
