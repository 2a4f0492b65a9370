"""What each workload computes, by the digest of its compiler input (StableHLO), see `dataflow`.

The digest is that of one training step with the ready-made `nadamw`. A change that only moves code must not change it.
Nothing is compiled except the optimizer's initial state, and nothing is trained.

    python -m tests.test_programs [NAME ...]

records the digests of these workloads, or of all, in `tests/golden/programs.json`. All belong to one version of JAX.
"""

import argparse
import functools
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import workloads
from algoperf_jax.algorithms import nadamw
from algoperf_jax.framework.jax_view import JaxView
from algoperf_jax.submission.optax_factory import make_functions
from algoperf_jax.workload import Placement
from tests import dataflow

RECORDED = pathlib.Path(__file__).parent / "golden" / "programs.json"
COMMAND = "python -m tests.test_programs"
SMALLEST_BATCH = {"ogbg": 24}
"""By base name; the default is 2."""
ARGUMENTS: Mapping[str, Mapping[str, Any]] = {"criteo1tb": {"vocab_size": 65_536}}
"""By base name, for models that would take gigabytes; the size of the table changes nothing else."""


def training_step(name: str) -> jax.stages.Lowered:
    """The training step of a workload or variant on one device, lowered."""
    workload = workloads.load(name, **ARGUMENTS.get(workloads.base_name(name), {}))
    size = SMALLEST_BATCH.get(workload.base_name, 2)
    batch = dict(workload.data.open("train", batch_size=size, seed=1, placement=Placement()).finished(0))
    key = jax.ShapeDtypeStruct((2,), np.uint32)
    params, state = jax.tree.map(
        lambda leaf: jax.device_put(np.zeros(leaf.shape, leaf.dtype)), jax.eval_shape(workload.init, key)
    )
    functions = make_functions(nadamw.make_optimizer)
    optimizer_state, step, _ = functions.init_optimizer_state(
        JaxView(workload), params, state, nadamw.Hyperparameters(), None
    )
    return step.lower(params, state, optimizer_state, batch, key)  # pyright: ignore[reportFunctionMemberAccess]


def digest(lowered: jax.stages.Lowered) -> str:
    return dataflow.digest(lowered.compiler_ir())


def cost(lowered: jax.stages.Lowered) -> dict[str, float]:
    """The compiler's estimate before optimization."""
    analysis: Mapping[str, float] = lowered.cost_analysis()  # pyright: ignore[reportAssignmentType]
    return {quantity: analysis[quantity] for quantity in ("flops", "bytes accessed")}


@pytest.mark.slow
@pytest.mark.parametrize("name", workloads.names())
def test_the_training_step_is_the_one_recorded(name: str) -> None:
    recorded = json.loads(RECORDED.read_text())
    if recorded["jax"] != jax.__version__:
        pytest.skip(f"the programs of jax {recorded['jax']} are recorded, not those of {jax.__version__}")
    assert name in recorded["programs"], f"no digest is recorded for {name}; record it with: {COMMAND} {name}"
    expected = recorded["programs"][name]
    with jax.default_matmul_precision("highest"):
        lowered = training_step(name)
    if digest(lowered) != expected["sha256"]:
        was, now = ({key: known[key] for key in cost(lowered)} for known in (expected, cost(lowered)))
        pytest.fail(
            f"the training step of {name} has changed: it cost {was}, and now costs {now}\n"
            f"If this change is intended, mention it in CHANGELOG.md and record the program with: {COMMAND} {name}"
        )


def test_how_a_program_is_written_does_not_matter_but_what_it_computes() -> None:
    def both(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        doubled, sine = jax.jit(lambda x: 2 * x)(x), jnp.sin(x)
        return doubled, sine

    def otherwise(y: jax.Array) -> dict[str, jax.Array]:
        sine, in_vain = jnp.sin(y), jnp.cos(y)
        del in_vain
        return {"a": 2 * y, "b": sine}

    def loop(x: jax.Array, factor: float) -> jax.Array:
        return jax.lax.fori_loop(0, 3, lambda i, y: factor * jnp.sin(y) + x, x)

    vector, longer = (jax.device_put(np.zeros(size, np.float32)) for size in (3, 4))
    expected = digest(jax.jit(both).lower(vector))
    assert digest(jax.jit(otherwise, donate_argnums=0, out_shardings=vector.sharding).lower(vector)) == expected
    others = [
        jax.jit(both).lower(longer),
        jax.jit(lambda x: both(x)[::-1]).lower(vector),
        jax.jit(lambda x: (3 * x, jnp.sin(x))).lower(vector),
        jax.jit(lambda x: (2 * x, jnp.cos(x))).lower(vector),
        *(jax.jit(functools.partial(loop, factor=factor)).lower(vector) for factor in (2.0, 3.0)),
        jax.jit(lambda x: loop(2 * x, 2.0)).lower(vector),
    ]
    digests = [expected, *map(digest, others)]
    assert len(set(digests)) == len(digests)


def record(names: Sequence[str]) -> None:
    recorded = json.loads(RECORDED.read_text())
    if recorded["jax"] != jax.__version__:
        recorded, names = {"jax": jax.__version__, "programs": {}}, ()
    found = recorded["programs"]
    with jax.default_matmul_precision("highest"):
        for name in names or workloads.names():
            lowered = training_step(name)
            found[name] = {"sha256": digest(lowered), **cost(lowered)}
    ordered = {name: found[name] for name in workloads.names()}
    RECORDED.write_text(json.dumps({"jax": jax.__version__, "programs": ordered}, indent=1) + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog=COMMAND, description="Records what the training step of workloads computes.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a workload or variant (default: all)")
    record(parser.parse_args(arguments).names)


if __name__ == "__main__":
    main()
