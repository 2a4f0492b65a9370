"""The result of a trial: what `result.json` holds, what the summary shows, and what a study collects."""

import dataclasses
import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from algoperf_jax.errors import RunError
from algoperf_jax.outputs.run_directory import write_json
from algoperf_jax.trial.loop import Status
from algoperf_jax.trial.run_state import Evaluation
from algoperf_jax.workload import Goal


@dataclasses.dataclass(frozen=True)
class TrialResult:
    """How a trial ended.

    Attributes:
      workload: registry name.
      framework: of the submission.
      submission: its name.
      data: `prepared` or `builtin`.
      status: see `Outcome.status`.
      reason: one line for the user, empty where the status says all.
      steps: number of calls of `update_params`.
      time_to_target_sec: submission time at the first evaluation that met the validation target; None if none did or
        the trial failed.
      metric: the target metric, without the split.
      targets: split -> value to beat, None where there is none; on validation, where the model has no published target.
      best: split -> the best finite value of the target metric; a split without one is missing.
      budget_sec: submission time that could be used.
      seconds: clock bucket -> seconds.
      steps_per_sec: steps per second of submission time, None before the first.
      compile_count: number of programs that were compiled.
      compile_sec: seconds that took.
      memory_peak_bytes: place (`host`, `device`) -> bytes.
      not_comparable: configuration keys that changed the task, so that times must not be compared with others.
      learning_curve: path of the picture.
      directory: path of the trial's directory.
    """

    workload: str
    framework: str
    submission: str
    data: str
    status: Status
    reason: str
    steps: int
    time_to_target_sec: float | None
    metric: str
    targets: Mapping[str, float | None]
    best: Mapping[str, float]
    budget_sec: float
    seconds: Mapping[str, float]
    steps_per_sec: float | None
    compile_count: int
    compile_sec: float
    memory_peak_bytes: Mapping[str, int]
    not_comparable: Sequence[str]
    learning_curve: str
    directory: str

    def to_json(self) -> dict[str, Any]:
        """A dict that JSON can hold; the inverse of `from_json`."""
        return {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "TrialResult":
        """The result that `to_json` made `record` of.

        Raises:
          ValueError: a field is missing or unknown.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        odd = sorted(names ^ set(record))
        if odd:
            raise ValueError(f"the field {odd[0]} is {'missing' if odd[0] in names else 'unknown'}")
        return cls(**record)

    def write(self, path: pathlib.Path) -> None:
        """Writes the result as JSON, so that a reader sees all of it or nothing."""
        write_json(path, self.to_json())

    @classmethod
    def read(cls, path: pathlib.Path) -> "TrialResult":
        """The result that `write` put there.

        Raises:
          RunError: the file holds something else.
          OSError: it cannot be read.
        """
        try:
            return cls.from_json(json.loads(path.read_text()))
        except (ValueError, TypeError, AttributeError) as error:
            raise RunError(
                f"{path} is damaged: it is not the result of a trial ({error})",
                remedy="Run the same command again: it takes the result from the trial's log, or resumes the trial.",
            ) from error


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def time_to_target(history: Sequence[Evaluation], goal: Goal) -> float | None:
    """Submission time of the first evaluation that met the validation target, seconds; None if none did."""
    for evaluation in history:
        if goal.reached(evaluation.results, "validation"):
            return evaluation.results["score"]
    return None


def best_values(history: Sequence[Evaluation], goal: Goal) -> dict[str, float]:
    """Split -> the best finite value of the target metric."""
    best = {}
    for split in ("validation", "test"):
        values = [evaluation.results.get(f"{split}/{goal.metric}", math.nan) for evaluation in history]
        finite = [value for value in values if math.isfinite(value)]
        if finite:
            best[split] = max(finite) if goal.direction == "maximize" else min(finite)
    return best
