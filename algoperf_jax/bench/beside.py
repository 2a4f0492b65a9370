"""Times the steps of the same algorithm in two frameworks in turns, so that they share what the machine is doing."""

import dataclasses
import time
from collections.abc import Callable, Mapping

from algoperf_jax.assembly import Parts, initial_state
from algoperf_jax.bench.steps import ConstantFeed, Tick, block_lengths, time_steps
from algoperf_jax.devices.compile_watch import CompileWatch
from algoperf_jax.quantities import COUNT, SECONDS, Quantity, median
from algoperf_jax.trial.rules import TimingRules

ROUNDS = 10
"""Blocks of steps in each framework, at most."""


@dataclasses.dataclass(frozen=True)
class Side:
    """A framework and what it runs.

    Attributes:
      parts: a trial's parts, not used before.
      compile_watch: counts the framework's compilations.
      tick: called after each step, as in a trial.
    """

    parts: Parts
    compile_watch: CompileWatch
    tick: Tick


def measure_beside(
    sides: Mapping[str, Side], rules: TimingRules, *, steps: int, say: Callable[[str], None] = lambda line: None
) -> tuple[Quantity, ...]:
    """Times steps on a constant batch, the first of the training split.

    Args:
      sides: name of a framework -> what it runs, for at least two frameworks.
      rules: the timing rules.
      steps: steps to time in each framework, after two to warm up.
      say: called with the name of the next measurement.

    Returns:
      Wall and processor time of a step in each framework, and the ratios of the first framework's to the others'.

    Raises:
      RunError: the submission failed.
      SubmissionError: the submission failed.
    """
    wall: dict[str, list[float]] = {name: [] for name in sides}
    processor: dict[str, list[float]] = {name: [] for name in sides}
    running = {}
    first_steps = []
    for name, side in sides.items():
        say(f"first step, {name}")
        begin = time.perf_counter()
        states = [initial_state(side.parts)]
        side.parts.backend.wait_for(None)
        feed = ConstantFeed(next(side.parts.make_feed()))
        ready = time.perf_counter()

        def run(lengths: list[int], side: Side = side, states: list = states, feed: ConstantFeed = feed) -> float:
            timed = time_steps(
                side.parts,
                side.parts.submission,
                feed,
                states,
                rules=rules,
                lengths=lengths,
                compile_watch=side.compile_watch,
                tick=side.tick,
            )
            return sum(block.seconds for block in timed.blocks)

        first = run([1])
        run([1])
        first_steps += [
            Quantity(f"initialization, {name}", SECONDS, ready - begin, note="and the first batch"),
            Quantity(f"first step, {name}", SECONDS, first, note="with tracing and compilation"),
        ]
        running[name] = run
    lengths = block_lengths(steps, -(-steps // ROUNDS))
    for number, length in enumerate(lengths, 1):
        say(f"round {number} of {len(lengths)}, {length} steps each")
        for name, run in running.items():
            begin = time.process_time()
            wall[name].append(run([length]) / length)
            processor[name].append((time.process_time() - begin) / length)
    note = f"{len(lengths)} rounds in turns"
    first, *others = sides
    return (
        *first_steps,
        *(median(f"step time, {name}", wall[name], note=note) for name in sides),
        *(median(f"processor time per step, {name}", processor[name]) for name in sides),
        *(_ratio(f"step time, {first} / {other}", wall[first], wall[other]) for other in others),
        *(_ratio(f"processor time, {first} / {other}", processor[first], processor[other]) for other in others),
    )


def _ratio(name: str, ours: list[float], others: list[float]) -> Quantity:
    """The median of the rounds' ratios."""
    return dataclasses.replace(median(name, [a / b for a, b in zip(ours, others, strict=True)]), unit=COUNT)
