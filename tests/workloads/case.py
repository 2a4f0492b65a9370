"""What the tests of all workloads need to know about each."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from algoperf_jax.workload import SPLITS, SplitName

Golden = Mapping[str, np.ndarray]


def image_batch(golden: Golden) -> dict[str, Any]:
    """The stored images, class indices and weights."""
    return {
        "inputs": golden["inputs/inputs"],
        "targets": golden["inputs/targets"].astype(np.int32),
        "weights": golden["inputs/weights"],
    }


@dataclasses.dataclass(frozen=True)
class Case:
    """Facts about one workload for the common tests.

    Attributes:
      golden_batch: reference numbers -> the batch that they belong to, in the workload's schema.
      golden_training_batch: the one that the numbers of training belong to, if it is another one.
      reference_arguments: arguments of `build` that the reference numbers were made with.
      stored_logits: takes the part of the logits that the reference numbers hold, if it is a part.
      reduced: suffix of a variant -> arguments that make it small enough for tests; "" is for variants not named.
      reduced_batch: `workload -> batch` for a reduced one, if the batch of the reference numbers does not fit it.
      smallest_batch: a batch size that works on eight devices.
      devices_rtol: largest difference between 1 and 8 devices, relative to the largest number of an array.
      compiles_quickly: whether the two may be compiled without optimization, which rounds differently.
      compares_norms: whether the norm of the difference counts instead of the largest element.
      splits: those that the workload has.
      num_outputs: size of the last layer's output, if that is not the last axis of the logits.
    """

    golden_batch: Callable[[Golden], dict[str, Any]] = image_batch
    golden_training_batch: Callable[[Golden], dict[str, Any]] | None = None
    reference_arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    stored_logits: Callable[[Any], Any] | None = None
    reduced: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    reduced_batch: Callable[[Any], dict[str, Any]] | None = None
    smallest_batch: int = 8
    devices_rtol: float = 1e-5
    compiles_quickly: bool = True
    compares_norms: bool = False
    splits: Sequence[SplitName] = SPLITS
    num_outputs: int | None = None
