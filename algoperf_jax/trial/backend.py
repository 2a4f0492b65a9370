"""What the trial loop needs from a framework. Selected once per trial, so that the loop has no framework branches."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from algoperf_jax.workload import Batch, Finish, ModelState, Parameters


class NonFiniteError(Exception):
    """The parameters are no longer finite; the message names the step."""


@dataclasses.dataclass(frozen=True)
class Packed:
    """The content of a submission, packed for a checkpoint.

    Attributes:
      arrays: arrays by name, on host or devices. They may share memory with the originals: write them before the
        submission continues.
      values: everything else, by name, JSON-able.
    """

    arrays: dict[str, Any]
    values: Mapping[str, Any]


class StepKeys(NamedTuple):
    """The random keys of one step, one for each use."""

    data_selection: Any
    update: Any
    prepare_for_eval: Any
    evaluation: Any


class Content(NamedTuple):
    """The part of `RunState` that a submission works on."""

    params: Parameters
    model_state: ModelState
    optimizer_state: Any


class Backend(Protocol):
    """Operations of a framework on the devices, for the trial loop."""

    def initialize(self, rng: Any) -> tuple[Parameters, ModelState]:
        """Initializes parameters and model state on the devices."""
        ...

    def step_keys(self, rng: Any, step: int) -> StepKeys:
        """The keys of a step, which depend only on the trial's key `rng` and the step."""
        ...

    def put_batch(self, batch: Batch, finish: Finish | None = None) -> Batch:
        """Puts this process's rows of a host batch on the devices and applies `finish` there; does not wait."""
        ...

    def check_update(self, function: str, params: Parameters) -> None:
        """Checks the parameters that a function of the submission returned.

        Raises:
          SubmissionError: they do not match the model's; the message begins with `function`.
        """
        ...

    def pace(self, params: Parameters, step: int) -> None:
        """Called after each step; limits the number of steps queued on the devices.

        Raises:
          NonFiniteError: the parameters of an earlier step are not finite.
        """
        ...

    def wait_for(self, outputs: Any) -> None:
        """Waits until `outputs` and all other queued work are computed."""
        ...

    def for_evaluation(self, params: Parameters, model_state: ModelState) -> tuple[Parameters, ModelState]:
        """Converts parameters and model state for the evaluator, without changing the originals."""
        ...

    def evaluate(self, params: Parameters, model_state: ModelState, rng: Any) -> dict[str, float]:
        """Evaluates the parameters on all splits; returns `<split>/<metric>` and `<split>/num_examples`."""
        ...

    def pack(self, content: Content) -> Packed:
        """Packs `content` for a checkpoint, without functions and the like."""
        ...

    def shardings(self, packed: Packed) -> Mapping[str, Any]:
        """The shardings, by name, for reading those arrays of `packed` that no single device or host should hold."""
        ...

    def unpack(self, template: Content, packed: Packed) -> Content:
        """The inverse of `pack`: puts the packed values into `template`, a newly made state of the same structure.

        Arrays are removed from `packed` as they are used, so that none is held twice for longer than needed.

        Raises:
          RunError: the structures differ.
        """
        ...

    def explain(self, error: BaseException) -> str:
        """A hint for the user about a framework's error in a submission, or an empty text."""
        ...

    def devices(self) -> dict[str, Any]:
        """`platform`, `kind` and `count` of the devices used."""
        ...

    def memory_peak_bytes(self) -> dict[str, int]:
        """Peak memory of this process by place, as far as the platform reports it."""
        ...
