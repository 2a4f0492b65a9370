"""The directory of one trial: its path, its claim by a configuration, and its lock.

<experiment_dir>/<experiment_name>/<submission>/study_<k>/<workload>[_builtin]_<framework>/trial_<j>/
"""

import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from algoperf_jax.errors import RunError

# Keys that may differ when a trial is resumed, because they do not change what it computes. The values from a search
# space are in the trial's hyperparameters.
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
_OF_PROCESS = re.compile(r"(?:meta_data|flags)_(\d+)\.json")


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
        """The result of the trial, JSON; its existence marks a finished trial."""
        return self.path / "result.json"

    @property
    def checkpoints(self) -> pathlib.Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def events(self) -> pathlib.Path:
        """The trial's log, one event per line; its existence marks a trial that has begun."""
        return self.path / "events.jsonl"

    @property
    def source(self) -> pathlib.Path:
        """The folder with a copy of the submission's files."""
        return self.path / "submission"

    @property
    def rule_report(self) -> pathlib.Path:
        """The result of checking the submission's source against the rules, JSON."""
        return self.path / "rule_report.json"

    @property
    def learning_curve(self) -> pathlib.Path:
        """The learning curve, PNG."""
        return self.path / "learning_curve.png"

    def has_checkpoints(self) -> bool:
        """Whether there is a completely written checkpoint to resume from."""
        return any(path.name.rpartition("_")[2].isdigit() for path in self.checkpoints.glob("checkpoint_*"))

    def preemption_count(self) -> int:
        """Number of earlier processes that worked on this trial."""
        return 1 + max(_numbered_files(self.path), default=-1)

    def last_meta_data(self) -> Mapping[str, Any]:
        """The newest readable metadata of an earlier process; empty if there is none."""
        return _last_readable(self, "meta_data") or {}


def _numbered_files(folder: pathlib.Path) -> list[int]:
    """The numbers of the processes that left at least one file."""
    names = [path.name for path in folder.glob("*_*.json")]
    return [int(match[1]) for name in names if (match := _OF_PROCESS.fullmatch(name))]


def locate(config: Any, submission_name: str, framework: str, origin: str) -> RunDirectory:
    """The directory of the trial that a configuration describes.

    Runs on built-in data have `builtin` in the path, so that they are never mixed with real ones.
    """
    workload = config.workload if origin == "prepared" else f"{config.workload}_{origin}"
    root = pathlib.Path(config.experiment_dir).expanduser() / config.experiment_name
    place = f"{submission_name}/study_{config.study}/{workload}_{framework}/trial_{config.trial}"
    return RunDirectory((root / place).absolute())


@contextlib.contextmanager
def only_process(directory: RunDirectory) -> Iterator[None]:
    """Locks a trial, so that no other process works on it; the lock ends with this process at the latest.

    Raises:
      RunError: another process is working on it.
    """
    # Next to the directory rather than in it, so that a trial in progress cannot be overwritten either.
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
                remedy="Wait until it has finished, or choose another --config.trial.",
            ) from error
        except OSError:
            pass  # the file system does not support locks
        yield


def claim(
    directory: RunDirectory, config: Mapping[str, Any], *, overwrite: bool, report: Callable[[str], None]
) -> None:
    """Prepares the directory for this configuration.

    Args:
      directory: the trial's directory.
      config: the complete configuration.
      overwrite: whether to delete the existing content first.
      report: receives one line about a damaged configuration.

    Raises:
      RunError: the directory belongs to another configuration, or cannot be written.
    """
    try:
        if overwrite and directory.path.exists():
            shutil.rmtree(directory.path)
        # A run that failed before its trial began, for example because of an invalid batch size, has no claim.
        if directory.events.exists() or directory.result.exists() or directory.has_checkpoints():
            _check_config_unchanged(directory, config, report)
        else:
            directory.path.mkdir(parents=True, exist_ok=True)
            write_json(directory.config, config)
    except OSError as error:
        raise disk_error(directory.path, error) from error


def _check_config_unchanged(directory: RunDirectory, config: Mapping[str, Any], report: Callable[[str], None]) -> None:
    found = read_object(directory.config)
    if found is None:
        found = _last_readable(directory, "flags")
        if found is None:
            report(f"{directory.config} is missing or damaged: cannot check that the configuration is unchanged")
            found = config
        else:
            report(f"{directory.config} is missing or damaged; restored from the flags of an earlier process")
        write_json(directory.config, found)
    ours = {key: value for key, value in config.items() if key not in _MAY_DIFFER}
    theirs = {key: value for key, value in found.items() if key not in _MAY_DIFFER}
    lines = differences(json.loads(json.dumps(ours, default=str)), theirs)
    if lines:
        raise RunError(
            f"{directory.path} belongs to a run with another configuration ({'; '.join(lines)})",
            remedy="Choose another --config.experiment_name, or start over with --config.overwrite=True.",
        )


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any], prefix: str = "") -> list[str]:
    """One line for each key that differs between two configurations."""
    lines = []
    for key in sorted({*ours, *theirs}):
        a, b = ours.get(key), theirs.get(key)
        name = f"{prefix}{key}"
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            lines += differences(a, b, f"{name}.")
        elif a != b and repr(a) != repr(b):  # nan is nan
            lines.append(f"config.{name}: {b!r} there, {a!r} now")
    return lines


def _last_readable(directory: RunDirectory, name: str) -> Mapping[str, Any] | None:
    """The newest readable file `<name>_<process>.json`, or None."""
    paths = [directory.path / f"{name}_{number}.json" for number in range(directory.preemption_count())]
    return next((found for path in reversed(paths) if (found := read_object(path)) is not None), None)


def read_object(path: pathlib.Path) -> dict[str, Any] | None:
    """The object in a JSON file, or None if it is missing or damaged."""
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def write_json(path: pathlib.Path, content: Any) -> None:
    """Writes JSON atomically: readers see the old file or the complete new one."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True, default=str) + "\n")


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes text atomically: readers see the old file or the complete new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def disk_error(path: pathlib.Path, error: OSError) -> RunError:
    """Turns a disk error into an error for the user."""
    return RunError(
        f"{path} cannot be written: {error.strerror or error}",
        expected="a writable disk with free space",
        remedy="Fix this and run the same command again: the trial resumes from its last checkpoint. "
        "Or choose another --config.experiment_dir.",
    )
