"""What the trial loop needs of a framework. Chosen once, when a trial is set up; the loop has no framework branches."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from algoperf_jax.workload import Batch, Finish, ModelState, Parameters


class NonFiniteError(Exception):
    """The parameters are no longer finite; the message says since which step."""


@dataclasses.dataclass(frozen=True)
class Packed:
    """What a checkpoint keeps of what a submission works on.

    Attributes:
      arrays: arrays by name, on host or devices. They may share memory with what they were taken from: write them
        before the submission continues.
      values: what else is kept, by name, JSON-able.
    """

    arrays: dict[str, Any]
    values: Mapping[str, Any]


class StepKeys(NamedTuple):
    """The random keys of one step, one for each thing that may draw."""

    data_selection: Any
    update: Any
    prepare_for_eval: Any
    evaluation: Any


class Content(NamedTuple):
    """What a submission works on, a part of `RunState`."""

    params: Parameters
    model_state: ModelState
    optimizer_state: Any


class Backend(Protocol):
    """Device work on behalf of the trial loop."""

    def initialize(self, rng: Any) -> tuple[Parameters, ModelState]:
        """Draws parameters and model state and puts them on the devices."""
        ...

    def step_keys(self, rng: Any, step: int) -> StepKeys:
        """The keys of a step, which follow from the trial's key `rng` and the step alone."""
        ...

    def put_batch(self, batch: Batch, finish: Finish | None = None) -> Batch:
        """Puts this process's rows of a host batch on the devices, and finishes it there; does not wait."""
        ...

    def check_update(self, function: str, params: Parameters) -> None:
        """Checks the parameters that a function of the submission returned.

        Raises:
          SubmissionError: they are not those of the model; `function` begins the message.
        """
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

    def for_evaluation(self, params: Parameters, model_state: ModelState) -> tuple[Parameters, ModelState]:
        """Parameters and model state as the evaluator takes them; changes nothing of what it is given."""
        ...

    def evaluate(self, params: Parameters, model_state: ModelState, rng: Any) -> dict[str, float]:
        """Judges the parameters on all splits: `<split>/<metric>` and `<split>/num_examples`."""
        ...

    def pack(self, content: Content) -> Packed:
        """What a checkpoint keeps of `content`; functions and the like are left out."""
        ...

    def shardings(self, packed: Packed) -> Mapping[str, Any]:
        """Where arrays of `packed` that no single device or host should hold are to be read to, by name."""
        ...

    def unpack(self, template: Content, packed: Packed) -> Content:
        """The inverse of `pack`: `template`, newly made and of the same structure, with what was kept put in.

        Arrays are dropped from `packed` as they are used, so that none is held twice longer than needed.

        Raises:
          RunError: the structures differ.
        """
        ...

    def explain(self, error: BaseException) -> str:
        """What a user should know about an error of the framework that a submission ran into, or nothing."""
        ...

    def devices(self) -> dict[str, Any]:
        """`platform`, `kind` and `count` of the devices that the submission trains on."""
        ...

    def memory_peak_bytes(self) -> dict[str, int]:
        """Peak memory of this process by place, as far as the platform tells."""
        ...
