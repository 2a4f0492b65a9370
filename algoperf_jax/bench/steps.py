"""Times the steps of the real trial loop, including its clock, keys, checks and pacing."""

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from algoperf_jax.assembly import Parts
from algoperf_jax.devices.compile_watch import CompileWatch
from algoperf_jax.errors import RunError
from algoperf_jax.submission.interface import Submission
from algoperf_jax.trial.backend import Backend
from algoperf_jax.trial.clock import Bucket, Clock
from algoperf_jax.trial.loop import InputQueue, run
from algoperf_jax.trial.rules import TimingRules
from algoperf_jax.trial.run_state import RunState
from algoperf_jax.workload import Batch

Tick = Callable[[int, Clock], None]


@dataclasses.dataclass(frozen=True)
class Block:
    """Consecutive steps between two synchronizations with the devices.

    Attributes:
      steps: number of steps.
      seconds: wall time.
      waiting: seconds of the wall time spent waiting for batches.
    """

    steps: int
    seconds: float
    waiting: float


@dataclasses.dataclass(frozen=True)
class Compilation:
    """Compilation during one step.

    Attributes:
      step: number of the step, from 1.
      programs: number of compiled programs.
      seconds: time spent compiling.
    """

    step: int
    programs: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class TimedSteps:
    """Result of `time_steps`.

    Attributes:
      blocks: the blocks in order, with the requested lengths.
      compilations: the steps that compiled something.
    """

    blocks: tuple[Block, ...]
    compilations: tuple[Compilation, ...]


class ConstantFeed(Iterator[Batch]):
    """Returns the same batch forever."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def __next__(self) -> Batch:
        return self._batch

    def position(self) -> Any:
        """The position, which is always None."""
        return None

    def seek(self, position: Any) -> None:
        """Does nothing; all positions are the same."""


def block_lengths(steps: int, longest: int) -> list[int]:
    """Divides `steps` steps into blocks; only the last may be shorter than `longest`."""
    full, rest = divmod(steps, longest)
    return [longest] * full + [rest] * bool(rest)


def time_steps(
    parts: Parts,
    submission: Submission,
    feed: InputQueue,
    states: list[RunState],
    *,
    rules: TimingRules,
    lengths: Sequence[int],
    compile_watch: CompileWatch,
    tick: Tick,
    now: Callable[[], float] = time.perf_counter,
) -> TimedSteps:
    """Runs the trial loop for the steps of all blocks, without evaluation, logs or checkpoints.

    Args:
      parts: the parts of the trial.
      submission: replaces the submission in `parts`.
      feed: training batches on the devices.
      states: holds the initial state, and afterwards the last state. The list is empty in between, so that nothing
        keeps arrays alive that the loop has replaced.
      rules: the timing rules.
      lengths: number of steps of each block.
      compile_watch: counts compilations.
      tick: called after each step, as in a trial.
      now: the time in seconds.

    Raises:
      RunError: the submission failed or ended the training.
    """
    stopwatch = _Stopwatch(parts.backend, feed, lengths, compile_watch, tick, now)
    trial = parts.trial(
        rules=dataclasses.replace(rules, evaluate_after_first_step=False),
        calls=dataclasses.replace(parts.calls, submission=submission),
        input_queue=stopwatch,
        tick=stopwatch.tick,
        stop_requested=stopwatch.stop_requested,
    )
    clock = Clock.start(Bucket.SETUP)
    if rules.wait_for_devices:
        clock = clock.waiting(parts.backend.wait_for)
    stopwatch.start()
    outcome = run(trial, states.pop(), clock)
    if outcome.status != "interrupted":
        raise RunError(
            outcome.reason or f"{submission.name}: update_params ended the training after step {outcome.state.step}",
            expected=f"{sum(lengths)} steps to measure",
        ) from outcome.error
    states.append(dataclasses.replace(outcome.state, nanoseconds={}, data_position=None))
    return TimedSteps(tuple(stopwatch.blocks), tuple(stopwatch.compilations))


class _Stopwatch(Iterator[Batch]):
    """Wraps the loop's feed, times each step, and asks the loop to stop after the last."""

    def __init__(
        self,
        backend: Backend,
        feed: InputQueue,
        lengths: Sequence[int],
        compile_watch: CompileWatch,
        tick: Tick,
        now: Callable[[], float],
    ) -> None:
        self.blocks: list[Block] = []
        self.compilations: list[Compilation] = []
        self._backend = backend
        self._feed = feed
        self._tick = tick
        self._now = now
        self._lengths = lengths
        self._ends = list(itertools.accumulate(lengths))
        self._compile_watch = compile_watch
        self._done = 0
        self._waiting = 0.0

    def start(self) -> None:
        """Begins the first block."""
        self._compiled = (self._compile_watch.count, self._compile_watch.seconds)
        self._since = self._now()

    def __next__(self) -> Batch:
        start = self._now()
        batch = next(self._feed)
        self._waiting += self._now() - start
        return batch

    def position(self) -> Any:
        return self._feed.position()

    def seek(self, position: Any) -> None:
        self._feed.seek(position)

    def tick(self, step: int, clock: Clock) -> None:
        self._tick(step, clock)
        self._done += 1
        count, seconds = self._compiled
        if self._compile_watch.count != count:
            programs, took = self._compile_watch.count - count, self._compile_watch.seconds - seconds
            self.compilations.append(Compilation(self._done, programs, took))
            self._compiled = (self._compile_watch.count, self._compile_watch.seconds)
        number = len(self.blocks)
        if self._done == self._ends[number]:
            self._backend.wait_for(None)
            now = self._now()
            self.blocks.append(Block(self._lengths[number], now - self._since, self._waiting))
            self._since, self._waiting = now, 0.0

    def stop_requested(self) -> bool:
        return len(self.blocks) == len(self._lengths)
