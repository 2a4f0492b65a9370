"""Recognizes finished trials, and repairs their damaged files."""

import pathlib
from collections.abc import Callable

from algoperf_jax.errors import RunError
from algoperf_jax.outputs import event_records
from algoperf_jax.outputs.event_log import EventTables
from algoperf_jax.outputs.result import TrialResult
from algoperf_jax.outputs.run_directory import RunDirectory, disk_error


def is_finished(directory: RunDirectory, report: Callable[[str], None]) -> bool:
    """Whether the trial has ended and its result is known.

    A damaged result and damaged tables are restored from the log. If the log does not have the result either, the
    damaged file is renamed, and the trial resumes from its last checkpoint.

    Args:
      directory: the trial's directory, claimed.
      report: receives one line about each damaged file.

    Raises:
      RunError: the disk cannot be read or written.
    """
    try:
        return directory.result.exists() and _restore(directory, report)
    except OSError as error:
        raise disk_error(directory.path, error) from error


def _restore(directory: RunDirectory, report: Callable[[str], None]) -> bool:
    try:
        TrialResult.read(directory.result)
    except RunError as error:
        result = _logged_result(directory)
        if result is None:
            renamed = directory.result.with_name("result.json.damaged")
            directory.result.replace(renamed)
            report(f"{error.what}, and the log does not have it; the file is now {renamed.name}, and the trial resumes")
            return False
        result.write(directory.result)
        report(f"{error.what}; restored from {directory.events.name}")
    tables = EventTables(directory.path)
    damaged = [path for path in tables.paths if not _is_whole(path)]
    events = list(event_records.read(directory.events).values()) if damaged else []
    if any(event.kind == "evaluation" for event in events):
        tables.write(events)
        report(f"{', '.join(path.name for path in damaged)}: missing or damaged; restored from {directory.events.name}")
    return True


def _logged_result(directory: RunDirectory) -> TrialResult | None:
    """The result in the last event, or None."""
    events = list(event_records.read(directory.events).values())
    try:
        return TrialResult.from_json(events[-1].values["result"]) if events else None
    except (KeyError, ValueError, TypeError):
        return None


def _is_whole(path: pathlib.Path) -> bool:
    """Whether a table exists and is not visibly truncated."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return False
    return content.endswith(b"\n") and b"\0" not in content
