"""The result of a trial, which `result.json` holds, the summary shows, and a study collects."""

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
    """The result of a trial.

    Attributes:
      workload: registry name.
      framework: the submission's framework.
      submission: name of the submission.
      data: `prepared` or `builtin`.
      status: see `Outcome.status`.
      reason: one line for the user, empty if the status says everything.
      steps: number of calls of `update_params`.
      time_to_target_sec: submission time at the first evaluation that met the validation target; None if none did or
        the trial failed.
      metric: the target metric, without the split.
      targets: split -> value to beat, or None; None on validation means that the model has no published target.
      best: split -> the best finite value of the target metric; splits without one are missing.
      budget_sec: limit on the submission time.
      seconds: clock bucket -> seconds.
      steps_per_sec: steps per second of submission time, None before the first.
      compile_count: number of compiled programs.
      compile_sec: seconds spent compiling.
      memory_peak_bytes: place (`host`, `device`) -> bytes.
      not_comparable: configuration keys that changed the task, so that its times must not be compared with others.
      learning_curve: path of the plot.
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
        """Converts the result to a JSON-able dict; the inverse of `from_json`."""
        return {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "TrialResult":
        """Makes a result from a dict written by `to_json`.

        Raises:
          ValueError: a field is missing or unknown.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        odd = sorted(names ^ set(record))
        if odd:
            raise ValueError(f"the field {odd[0]} is {'missing' if odd[0] in names else 'unknown'}")
        return cls(**record)

    def write(self, path: pathlib.Path) -> None:
        """Writes the result as JSON, atomically."""
        write_json(path, self.to_json())

    @classmethod
    def read(cls, path: pathlib.Path) -> "TrialResult":
        """Reads a result written by `write`.

        Raises:
          RunError: the file does not hold a result.
          OSError: the file cannot be read.
        """
        try:
            return cls.from_json(json.loads(path.read_text()))
        except (ValueError, TypeError, AttributeError) as error:
            raise RunError(
                f"{path} is damaged: it is not the result of a trial ({error})",
                remedy="Run the same command again: it restores the result from the trial's log, or resumes the trial.",
            ) from error


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def time_to_target(history: Sequence[Evaluation], goal: Goal) -> float | None:
    """Submission time, in seconds, of the first evaluation that met the validation target; None if none did."""
    for evaluation in history:
        if goal.reached(evaluation.results, "validation"):
            return evaluation.results["score"]
    return None


def best_values(history: Sequence[Evaluation], goal: Goal) -> dict[str, float]:
    """The best finite value of the target metric on each split."""
    best = {}
    for split in ("validation", "test"):
        values = [evaluation.results.get(f"{split}/{goal.metric}", math.nan) for evaluation in history]
        finite = [value for value in values if math.isfinite(value)]
        if finite:
            best[split] = max(finite) if goal.direction == "maximize" else min(finite)
    return best
