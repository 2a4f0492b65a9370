"""What the trial loop needs of a framework. Chosen once, when a trial is set up; the loop has no framework branches."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

from algoperf_jax.workload import Batch, ModelState, Parameters


class NonFiniteError(Exception):
    """The parameters are no longer finite; the message says since which step."""


@dataclasses.dataclass(frozen=True)
class Dehydrated:
    """The leaves of a tree that a checkpoint keeps, by name.

    Attributes:
      arrays: arrays, on host or devices.
      values: plain numbers and texts.
    """

    arrays: Mapping[str, Any]
    values: Mapping[str, bool | int | float | str]


class Backend(Protocol):
    """Device work on behalf of the trial loop."""

    def initialize(self, rng: Any) -> tuple[Parameters, ModelState]:
        """Draws parameters and model state and puts them on the devices."""
        ...

    def step_keys(self, rng: Any, step: int) -> Any:
        """The four keys of a step: data selection, update, preparation for evaluation, evaluation."""
        ...

    def put_batch(self, batch: Batch) -> Batch:
        """Puts this process's rows of a host batch on the devices; does not wait."""
        ...

    def pace(self, params: Parameters, step: int) -> None:
        """Called after each step: bounds how many steps are queued on the devices.

        Raises:
          NonFiniteError: the parameters of an earlier step turned out not to be finite.
        """
        ...

    def wait_for(self, outputs: Any) -> None:
        """Blocks until `outputs` and everything else that is queued are computed."""
        ...

    def evaluate(self, params: Parameters, model_state: ModelState, rng: Any) -> dict[str, float]:
        """Judges the parameters on all splits: `<split>/<metric>` and `<split>/num_examples`."""
        ...

    def dehydrate(self, tree: Any) -> Dehydrated:
        """What a checkpoint keeps of a tree that a submission returned; functions and the like are left out."""
        ...

    def hydrate(self, template: Any, dehydrated: Dehydrated) -> Any:
        """The inverse: `template`, a newly made tree of the same structure, with the kept leaves put in.

        Raises:
          RunError: the structures differ.
        """
        ...
