"""The copy of a submission's files in a trial's directory, to which a resumed trial is held."""

import shutil
from collections.abc import Callable

from algoperf_jax.errors import RunError
from algoperf_jax.outputs import event_records
from algoperf_jax.outputs.run_directory import RunDirectory
from algoperf_jax.submission.interface import Source


def refuse_other(source: Source, directory: RunDirectory, report: Callable[[str], None]) -> None:
    """Refuses a source other than the one that the trial began with, if it has begun.

    A copy that is missing or damaged is no reason to: the log has the source's checksum.

    Args:
      source: the submission's files.
      directory: of the trial.
      report: told in one line about a damaged copy, which is then removed.

    Raises:
      RunError: the source is another one.
    """
    changed = source.differing(directory.source) if directory.has_checkpoints() else []
    if not changed:
        return
    events = event_records.read(directory.events).values()
    digests = [event.values["submission_sha256"] for event in events if "submission_sha256" in event.values]
    if digests and digests[0] == source.digest():
        report(f"the copy of the submission in {directory.source} is damaged; it is written again")
    elif not digests and not any((directory.source / name).exists() for name in changed):
        report(
            f"the copy of the submission in {directory.source} is lost, so that nothing tells whether the files are "
            "those that the trial began with; they are written again"
        )
    else:
        raise RunError(
            f"{changed[0]} of the submission {source.path} has changed since the trial in {directory.path} began",
            expected=f"the files that are in {directory.source}",
            remedy="Choose another --config.experiment_name, or start again with --config.overwrite=True.",
        )
    shutil.rmtree(directory.source, ignore_errors=True)
