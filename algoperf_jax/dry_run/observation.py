"""Wraps a submission to measure each of its calls and steps in the trial loop."""

import collections
import dataclasses
import functools
import time
from collections.abc import Callable, Mapping
from typing import Any

from algoperf_jax.devices.compile_watch import CompileWatch
from algoperf_jax.devices.host_reads import CountHostReads
from algoperf_jax.submission.interface import Submission


@dataclasses.dataclass(frozen=True)
class Step:
    """Measurements of a step.

    Attributes:
      seconds: wall time until the devices were done.
      host_reads: `file:line` -> number of arrays that the submission's functions read on the host there; None if reads
        cannot be counted.
      programs: name -> number of programs of this name compiled while the submission's functions ran.
      compile_sec: time spent compiling them.
    """

    seconds: float
    host_reads: Mapping[str, int] | None
    programs: Mapping[str, int]
    compile_sec: float


class Observer:
    """Observes the steps of one run, and reports each call as it starts, in case the process dies.

    Args:
      compile_watch: counts compilations.
      count_host_reads: makes a context that counts reads of arrays on the host.
      say: called with the name of each call when it begins.
      now: the time in seconds.
    """

    def __init__(
        self,
        compile_watch: CompileWatch,
        count_host_reads: CountHostReads,
        say: Callable[[str], None],
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.steps: list[Step] = []
        self._compile_watch = compile_watch
        self._count_host_reads = count_host_reads
        self._say = say
        self._now = now
        self.begin_step()

    def submission(self, submission: Submission) -> Submission:
        """Wraps the functions of a submission."""
        prepare = submission.prepare_for_eval
        return dataclasses.replace(
            submission,
            init_optimizer_state=self._announced("init_optimizer_state", submission.init_optimizer_state),
            data_selection=self._counted("data_selection", submission.data_selection),
            update_params=self._counted("update_params", submission.update_params),
            # Its reads and compilations belong to no step.
            prepare_for_eval=None if prepare is None else self._announced("prepare_for_eval", prepare),
        )

    def begin_step(self) -> None:
        """Starts measuring a step, and discards what was measured since the last one ended."""
        self._host_reads: collections.Counter[str] | None = collections.Counter()
        self._programs: collections.Counter[str] = collections.Counter()
        self._compile_sec = 0.0
        self._since = self._now()

    def elapsed(self) -> float:
        """Seconds since the current step began."""
        return self._now() - self._since

    def end_step(self) -> None:
        """Records the measurements of the current step, and begins the next."""
        reads = None if self._host_reads is None else dict(self._host_reads)
        self.steps.append(Step(self.elapsed(), reads, dict(self._programs), self._compile_sec))
        self.begin_step()

    def _announced(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)  # keeps the signature, which determines the arguments that the engine passes
        def announced(*args: Any, **kwargs: Any) -> Any:
            self._say(name)
            return function(*args, **kwargs)

        return announced

    def _counted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def counted(*args: Any, **kwargs: Any) -> Any:
            self._say(f"{name} at step {len(self.steps)}")
            with self._count_host_reads() as reads:
                programs, seconds = self._compile_watch.programs.copy(), self._compile_watch.seconds
                returned = function(*args, **kwargs)
                self._programs += self._compile_watch.programs - programs
                self._compile_sec += self._compile_watch.seconds - seconds
            if self._host_reads is not None:
                self._host_reads = None if reads.places is None else self._host_reads + reads.places
            return returned

        return counted
