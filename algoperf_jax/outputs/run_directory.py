"""The directory of one trial: where it is, whose it is, and whether it may be used.

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
        return 1 + max(_numbered_files(self.path), default=-1)

    def last_meta_data(self) -> Mapping[str, Any]:
        """What the last process with a readable file wrote about its machine; nothing if there is none."""
        return _last_readable(self, "meta_data") or {}


def _numbered_files(folder: pathlib.Path) -> list[int]:
    """The numbers of the processes that left a file; not all of their files need be there."""
    names = [path.name for path in folder.glob("*_*.json")]
    return [int(match[1]) for name in names if (match := _OF_PROCESS.fullmatch(name))]


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


def claim(
    directory: RunDirectory, config: Mapping[str, Any], *, overwrite: bool, report: Callable[[str], None]
) -> None:
    """Prepares the directory for this configuration.

    Args:
      directory: of the trial.
      config: all keys.
      overwrite: whether what is there is deleted first.
      report: told in one line about a damaged configuration.

    Raises:
      RunError: the directory belongs to another configuration, or cannot be written.
    """
    try:
        if overwrite and directory.path.exists():
            shutil.rmtree(directory.path)
        # A run that ended before its trial began, for instance because its batch size did not fit, has no claim.
        if directory.events.exists() or directory.result.exists() or directory.has_checkpoints():
            _refuse_other_config(directory, config, report)
        else:
            directory.path.mkdir(parents=True, exist_ok=True)
            write_json(directory.config, config)
    except OSError as error:
        raise disk_error(directory.path, error) from error


def _refuse_other_config(directory: RunDirectory, config: Mapping[str, Any], report: Callable[[str], None]) -> None:
    found = read_object(directory.config)
    if found is None:
        found = _last_readable(directory, "flags")
        if found is None:
            report(f"{directory.config} is missing or damaged: what the trial began with cannot be compared")
            found = config
        else:
            report(f"{directory.config} is missing or damaged; it is made again from what an earlier process was given")
        write_json(directory.config, found)
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


def _last_readable(directory: RunDirectory, name: str) -> Mapping[str, Any] | None:
    """The newest readable one of the files that each process writes."""
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
