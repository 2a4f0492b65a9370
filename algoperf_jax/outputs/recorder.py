"""What a trial writes and shows: log, checkpoints, progress, and the result at the end."""

import traceback
from collections.abc import Mapping
from typing import Any

from clu import parameter_overview

from algoperf_jax.outputs.checkpoint import Checkpoints
from algoperf_jax.outputs.event_log import ScalarLog, TrialLog
from algoperf_jax.outputs.progress import Progress
from algoperf_jax.outputs.run_directory import RunDirectory, disk_error, write_json, write_text
from algoperf_jax.submission.interface import Source
from algoperf_jax.trial.clock import Clock
from algoperf_jax.trial.events import Event
from algoperf_jax.trial.loop import Outcome
from algoperf_jax.trial.run_state import RunState
from algoperf_jax.workload import Parameters

Result = dict[str, Any]
"""What `result.json` holds."""


class Records:
    """Takes events and states. Only the leader of several processes writes logs; all take part in checkpoints."""

    def __init__(
        self,
        directory: RunDirectory,
        progress: Progress,
        *,
        leader: bool,
        tensorboard: bool,
    ) -> None:
        """Opens the records in a claimed directory.

        Args:
          directory: the trial's directory.
          progress: shown to a person.
          leader: whether this process writes the logs.
          tensorboard: whether to write TensorBoard event files.
        """
        self._directory = directory
        self._progress = progress
        self._leader = leader
        self._preemption_count = directory.preemption_count()
        self._log = TrialLog(directory.path, preemption_count=self._preemption_count, tensorboard=tensorboard)
        self._checkpoints: Checkpoints | None = None
        self.scalars = ScalarLog(self._emit)

    def resume(self, checkpoints: Checkpoints, state: RunState) -> RunState:
        """The state to begin with: that of the newest whole checkpoint, or `state`, newly made, if there is none."""
        self._checkpoints = checkpoints
        count = 0
        if checkpoints.exists():
            restored = checkpoints.restore(state, self._progress.say)
            state, count = restored.state, restored.extra["events"]
        self.begin(count)
        return state

    def begin(self, count: int = 0) -> None:
        """Opens the log after its first `count` events; what an earlier process wrote beyond them is dropped."""
        if self._leader:
            for event in self._log.rewind(count):
                self._progress(event)

    def describe(
        self, config: Mapping[str, Any], meta_data: Mapping[str, Any], params: Parameters, source: Source
    ) -> None:
        """Writes what makes the log describe itself: configuration, machine, model, and the submission's code."""
        if not self._leader:
            return
        folder, count = self._directory.path, self._preemption_count
        try:
            write_json(folder / f"meta_data_{count}.json", meta_data)
            write_json(folder / f"flags_{count}.json", config)
            if config["ruleset"] == "external":
                write_json(folder / "hparams.json", config["hyperparameters"])
            overview = parameter_overview.get_parameter_overview(params, include_stats=False)
            write_text(folder / "parameters.txt", overview + "\n")
            for name, content in source.files.items():
                path = self._directory.source / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        except OSError as error:
            raise disk_error(folder, error) from error

    def keep_rule_report(self, report: Mapping[str, Any]) -> None:
        """Writes what the source of the submission tells about the benchmark's rules."""
        if self._leader:
            try:
                write_json(self._directory.rule_report, report)
            except OSError as error:
                raise disk_error(self._directory.path, error) from error

    def emit(self, event: Event) -> None:
        """Logs and shows an event, after the scalars that the submission logged before it."""
        self.scalars.flush()
        self._emit(event)

    def tick(self, step: int, clock: Clock) -> None:
        """Called after each step, on the submission's time: returns at once unless a progress line is due."""
        if self._progress.is_due():
            self.scalars.flush(only_ready=True)
            self._progress.show(step, clock)

    def save(self, state: RunState) -> None:
        """Writes a checkpoint."""
        assert self._checkpoints is not None, "resume comes first"
        self.scalars.flush()
        self._checkpoints.save(state, {"events": self._log.count})

    def finish(self, outcome: Outcome, result: Result) -> None:
        """Writes the last event, the picture and, unless the trial was only interrupted, the result."""
        if not self._leader:
            return
        values = {"status": outcome.status, "reason": outcome.reason}
        try:
            if outcome.error is not None:
                text = "".join(traceback.format_exception(outcome.error))
                write_text(self._directory.path / "failure.txt", text)
            if outcome.status != "interrupted":
                self.emit(Event("end", outcome.state.step, outcome.clock.readings(), values))
                write_json(self._directory.result, result)
        except OSError as error:
            raise disk_error(self._directory.path, error) from error

    def close(self) -> None:
        """Flushes and releases everything."""
        self._log.close()
        if self._checkpoints is not None:
            self._checkpoints.close()

    def _emit(self, event: Event) -> None:
        if self._leader:
            self._log(event)
        self._progress(event)
