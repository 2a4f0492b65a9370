"""What a submission is: the five functions of a training algorithm, in either framework's flavour.

The functions are those of the benchmark's documentation:

- `get_batch_size(workload_name) -> int`, optional here: without it, the workload's own batch size is taken
- `init_optimizer_state(...) -> optimizer_state`, called by position
- `data_selection(...) -> batch`, called by position; what it returns is passed on to `update_params` as it is
- `update_params(...) -> (optimizer_state, params, model_state)`, called by keyword
- `prepare_for_eval(...)`, optional, returns what `update_params` returns

`algoperf_jax/submission/calls.py` has their arguments.
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

if TYPE_CHECKING:  # reading a submission's files needs this package, and can do without the seconds that NumPy takes
    from algoperf_jax.workload import ModelState, Parameters


class ForwardPassMode(enum.Enum):
    """Whether a model runs for training (dropout active) or for evaluation."""

    TRAIN = 0
    EVAL = 1


class TrainingCompleteError(Exception):
    """Raised by `update_params` to end the training; one last evaluation follows."""


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a submission's code comes from, so that a log can keep it.

    Attributes:
      path: the file that defines the functions.
      files: relative name -> content of every file that belongs to it.
    """

    path: pathlib.Path
    files: Mapping[str, bytes]

    def digest(self) -> str:
        """SHA-256 of all files."""
        return hashlib.sha256(b"".join(self.files[name] for name in sorted(self.files))).hexdigest()

    def differing(self, folder: pathlib.Path) -> list[str]:
        """Names of the files that a copy in a folder lacks, or has with another content, or has besides."""
        copies = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        return sorted(name for name in {*copies, *self.files} if copies.get(name) != self.files.get(name))

    def line_of(self, error: BaseException) -> str:
        """The last line of the submission's that an error came through, ` (submission.py, line 12)`, or nothing."""
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
      framework: which arrays it works on; chooses the backend.
      get_batch_size, init_optimizer_state, update_params, data_selection: see the module's text.
      prepare_for_eval: optional.
      get_eval_batch_size: optional, `workload_name -> int`.
      hyperparameters: names and defaults when the submission declares them, by a named tuple `Hyperparameters` with a
        default for every field; else None: any are passed on.
      source: its code, for the log.
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
    """What `update_params` and `prepare_for_eval` return, checked."""

    optimizer_state: Any
    params: "Parameters"
    model_state: "ModelState"


def checked_update(submission: Submission, function: str, returned: Any) -> Update:
    """Checks the triple that a submission's function returned.

    Raises:
      SubmissionError: naming the function, what it returned and what was expected.
    """
    if not isinstance(returned, tuple) or len(returned) != 3:
        shape = f"a tuple of {len(returned)}" if isinstance(returned, tuple) else type(returned).__name__
        raise SubmissionError(
            f"{submission.name}: {function} returned {shape}",
            expected="the tuple (optimizer_state, params, model_state)",
            remedy=f"Mend {function} in {submission.source.path}.",
        )
    return Update(*returned)
