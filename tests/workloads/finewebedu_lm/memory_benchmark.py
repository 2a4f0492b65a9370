"""Memory of a training step of the full language model, compiled and not run.

    python -m tests.workloads.finewebedu_lm.memory_benchmark

compares the model and its loss with the same ones written plainly, where differentiation decides what is kept.
"""

import argparse
import contextlib
import functools
import inspect
from collections.abc import Iterator, Sequence
from typing import Any
from unittest import mock

import jax
import optax

from algoperf_jax.workload import LossFunction, Parameters
from workloads import losses
from workloads.finewebedu_lm import loss as lm_loss
from workloads.finewebedu_lm import model
from workloads.finewebedu_lm.architecture import FULL, Architecture


def step_bytes(architecture: Architecture, loss: LossFunction, batch_size: int) -> int:
    """Peak memory of a step with AdamW, with parameters, both moments and gradients."""
    optimizer = optax.adamw(1e-3)

    def step(params: Parameters, state: Any, tokens: jax.Array) -> Any:
        def mean(params: Parameters) -> Any:
            found = loss(tokens, model.predict(architecture, params, tokens))
            return found.summed / found.n_valid_examples

        updates, state = optimizer.update(jax.grad(mean)(params), state, params)
        return optax.apply_updates(params, updates), state

    jax.clear_caches()  # the model's functions may have been exchanged
    params = jax.eval_shape(functools.partial(model.draw, architecture), jax.ShapeDtypeStruct((2,), "uint32"))
    tokens = jax.ShapeDtypeStruct((batch_size, architecture.max_length), "int32")
    lowered = jax.jit(step, donate_argnums=(0, 1)).lower(params, jax.eval_shape(optimizer.init, params), tokens)
    analysis = lowered.compile().memory_analysis()
    assert analysis is not None
    return analysis.argument_size_in_bytes + analysis.temp_size_in_bytes


@contextlib.contextmanager
def plainly() -> Iterator[None]:
    """The model without `recomputed`."""
    names = ("_project", "_attend", "_expand", "_contract")
    with contextlib.ExitStack() as stack:
        for name in names:
            stack.enter_context(mock.patch.object(model, name, inspect.unwrap(getattr(model, name))))
        yield


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.workloads.finewebedu_lm.memory_benchmark")
    parser.add_argument("--batch_size", type=int, default=8, help="rows of 1,024 tokens (default: 8)")
    batch_size = parser.parse_args(arguments).batch_size
    with plainly():
        plain = step_bytes(FULL, losses.softmax_cross_entropy, batch_size)
    with_own_loss = step_bytes(FULL, lm_loss.loss, batch_size)
    print(f"plain: {plain / 1e9:.1f} GB; here: {with_own_loss / 1e9:.1f} GB; ratio {with_own_loss / plain:.2f}")


if __name__ == "__main__":
    main()
