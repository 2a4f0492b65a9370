"""TensorBoard event files."""

import importlib
import math
import pathlib
import sys
import time
from collections.abc import Mapping
from typing import Any

from algoperf_jax.outputs.run_directory import disk_error
from algoperf_jax.trial.events import Event


def _import_without_torch(name: str) -> Any:
    """Imports a module of tensorboardX without torch, which tensorboardX imports if it is installed.

    Importing torch costs seconds and memory, and nothing used here needs it.
    """
    hidden = "torch" not in sys.modules
    if hidden:
        sys.modules["torch"] = None  # pyright: ignore[reportArgumentType] -- makes `import torch` fail
    try:
        return importlib.import_module(name)
    finally:
        if hidden:
            del sys.modules["torch"]


event_file_writer = _import_without_torch("tensorboardX.event_file_writer")
event_pb2 = _import_without_torch("tensorboardX.proto.event_pb2")
summary_pb2 = _import_without_torch("tensorboardX.proto.summary_pb2")


class TensorBoardLog:
    """Writes the scalars of a trial for TensorBoard; a sink. Opens its file at the first scalar.

    Args:
      folder: the trial's directory.
      preemption_count: number of earlier processes that worked on this trial.
    """

    def __init__(self, folder: pathlib.Path, *, preemption_count: int = 0) -> None:
        self._folder = folder
        self._preemption_count = preemption_count
        self._file: TensorBoardFile | None = None

    def has_earlier_files(self) -> bool:
        """Whether there are files of earlier processes."""
        return any((self._folder / "tensorboard").glob("events.*"))

    def __call__(self, event: Event) -> None:
        """Appends the scalars of an event.

        Raises:
          RunError: the disk cannot be written.
        """
        if event.kind not in ("train", "evaluation"):
            return
        try:
            if self._file is None:
                # Hides the events of an interrupted process from this step on.
                number = self._preemption_count
                purge = event.step if number else None
                self._file = TensorBoardFile(self._folder / "tensorboard", number=number, purge_step=purge)
            self._file.append(event.values, event.step)
            if event.kind == "evaluation":  # `train` events occur during submission time
                self._file.flush()
        except OSError as error:
            raise disk_error(self._folder, error) from error

    def close(self) -> None:
        """Writes buffered events and closes the file.

        Raises:
          RunError: the disk cannot be written.
        """
        try:
            if self._file is not None:
                self._file.close()
        except OSError as error:
            raise disk_error(self._folder, error) from error


class TensorBoardFile:
    """A TensorBoard event file, written by the caller's thread, which therefore sees disk errors where they occur.

    Args:
      folder: created if missing.
      number: distinguishes the files of processes that worked on one trial.
      purge_step: hides what earlier files have for this and later steps.
    """

    def __init__(self, folder: pathlib.Path, *, number: int, purge_step: int | None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._writer = event_file_writer.EventsWriter(str(folder / "events"), f".{number}")
        if purge_step is not None:
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._writer.write_event(event_pb2.Event(wall_time=time.time(), step=purge_step, session_log=start))

    def append(self, values: Mapping[str, Any], step: int) -> None:
        """Adds the finite numbers among `values`; they are on disk after the next `flush`."""
        scalars = [
            summary_pb2.Summary.Value(tag=name, simple_value=value)
            for name, value in values.items()
            if isinstance(value, int | float) and math.isfinite(value)
        ]
        summary = summary_pb2.Summary(value=scalars)
        self._writer.write_event(event_pb2.Event(wall_time=time.time(), step=step, summary=summary))

    def flush(self) -> None:
        """Writes buffered events."""
        self._writer.flush()

    def close(self) -> None:
        """Writes buffered events and closes the file."""
        self._writer.close()
