"""The directory of one trial: where it is, whose it is, and whether it may be used.

<experiment_dir>/<experiment_name>/<submission>/study_<k>/<workload>[_builtin]_<framework>/trial_<j>/
"""

import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

from algoperf_jax.errors import RunError

# What may differ between the run that made a directory and the one that goes on with it: none of it changes what a
# trial computes. What a search space gives to a trial is in its hyperparameters.
_MAY_DIFFER = (
    "overwrite",
    "progress_period_sec",
    "experiment_dir",
    "distributed",
    "checkpoints_kept",
    "search_space",
    "search_seed",
    "num_trials",
    "num_studies",
    "trials",
)


@dataclasses.dataclass(frozen=True)
class RunDirectory:
    """Paths in a trial's directory.

    Attributes:
      path: the directory itself.
    """

    path: pathlib.Path

    @property
    def config(self) -> pathlib.Path:
        """The full configuration, JSON."""
        return self.path / "config.json"

    @property
    def result(self) -> pathlib.Path:
        """How the trial ended, JSON; its existence marks a finished trial."""
        return self.path / "result.json"

    @property
    def checkpoints(self) -> pathlib.Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def events(self) -> pathlib.Path:
        """The trial's log, one event per line; its existence says that the trial has begun."""
        return self.path / "events.jsonl"

    @property
    def source(self) -> pathlib.Path:
        """Folder with a copy of the submission's files."""
        return self.path / "submission"

    @property
    def rule_report(self) -> pathlib.Path:
        """What checking the submission's source against the rules found, JSON."""
        return self.path / "rule_report.json"

    @property
    def learning_curve(self) -> pathlib.Path:
        """The learning curve, PNG."""
        return self.path / "learning_curve.png"

    def has_checkpoints(self) -> bool:
        """Whether there is something to go on with: a checkpoint whose writing was completed."""
        return any(path.name.rpartition("_")[2].isdigit() for path in self.checkpoints.glob("checkpoint_*"))

    def preemption_count(self) -> int:
        """How many processes have worked on this trial before this one."""
        return len(list(self.path.glob("meta_data_*.json")))


def locate(config: Any, submission_name: str, framework: str, origin: str) -> RunDirectory:
    """The directory that a configuration means.

    Results on built-in data stand under a workload name of their own, so that nothing mixes them with real ones.
    """
    workload = config.workload if origin == "prepared" else f"{config.workload}_{origin}"
    root = pathlib.Path(config.experiment_dir).expanduser() / config.experiment_name
    place = f"{submission_name}/study_{config.study}/{workload}_{framework}/trial_{config.trial}"
    return RunDirectory((root / place).absolute())


@contextlib.contextmanager
def only_process(directory: RunDirectory) -> Iterator[None]:
    """Keeps other processes from working on the same trial, until this one leaves or ends, in whatever way.

    Raises:
      RunError: another process is working on it.
    """
    # Beside the directory rather than in it, so that a trial in progress cannot be overwritten either.
    path = directory.path.with_name(f".{directory.path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as error:
        raise disk_error(directory.path, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(
                f"another process is working on {directory.path}",
                remedy="Wait until it has ended, or choose another --config.trial.",
            ) from error
        except OSError:
            pass  # a file system without locks
        yield


def claim(directory: RunDirectory, config: Mapping[str, Any], *, overwrite: bool) -> bool:
    """Prepares the directory for this configuration.

    Returns:
      Whether a finished trial is there, so that nothing is left to run.

    Raises:
      RunError: the directory belongs to another configuration, or cannot be written.
    """
    try:
        if overwrite and directory.path.exists():
            shutil.rmtree(directory.path)
        # A run that ended before its trial began, for instance because its batch size did not fit, has no claim.
        if directory.config.exists() and directory.events.exists():
            _refuse_other_config(directory, config)
        else:
            directory.path.mkdir(parents=True, exist_ok=True)
            write_json(directory.config, config)
        return directory.result.exists()
    except OSError as error:
        raise disk_error(directory.path, error) from error


def _refuse_other_config(directory: RunDirectory, config: Mapping[str, Any]) -> None:
    found = _read_json(directory.config)
    ours = {key: value for key, value in config.items() if key not in _MAY_DIFFER}
    theirs = {key: value for key, value in found.items() if key not in _MAY_DIFFER}
    lines = differences(json.loads(json.dumps(ours, default=str)), theirs)
    if lines:
        raise RunError(
            f"{directory.path} belongs to a run of another configuration ({'; '.join(lines)})",
            remedy="Choose another --config.experiment_name, or start afresh with --config.overwrite=True.",
        )


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any], prefix: str = "") -> list[str]:
    """One line per key in which two configurations differ."""
    lines = []
    for key in sorted({*ours, *theirs}):
        a, b = ours.get(key), theirs.get(key)
        name = f"{prefix}{key}"
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            lines += differences(a, b, f"{name}.")
        elif a != b and repr(a) != repr(b):  # nan is nan
            lines.append(f"config.{name}: {b!r} there, {a!r} now")
    return lines


def _read_json(path: pathlib.Path) -> Any:
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise RunError(
            f"{path} is damaged: it is not JSON ({error})", remedy="Start afresh with --config.overwrite=True."
        ) from error


def write_json(path: pathlib.Path, content: Any) -> None:
    """Writes JSON so that a reader sees the old file or the whole new one."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True, default=str) + "\n")


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes text so that a reader sees the old file or the whole new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def disk_error(path: pathlib.Path, error: OSError) -> RunError:
    """The user's version of an error of the disk."""
    return RunError(
        f"{path} cannot be written: {error.strerror or error}",
        expected="a writable place with free space",
        remedy="Mend that and run the same command again: the trial goes on from its last checkpoint. "
        "Or choose another --config.experiment_dir.",
    )
