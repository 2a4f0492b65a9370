"""The CTC loss with its gradient beside `optax.ctc_loss` under `jax.grad`, and the word error rates of a split.

`python -m workloads.speech.metrics_benchmark`. Both losses run in one process, in blocks that take turns. Processor
time is measured, not wall time, so that other work on the machine matters little; memory is what the compiler plans
besides the logits.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from workloads.speech.ctc import ctc_loss
from workloads.speech.wer import published_word_error_rate, word_error_rate

NUM_UTTERANCES = 5_348
"""Of the validation split."""
NUM_BLOCKS = 2


def by_optax(targets: jax.Array, target_paddings: jax.Array, logits: jax.Array, logit_paddings: jax.Array) -> jax.Array:
    """`optax.ctc_loss` with the arguments of ours."""
    return optax.ctc_loss(logits, logit_paddings, targets, target_paddings)


def gradient_of(loss: Callable[..., jax.Array]) -> Callable[..., Any]:
    """Loss and gradient, `(targets, target_paddings, logits, logit_paddings) -> (loss, gradient)`."""

    def summed(logits: jax.Array, targets: jax.Array, target_paddings: jax.Array, logit_paddings: jax.Array) -> Any:
        return loss(targets, target_paddings, logits, logit_paddings).sum()

    return lambda targets, target_paddings, logits, logit_paddings: jax.value_and_grad(summed)(
        logits, targets, target_paddings, logit_paddings
    )


def random_batch(batch: int, frames: int, vocabulary: int, labels: int) -> tuple[jax.Array, ...]:
    """Utterances of 60 to 100 percent of the frames and labels."""
    rng = np.random.default_rng(0)
    shares = rng.uniform(0.6, 1.0, (batch, 1))
    return (
        jnp.asarray(rng.integers(1, vocabulary, (batch, labels)), jnp.int32),
        jnp.asarray(np.arange(labels) >= shares * labels, jnp.float32),
        jnp.asarray(rng.standard_normal((batch, frames, vocabulary), np.float32)),
        jnp.asarray(np.arange(frames) >= shares * frames, jnp.float32),
    )


def random_texts(count: int) -> tuple[list[str], list[str]]:
    """Hypotheses and references of 20 words on average, of which one in ten is wrong."""
    rng = np.random.default_rng(0)
    references = [rng.integers(0, 10_000, length) for length in rng.integers(1, 40, count)]
    hypotheses = [np.where(rng.random(len(words)) < 0.1, -1, words) for words in references]
    found, expected = (
        [" ".join(f"W{word}" for word in words) for words in texts] for texts in (hypotheses, references)
    )
    return found, expected


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m workloads.speech.metrics_benchmark", description=__doc__)
    for name, value in (("batch", 32), ("frames", 500), ("vocabulary", 1024), ("labels", 100), ("repetitions", 5)):
        parser.add_argument(f"--{name}", type=int, default=value, help="default: %(default)s")
    options = parser.parse_args(arguments)
    inputs = random_batch(options.batch, options.frames, options.vocabulary, options.labels)
    compiled = {}
    for name, loss in (("ours", ctc_loss), ("optax", by_optax)):
        begin = time.process_time()
        compiled[name] = jax.jit(gradient_of(loss)).lower(*inputs).compile()
        print(f"{name}: compiled in {time.process_time() - begin:.2f} s")
        jax.block_until_ready(compiled[name](*inputs))
    seconds: dict[str, list[float]] = {name: [] for name in compiled}
    for name, compute in [*compiled.items()] * NUM_BLOCKS:
        # As in training, where a step follows another one like it.
        jax.block_until_ready(compute(*inputs))
        for _ in range(options.repetitions):
            begin = time.process_time()
            jax.block_until_ready(compute(*inputs))
            seconds[name].append(time.process_time() - begin)
    fastest = {name: min(times) for name, times in seconds.items()}
    memory = {name: _megabytes(compute.memory_analysis()) for name, compute in compiled.items()}
    for name in compiled:
        print(f"{name}: {1e3 * fastest[name]:.1f} ms of a processor, {memory[name]:.1f} MB besides the logits")
    print(f"ratio: {fastest['ours'] / fastest['optax']:.3f} in time, {memory['ours'] / memory['optax']:.3f} in memory")

    texts = random_texts(NUM_UTTERANCES)
    for rate in (published_word_error_rate, word_error_rate):
        begin = time.process_time()
        rate(*texts)
        print(f"{rate.__name__} of {NUM_UTTERANCES:,} utterances: {1e3 * (time.process_time() - begin):.0f} ms")


def _megabytes(analysis: Any) -> float:
    """The memory of intermediate values and results."""
    return (analysis.temp_size_in_bytes + analysis.output_size_in_bytes) / 1e6


if __name__ == "__main__":
    main()
