"""Stands between the trial loop and a submission, and sees what each call and each step takes."""

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
    """What a step took.

    Attributes:
      seconds: wall time, until the devices were done.
      host_reads: `file:line` -> reads of arrays on the host that the submission's functions made there; None where they
        cannot be counted.
      programs: name -> how many programs of this name were compiled while the submission's functions ran.
      compile_sec: what compiling them took.
    """

    seconds: float
    host_reads: Mapping[str, int] | None
    programs: Mapping[str, int]
    compile_sec: float


class Observer:
    """Observes the steps of one run, and says what is going on when it may end without a word."""

    def __init__(
        self,
        compile_watch: CompileWatch,
        count_host_reads: CountHostReads,
        say: Callable[[str], None],
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`say` is told what begins; `now` gives seconds."""
        self.steps: list[Step] = []
        self._compile_watch = compile_watch
        self._count_host_reads = count_host_reads
        self._say = say
        self._now = now
        self.begin_step()

    def submission(self, submission: Submission) -> Submission:
        """The same submission, observed."""
        prepare = submission.prepare_for_eval
        return dataclasses.replace(
            submission,
            init_optimizer_state=self._announced("init_optimizer_state", submission.init_optimizer_state),
            data_selection=self._counted("data_selection", submission.data_selection),
            update_params=self._counted("update_params", submission.update_params),
            # What it reads and compiles belongs to no step.
            prepare_for_eval=None if prepare is None else self._announced("prepare_for_eval", prepare),
        )

    def begin_step(self) -> None:
        """Starts to measure a step; whatever was seen since the last one ended is forgotten."""
        self._host_reads: collections.Counter[str] | None = collections.Counter()
        self._programs: collections.Counter[str] = collections.Counter()
        self._compile_sec = 0.0
        self._since = self._now()

    def elapsed(self) -> float:
        """Seconds since the step began, or since the last one ended."""
        return self._now() - self._since

    def end_step(self) -> None:
        """Keeps what was seen since the step began, and begins the next."""
        reads = None if self._host_reads is None else dict(self._host_reads)
        self.steps.append(Step(self.elapsed(), reads, dict(self._programs), self._compile_sec))
        self.begin_step()

    def _announced(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)  # keeps the signature, which tells the engine what to give
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
