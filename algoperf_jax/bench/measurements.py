"""Measures one workload with one submission on the available devices."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from algoperf_jax.assembly import Parts, initial_state
from algoperf_jax.bench.steps import ConstantFeed, Tick, TimedSteps, block_lengths, time_steps
from algoperf_jax.data.feed import iterate
from algoperf_jax.devices.compile_watch import CompileWatch
from algoperf_jax.quantities import (
    BATCHES_PER_SECOND,
    BYTES,
    COUNT,
    EXAMPLES_PER_SECOND,
    SECONDS,
    Quantity,
    median,
)
from algoperf_jax.submission.interface import Submission
from algoperf_jax.trial.rules import TimingRules
from algoperf_jax.trial.run_state import RunState
from algoperf_jax.workload import EVALUATION_SPLITS, Batch

BLOCK_STEPS = 10
"""Steps between synchronizations: enough for the host to run ahead of the devices as it does in a trial."""
TRANSFERS = 10
HARNESS_STEPS = 1000
HARNESS_BLOCK_STEPS = 50


def measure(
    parts: Parts,
    rules: TimingRules,
    *,
    steps: int,
    compile_watch: CompileWatch,
    tick: Tick,
    say: Callable[[str], None] = lambda line: None,
) -> tuple[Quantity, ...]:
    """Takes all measurements, one after another.

    Args:
      parts: a trial's parts, not used before.
      rules: the timing rules.
      steps: number of training steps or host batches per measurement, after its warm-up.
      compile_watch: counts compilations.
      tick: called after each step, as in a trial, for example to show progress.
      say: called with the name of the next measurement.

    Raises:
      RunError: the submission failed.
      SubmissionError: the submission failed.
    """
    say("input pipeline alone")
    input_alone, real_examples = _input_alone(parts, steps)
    lengths = block_lengths(steps, BLOCK_STEPS)
    warm_up = lengths[0]

    say("first step")
    feed = parts.make_feed()
    compiled = compile_watch.count, compile_watch.seconds
    start = time.perf_counter()
    states = [initial_state(parts)]
    parts.backend.wait_for(None)
    initialization = time.perf_counter() - start
    compiled = compile_watch.count - compiled[0], compile_watch.seconds - compiled[1]

    def timed(submission: Submission, feed: Any, lengths: list[int]) -> TimedSteps:
        return time_steps(
            parts, submission, feed, states, rules=rules, lengths=lengths, compile_watch=compile_watch, tick=tick
        )

    say(f"{steps} steps")
    training = timed(parts.submission, feed, [1, warm_up, *lengths])
    constant_feed = ConstantFeed(next(feed))
    say(f"{steps} steps on a constant batch")
    constant = timed(parts.submission, constant_feed, [warm_up, *lengths])
    say(f"{HARNESS_STEPS} steps that do nothing")
    harness_lengths = [HARNESS_BLOCK_STEPS, *block_lengths(HARNESS_STEPS, HARNESS_BLOCK_STEPS)]
    harness = timed(_idle(parts.submission), constant_feed, harness_lengths)
    return (
        *_first_step(initialization, compiled, training),
        *_step_time("", training, 2, real_examples),
        median(
            "waiting for input per step",
            [block.waiting / block.steps for block in training.blocks[2:]],
            note="time in next(input_queue), part of the step time",
        ),
        *_step_time(", constant batch", constant, 1, real_examples),
        *input_alone,
        _batch_transfer(parts, steps),
        *_evaluation(parts, states[0], compile_watch, say),
        median(
            "harness per step",
            [block.seconds / block.steps for block in harness.blocks[1:]],
            note="the loop with a submission that does nothing",
        ),
        *(Quantity(f"peak memory, {where}", BYTES, size) for where, size in parts.backend.memory_peak_bytes().items()),
    )


def real_example_count(batch: Batch) -> int:
    """The number of examples in a host batch that are not padding, i.e. have a nonzero weight."""
    weights = np.asarray(batch["weights"])
    return int((weights.reshape(len(weights), -1) != 0).any(axis=1).sum())


def _first_step(initialization: float, compiled: tuple[int, float], training: TimedSteps) -> tuple[Quantity, ...]:
    first = [found for found in training.compilations if found.step == 1]
    later = [found for found in training.compilations if found.step > 1]
    return (
        Quantity("initialization", SECONDS, initialization, note="parameters and optimizer state, with compilation"),
        Quantity(
            "time to first step",
            SECONDS,
            initialization + training.blocks[0].seconds,
            note="from the beginning of the initialization",
        ),
        Quantity("compilation until first step", SECONDS, compiled[1] + sum(found.seconds for found in first)),
        Quantity("programs compiled until first step", COUNT, compiled[0] + sum(found.programs for found in first)),
        Quantity("compilation after first step", SECONDS, sum(found.seconds for found in later)),
        Quantity(
            "programs compiled after first step",
            COUNT,
            sum(found.programs for found in later),
            note=f"in step {', '.join(str(found.step) for found in later)}" if later else "",
        ),
    )


def _step_time(suffix: str, timed: TimedSteps, warm_up_blocks: int, examples: float) -> tuple[Quantity, ...]:
    blocks = timed.blocks[warm_up_blocks:]
    step_time = median(
        f"step time{suffix}",
        [block.seconds / block.steps for block in blocks],
        note=f"blocks of {blocks[0].steps} steps",
    )
    rate = Quantity(f"examples per second{suffix}", EXAMPLES_PER_SECOND, examples / step_time.value)
    return step_time, rate


def _input_alone(parts: Parts, steps: int) -> tuple[tuple[Quantity, ...], float]:
    """Measures host batches without devices; also returns the mean number of real examples per batch."""
    batches = iterate(parts.reader.batch, parts.reader.num_batches, parts.feed_options)
    size = sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(next(batches)))
    # Batches made before the first request must not count.
    for _ in range(parts.feed_options.batches_ahead):
        next(batches)
    seconds, examples = [], []
    for length in block_lengths(steps, BLOCK_STEPS):
        start = time.perf_counter()
        block = [next(batches) for _ in range(length)]
        seconds.append((time.perf_counter() - start) / length)
        examples += map(real_example_count, block)
    mean_examples = float(np.mean(examples))
    batch_time = median("input pipeline per batch", seconds, note="alone, on the host")
    quantities = (
        batch_time,
        Quantity("input batches per second", BATCHES_PER_SECOND, 1 / batch_time.value),
        Quantity("input examples per second", EXAMPLES_PER_SECOND, mean_examples / batch_time.value),
        Quantity("bytes per batch", BYTES, size),
        Quantity("examples per batch", COUNT, mean_examples, note="mean, without padding"),
    )
    return quantities, mean_examples


def _batch_transfer(parts: Parts, steps: int) -> Quantity:
    """Measures the way from host batches to the submission's batches, which a trial does in the feed's threads."""
    batch = parts.reader.batch(0)
    reader = dataclasses.replace(parts.reader, batch=lambda k: batch)
    reader.put(0, parts.backend.put_batch)
    parts.backend.wait_for(None)
    seconds = []
    for length in block_lengths(steps, BLOCK_STEPS):
        start = time.perf_counter()
        batches = [reader.put(k, parts.backend.put_batch) for k in range(length)]
        parts.backend.wait_for(batches)
        seconds.append((time.perf_counter() - start) / length)
    return median("batch to the framework", seconds, note="layout, types and transfer, alone")


def _evaluation(
    parts: Parts, state: RunState, compile_watch: CompileWatch, say: Callable[[str], None]
) -> list[Quantity]:
    key = parts.backend.step_keys(state.rng, state.step).evaluation
    seconds = []
    for _ in range(1 + TRANSFERS):
        start = time.perf_counter()
        found = parts.backend.for_evaluation(state.params, state.model_state)
        params, model_state = jax.block_until_ready(parts.evaluator.place(*found))
        seconds.append(time.perf_counter() - start)
    # The first call compiles.
    quantities = [median("parameters to the evaluation", seconds[1:], note="at each evaluation")]
    for split in EVALUATION_SPLITS:
        if parts.workload.split_sizes.get(split) is None:
            continue
        for occasion in ("first", "second"):
            say(f"{occasion} evaluation of {split}")
            count, compiling = compile_watch.count, compile_watch.seconds
            start = time.perf_counter()
            parts.evaluator.split(split, params, model_state, key)
            seconds = time.perf_counter() - start
            count, compiling = compile_watch.count - count, compile_watch.seconds - compiling
            note = f"compilation {compiling:.2f} s" if count else ""
            quantities.append(Quantity(f"evaluation of {split}, {occasion}", SECONDS, seconds, note=note))
    return quantities


def _idle(submission: Submission) -> Submission:
    """A submission that fetches a batch and does nothing with it."""

    def data_selection(workload: Any, input_queue: Any, *rest: Any) -> Any:
        del workload, rest
        return next(input_queue)

    def update_params(
        *, optimizer_state: Any, current_param_container: Any, model_state: Any, train_state: Any, **rest: Any
    ) -> tuple[Any, Any, Any]:
        del train_state, rest
        return optimizer_state, current_param_container, model_state

    return dataclasses.replace(
        submission, name="idle", data_selection=data_selection, update_params=update_params, prepare_for_eval=None
    )
