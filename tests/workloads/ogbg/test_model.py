"""Tests of the network without reference numbers: shards, devices, dropout, variants."""

import functools
import itertools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import workloads
from algoperf_jax.errors import ConfigError
from algoperf_jax.workload import LossType, Workload
from tests.golden_support import COMPILE_QUICKLY
from tests.workloads.ogbg.molecule_columns import random_molecules
from torch_compat.models import ogbg as torch_ogbg
from workloads.ogbg import graph_batching, model
from workloads.ogbg.graph_batching import ShardBudget


@functools.cache
def small() -> tuple[Workload, Any]:
    """A small variant and parameters for it."""
    workload = workloads.load("ogbg", latent_dim=16, hidden_dims=(16, 24), num_message_passing_steps=2)
    return workload, jax.jit(workload.init, compiler_options=COMPILE_QUICKLY)(jax.random.PRNGKey(0))[0]


def evaluated(graph: Any) -> Any:
    """Logits of the small variant."""
    return apply(train=False)(small()[1], None, {"inputs": graph}, jax.random.PRNGKey(0))[0]


@functools.cache
def apply(*, train: bool) -> Any:
    """The forward pass of the small variant, compiled once for each shape of graphs."""
    forward = functools.partial(small()[0].apply, train=train, update_batch_norm=train)
    return jax.jit(forward, compiler_options=COMPILE_QUICKLY)


def small_batch(num_shards: int) -> dict[str, Any]:
    molecules = random_molecules(40)
    budget = ShardBudget(6)
    starts = graph_batching.fill_shards(molecules.num_nodes, molecules.num_bonds, budget)
    shards = [np.arange(start, stop) for start, stop in itertools.pairwise(starts[: num_shards + 1])]
    return graph_batching.pack(molecules, shards, budget)


def test_shards_are_independent_of_each_other() -> None:
    batch = small_batch(3)
    logits = evaluated(batch["inputs"])
    for shard in range(3):
        graph = jax.tree.map(lambda leaf, shard=shard: leaf[shard : shard + 1], batch["inputs"])
        alone = evaluated(graph)
        np.testing.assert_allclose(logits[7 * shard : 7 * shard + 7], alone, rtol=1e-5, atol=1e-6)


def test_a_flat_graph_is_one_shard() -> None:
    stacked = small_batch(1)["inputs"]
    flat = jax.tree.map(lambda leaf: leaf[0], stacked)
    np.testing.assert_allclose(evaluated(flat), evaluated(stacked), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("train", [False, True])
def test_the_forward_pass_needs_no_communication(train: bool) -> None:
    (workload, params), batch = small(), small_batch(8)
    mesh = Mesh(np.asarray(jax.devices()[:8]), ("batch",))
    replicated, along_batch = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("batch"))

    def forward(params: Any, batch: Any, rng: Any) -> Any:
        return workload.apply(params, None, batch, rng, train=train, update_batch_norm=train)[0]

    rng = jax.random.PRNGKey(1)
    jitted = jax.jit(
        forward,
        in_shardings=(replicated, along_batch, replicated),
        out_shardings=along_batch,
        compiler_options=COMPILE_QUICKLY,
    )
    compiled = jitted.lower(params, batch, rng).compile()
    program = compiled.as_text()
    assert program is not None
    assert not re.findall(r"all-gather|all-reduce|all-to-all|collective-permute|reduce-scatter", program)
    split = jax.device_put((params, batch, rng), (replicated, along_batch, replicated))
    alone, _ = apply(train=train)(params, None, batch, rng)
    np.testing.assert_allclose(compiled(*split), alone, rtol=1e-5, atol=1e-6)


def test_dropout_rate_may_be_traced() -> None:
    (workload, params), batch = small(), small_batch(1)

    traces = []

    @functools.partial(jax.jit, compiler_options=COMPILE_QUICKLY)
    def trained(rate: Any, rng: Any) -> Any:
        traces.append(rate)
        return workload.apply(params, None, batch, rng, train=True, update_batch_norm=True, dropout_rate=rate)[0]

    rng = jax.random.PRNGKey(1)
    expected = evaluated(batch["inputs"])
    np.testing.assert_allclose(trained(0.0, rng), expected, rtol=1e-5, atol=1e-6)
    by_default, _ = apply(train=True)(params, None, batch, rng)
    np.testing.assert_allclose(trained(0.1, rng), by_default, rtol=1e-5, atol=1e-6)
    assert not np.allclose(trained(0.1, rng), trained(0.0, rng))
    assert not np.allclose(trained(0.1, rng), trained(0.1, jax.random.PRNGKey(2)))
    assert len(traces) == 1


def test_every_hidden_layer_has_its_own_dropout() -> None:
    (workload, params), batch = small(), small_batch(1)
    apply = functools.partial(workload.apply, train=True, update_batch_norm=True)
    program = jax.make_jaxpr(apply)(params, None, batch, jax.random.PRNGKey(0))
    layers = [name for name in params if name.startswith("LayerNorm")]
    assert len(layers) == 12
    assert len(re.findall(r"random_bits\[", str(program))) == len(layers)


def test_facts_of_variants() -> None:
    for name, arguments, targets in (
        ("ogbg", {}, (0.28098, 0.268729)),
        ("ogbg_gelu", {}, (0.27771, 0.262926)),
        ("ogbg", {"activation": "gelu"}, (0.27771, 0.262926)),
        ("ogbg_silu", {}, (0.282178, 0.272144)),
        ("ogbg_model_size", {}, (0.269446, 0.253051)),
    ):
        workload = workloads.load(name, data_dir="/nowhere", **arguments)
        assert (workload.goal.validation, workload.goal.test) == targets
        assert workload.goal.metric == "mean_average_precision"
        assert workload.data.origin == "prepared"
        assert workload.budget.max_runtime_sec == 12_011
        assert workload.loss_type is LossType.SOFTMAX_CROSS_ENTROPY
        assert workload.output_parameters == ("Dense_18" if name == "ogbg_model_size" else "Dense_15",)


def test_unknown_activation() -> None:
    with pytest.raises(ConfigError, match="'relu'"):
        workloads.load("ogbg", activation="rellu")


def test_narrow_rows_are_added_up_without_stalling() -> None:
    """A submission may cast parameters or use autocast; 256 + 1 is 256 in bfloat16."""
    count, in_torch = 1000, torch.ones(1000, 1, dtype=torch.bfloat16)
    index = np.zeros(count, np.int32)
    ours = model._sum_at(jnp.ones((1, count, 1), jnp.bfloat16), jnp.asarray(index)[None], 2)
    theirs = torch_ogbg._sum_at(in_torch, torch.from_numpy(index), 2)
    assert (ours.dtype, theirs.dtype) == (jnp.bfloat16, torch.bfloat16)
    assert ours.reshape(-1).tolist() == theirs.reshape(-1).tolist() == [count, 0]
