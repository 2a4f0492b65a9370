"""Compares a submission with the copy of its files in a trial's directory."""

import shutil
from collections.abc import Callable

from algoperf_jax.errors import RunError
from algoperf_jax.outputs import event_records
from algoperf_jax.outputs.run_directory import RunDirectory
from algoperf_jax.submission.interface import Source


def check_unchanged(source: Source, directory: RunDirectory, report: Callable[[str], None]) -> None:
    """Checks that a trial resumes with the submission that it began with.

    If the copy is missing or damaged, the source is compared with its checksum in the log.

    Args:
      source: the submission's files.
      directory: the trial's directory.
      report: receives one line about a damaged copy, which is then removed.

    Raises:
      RunError: the source has changed.
    """
    changed = source.differing(directory.source) if directory.has_checkpoints() else []
    if not changed:
        return
    events = event_records.read(directory.events).values()
    digests = [event.values["submission_sha256"] for event in events if "submission_sha256" in event.values]
    if digests and digests[0] == source.digest():
        report(f"the copy of the submission in {directory.source} is damaged; writing it again")
    elif not digests and not any((directory.source / name).exists() for name in changed):
        report(
            f"the copy of the submission in {directory.source} is lost, so changes since the trial began cannot be "
            "detected; writing it again"
        )
    else:
        raise RunError(
            f"{changed[0]} of the submission {source.path} has changed since the trial in {directory.path} began",
            expected=f"the files in {directory.source}",
            remedy="Choose another --config.experiment_name, or start over with --config.overwrite=True.",
        )
    shutil.rmtree(directory.source, ignore_errors=True)
