"""The interface of submissions: the five functions of a training algorithm, in either framework.

The functions are those of the benchmark's documentation:

- `get_batch_size(workload_name) -> int`, optional here: the default is the workload's batch size
- `init_optimizer_state(...) -> optimizer_state`, called by position
- `data_selection(...) -> batch`, called by position; its result is passed to `update_params` unchanged
- `update_params(...) -> (optimizer_state, params, model_state)`, called by keyword
- `prepare_for_eval(...)`, optional, returns what `update_params` returns

`algoperf_jax/submission/calls.py` defines their arguments.
"""

import dataclasses
import enum
import functools
import hashlib
import inspect
import pathlib
import traceback
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from algoperf_jax.errors import SubmissionError

if TYPE_CHECKING:  # reading a submission's files needs this package, and should not wait for NumPy
    from algoperf_jax.workload import ModelState, Parameters


class ForwardPassMode(enum.Enum):
    """Whether a model runs for training (dropout active) or for evaluation."""

    TRAIN = 0
    EVAL = 1


class TrainingCompleteError(Exception):
    """Raised by `update_params` to end the training; a last evaluation follows."""


@dataclasses.dataclass(frozen=True)
class Source:
    """The source code of a submission, for the log.

    Attributes:
      path: the file that defines the functions.
      files: relative name -> content of each of the submission's files.
    """

    path: pathlib.Path
    files: Mapping[str, bytes]

    def digest(self) -> str:
        """SHA-256 of all files."""
        return hashlib.sha256(b"".join(self.files[name] for name in sorted(self.files))).hexdigest()

    def differing(self, folder: pathlib.Path) -> list[str]:
        """Names of the files that are missing from, changed in or added to a copy in a folder."""
        copies = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        return sorted(name for name in {*copies, *self.files} if copies.get(name) != self.files.get(name))

    def line_of(self, error: BaseException) -> str:
        """The submission's innermost line in an error's traceback, as ` (submission.py, line 12)`, or an empty text."""
        own = {pathlib.Path(name).name for name in self.files}
        lines = [
            f" ({pathlib.Path(frame.filename).name}, line {frame.lineno})"
            for frame in traceback.extract_tb(error.__traceback__)
            if pathlib.Path(frame.filename).name in own and "site-packages" not in frame.filename
        ]
        return lines[-1] if lines else ""


@dataclasses.dataclass(frozen=True)
class Submission:
    """A training algorithm.

    Attributes:
      name: short name for directories and tables.
      framework: the framework of its arrays; selects the backend.
      get_batch_size: returns the batch size for a workload.
      init_optimizer_state: makes the submission's state.
      update_params: takes a training step.
      data_selection: selects a batch.
      prepare_for_eval: optional; prepares the parameters for an evaluation.
      get_eval_batch_size: optional; returns the evaluation batch size for a workload.
      hyperparameters: names and defaults if the submission declares them with a named tuple `Hyperparameters` that has
        a default for every field; otherwise None, and any hyperparameters are passed on.
      source: its source code, for the log.
    """

    name: str
    framework: str
    get_batch_size: Callable[[str], int]
    init_optimizer_state: Callable[..., Any]
    update_params: Callable[..., Any]
    data_selection: Callable[..., Any]
    prepare_for_eval: Callable[..., Any] | None
    get_eval_batch_size: Callable[[str], int] | None
    hyperparameters: Mapping[str, Any] | None
    source: Source

    @functools.cached_property
    def takes_train_state(self) -> bool:
        """Whether `update_params` has a parameter `train_state`."""
        return "train_state" in inspect.signature(self.update_params).parameters


@dataclasses.dataclass(frozen=True)
class Update:
    """The checked result of `update_params` or `prepare_for_eval`."""

    optimizer_state: Any
    params: "Parameters"
    model_state: "ModelState"


def checked_update(submission: Submission, function: str, returned: Any) -> Update:
    """Checks the triple that a submission's function returned.

    Raises:
      SubmissionError: it is not such a triple; the message names the function, the value returned and the value
        expected.
    """
    if not isinstance(returned, tuple) or len(returned) != 3:
        shape = f"a tuple of {len(returned)}" if isinstance(returned, tuple) else type(returned).__name__
        raise SubmissionError(
            f"{submission.name}: {function} returned {shape}",
            expected="the tuple (optimizer_state, params, model_state)",
            remedy=f"Fix {function} in {submission.source.path}.",
        )
    return Update(*returned)
