"""The training step of criteo1tb beside its plain form, what its parts cost, and the least that they can.

`python -m tests.workloads.criteo1tb.step_benchmark`. Both forms run in one process, in blocks that take turns, with
AdamW. Wall time is that of an idle machine only; processor time is shown beside it.
"""

import argparse
import contextlib
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import workloads
from algoperf_jax import parameters
from algoperf_jax.workload import Placement, Workload
from tests.workloads.criteo1tb import plain_model
from workloads.criteo1tb.embedding import embedding_lookup, sorted_sums, unsorted_sums
from workloads.criteo1tb.interaction import dot_interaction
from workloads.criteo1tb.schema import NUM_CATEGORIES, NUM_INTEGERS
from workloads.criteo1tb.workload import SIZES

NUM_BLOCKS = 3
COUNT = 1 + NUM_CATEGORIES
"""Vectors that are multiplied in pairs."""
Run = Callable[[], Any]
Seconds = tuple[float, float]
"""Of the clock and of the processors."""


def step_of(workload: Workload, batch: Any, *, plain: bool) -> Run:
    """A compiled training step with its own state, which each call replaces."""
    optimizer = optax.adamw(1e-3)

    def objective(params: Any, batch: Any) -> Any:
        logits, _ = workload.apply(params, None, batch, jax.random.PRNGKey(0), train=True, update_batch_norm=True)
        loss = workload.loss(batch["targets"], logits, batch["weights"])
        return loss.summed / loss.n_valid_examples

    def step(params: Any, state: Any, batch: Any) -> tuple[Any, Any]:
        updates, state = optimizer.update(jax.grad(objective)(params, batch), state, params)
        return optax.apply_updates(params, updates), state

    params, _ = workload.init(jax.random.PRNGKey(0))
    with plain_model.plain() if plain else contextlib.nullcontext():
        return _in_turn(step, params, optimizer.init(params), batch)


def _in_turn(step: Callable[..., Any], params: Any, state: Any, batch: Any) -> Run:
    """Calls of `step`, each with what the one before returned."""
    compiled = jax.jit(step, donate_argnums=(0, 1)).lower(params, state, batch).compile()
    held = [params, state]

    def run() -> Any:
        held[:] = compiled(*held, batch)
        return held

    return run


def parts(workload: Workload, batch: Any) -> dict[str, Run]:
    """What a step consists of, each forward and backward."""
    architecture = workload.model_arguments["architecture"]
    count, width = architecture.vocab_size, architecture.size.width
    rng = np.random.default_rng(0)
    ids = (batch["inputs"][:, NUM_INTEGERS:].astype(jnp.int32) % count).reshape(-1)
    vectors = jnp.asarray(rng.standard_normal((len(batch["inputs"]), COUNT, width), np.float32))
    products = jnp.asarray(rng.standard_normal((len(vectors), COUNT * (COUNT + 1) // 2), np.float32))
    rows = vectors[:, 1:].reshape(-1, width)
    dense, _ = workloads.load("criteo1tb", **_arguments(workload, vocab_size=1)).init(jax.random.PRNGKey(0))
    del dense["embedding_table"]
    integers, num_bottom = batch["inputs"][:, :NUM_INTEGERS], len(architecture.bottom_widths)

    def of_pairs(form: Callable[..., Any]) -> Run:
        return functools.partial(jax.jit(lambda v, p: jax.vjp(form, v)[1](p)), vectors, products)

    def forward_of_pairs(form: Callable[..., Any]) -> Run:
        return functools.partial(jax.jit(form), vectors)

    def sums(form: Callable[..., Any]) -> Run:
        return functools.partial(jax.jit(lambda rows, ids: form(rows, ids, count)), rows, ids)

    return {
        "perceptrons": functools.partial(
            jax.jit(jax.value_and_grad(functools.partial(_perceptrons, num_bottom), argnums=(0, 2))),
            dense,
            integers,
            products,
        ),
        "products of pairs": forward_of_pairs(dot_interaction),
        "products of pairs, plain": forward_of_pairs(plain_model.dot_interaction),
        "derivative of the products": of_pairs(dot_interaction),
        "derivative of the products, plain": of_pairs(plain_model.dot_interaction),
        "rows of the table": functools.partial(jax.jit(embedding_lookup), jnp.zeros((count, width)), ids),
        "gradient of the table in the order of the batch": sums(unsorted_sums),
        "gradient of the table, sorted": sums(sorted_sums),
    }


def _perceptrons(num_bottom: int, dense: Any, integers: Any, products: Any) -> Any:
    hidden = integers
    for number in range(len(dense)):
        hidden = hidden if number != num_bottom else jnp.concatenate([hidden, products], axis=1)
        layer = dense[f"Dense_{number}"]
        hidden = jax.nn.relu(hidden @ layer["kernel"] + layer["bias"])
    return hidden.sum()


def _arguments(workload: Workload, **changes: Any) -> dict[str, Any]:
    architecture = workload.model_arguments["architecture"]
    size = next(name for name, size in SIZES.items() if size == architecture.size)
    return {"vocab_size": architecture.vocab_size, "size": size, **changes}


def floor(workload: Workload, batch_size: int) -> dict[str, float]:
    """Operations and bytes that a step cannot do without."""
    architecture = workload.model_arguments["architecture"]
    shapes, _ = jax.eval_shape(workload.init, jax.random.PRNGKey(0))
    kernels = sum(
        int(np.prod(leaf.shape)) for path, leaf in parameters.paths(shapes).items() if path.endswith("kernel")
    )
    table, width = architecture.vocab_size * architecture.size.width, architecture.size.width
    pairs = COUNT * (COUNT + 1) // 2
    return {
        "operations of the perceptrons, 10^9": 3 * 2 * kernels * batch_size / 1e9,
        # The products forward, and each vector with all others backward.
        "operations of the pairs, 10^9": 2 * (pairs + COUNT * COUNT) * width * batch_size / 1e9,
        "bytes of rows looked up and of their cotangents, 10^6": 2 * 4 * 26 * width * batch_size / 1e6,
        "bytes of the gradient, written and read, 10^6": 2 * 4 * table / 1e6,
        "bytes of table and moments, read and written, 10^6": 6 * 4 * table / 1e6,
    }


def fastest(runs: Mapping[str, Run], repetitions: int) -> dict[str, Seconds]:
    """The shortest times of each, measured in blocks that take turns."""
    for run in runs.values():
        jax.block_until_ready(run())
    seconds: dict[str, list[Seconds]] = {name: [] for name in runs}
    for name, run in [*runs.items()] * NUM_BLOCKS:
        for _ in range(repetitions):
            wall, processor = time.perf_counter(), time.process_time()
            jax.block_until_ready(run())
            seconds[name].append((time.perf_counter() - wall, time.process_time() - processor))
    return {name: (min(s[0] for s in found), min(s[1] for s in found)) for name, found in seconds.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    command = "python -m tests.workloads.criteo1tb.step_benchmark"
    parser = argparse.ArgumentParser(prog=command, description=__doc__)
    for name, value in (("vocab_size", 65_536), ("batch_size", 4_096), ("repetitions", 3)):
        parser.add_argument(f"--{name}", type=int, default=value, help="default: %(default)s")
    parser.add_argument("--size", default="full", help="of the layers (default: %(default)s)")
    parser.add_argument("--parts_only", action="store_true", help="only the parts, for tables too large for a step")
    options = parser.parse_args(arguments)
    workload = workloads.load("criteo1tb", vocab_size=options.vocab_size, size=options.size)
    reader = workload.data.open("train", batch_size=options.batch_size, seed=0, placement=Placement())
    batch = jax.tree.map(jnp.asarray, dict(reader.finished(0)))
    for what, value in floor(workload, options.batch_size).items():
        print(f"{what}: {value:,.2f}")
    with jax.default_matmul_precision("highest"):
        runs = parts(workload, batch)
        if not options.parts_only:
            runs["step, here"] = step_of(workload, batch, plain=False)
            runs["step, plain"] = step_of(workload, batch, plain=True)
        found = fastest(runs, options.repetitions)
    for name, (wall, processor) in found.items():
        print(f"{name}: {1e3 * wall:.1f} ms, {1e3 * processor:.1f} ms of the processors")
    if not options.parts_only:
        ratios = [here / plain for here, plain in zip(found["step, here"], found["step, plain"], strict=True)]
        print(f"ratio: {ratios[0]:.3f}, {ratios[1]:.3f} of the processors")


if __name__ == "__main__":
    main()
