"""What every workload and variant promises, on its built-in data, large models at a reduced size.

A new workload joins by its name in the registry and its `case.py`.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import workloads
from algoperf_jax import parameters
from algoperf_jax.workload import (
    EVALUATION_SPLITS,
    ArraySpec,
    Batch,
    Partial,
    Placement,
    Schema,
    SplitName,
    SplitReader,
    Workload,
)
from tests import golden_support
from tests.workloads import reduced, sequences
from tests.workloads.case import Case
from tests.workloads.golden_batches import BATCHES, CASES

NAMES = [
    name
    for name in workloads.names()
    if workloads.variant(name).arguments != CASES[workloads.base_name(name)].reduced.get("")
]
"""Without the variants that other models are reduced to here."""
ALL_CASES = {**CASES, **dict.fromkeys(sequences.ENTRIES, Case())}
BASE_NAMES = list(ALL_CASES)
SPLITS_OF = [(name, split) for name in BASE_NAMES for split in ALL_CASES[name].splits]
MODELS = [*NAMES, *sequences.ENTRIES]
"""The workloads of the project, and two that use every freedom that the contract leaves."""
ROUNDING = 5e-8
"""What may be left of gradients that are zero, such as those of biases that move all scores of a query alike; it was up
to 2e-8 in librispeech_conformer."""


@pytest.fixture(autouse=True, scope="module")
def registered() -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for name, entry in sequences.ENTRIES.items():
            stack.enter_context(workloads.registered(name, entry))
        yield


def load(name: str) -> Workload:
    return workloads.load(name) if name in sequences.ENTRIES else reduced.load(name)


@functools.cache
def workload_of(name: str) -> Workload:
    return load(name)


def batch_size(name: str) -> int:
    return ALL_CASES[workloads.base_name(name)].smallest_batch


def opened(
    workload: Workload, split: SplitName = "train", *, seed: int = 1, placement: Placement = Placement(), size: int = 0
) -> SplitReader:
    size = size or batch_size(workload.base_name)
    return workload.data.open(split, batch_size=size, seed=seed, placement=placement)


@functools.cache
def recipe_state(name: str) -> tuple[Any, Any]:
    return golden_support.recipe_state(workload_of(name))


def assert_trees_equal(one: Any, other: Any) -> None:
    assert jax.tree.structure(one) == jax.tree.structure(other)
    jax.tree.map(np.testing.assert_array_equal, one, other)


def trees_differ(one: Any, other: Any) -> bool:
    return any(not np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))


# --- batches as rows ------------------------------------------------------------------------------------------------
# The leading axis of the inputs counts rows: examples, or shards of graphs. Each row has its own equal part of targets
# and weights.


def num_rows(batch: Batch) -> int:
    return len(jax.tree.leaves(batch["inputs"])[0])


def take_rows(batch: Batch, rows: np.ndarray) -> dict[str, Any]:
    count = num_rows(batch)

    def take(leaf: np.ndarray) -> np.ndarray:
        split = leaf.reshape(count, len(leaf) // count, *leaf.shape[1:])[rows]
        return split.reshape(-1, *leaf.shape[1:])

    return jax.tree.map(take, dict(batch))


def joined(batches: list[Batch]) -> dict[str, Any]:
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *(dict(batch) for batch in batches))


# --- model ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_shapes_and_dtypes(name: str) -> None:
    workload, batch = workload_of(name), opened(workload_of(name)).finished(0)
    key = jax.random.PRNGKey(0)
    params, state = jax.eval_shape(workload.init, key)
    assert {leaf.dtype for leaf in jax.tree.leaves((params, state))} == {np.dtype(np.float32)}
    assert len(jax.tree.leaves(parameters.types(params))) == len(jax.tree.leaves(params))
    assert set(workload.output_parameters) <= set(params)

    for train in (True, False):
        forward = functools.partial(workload.apply, train=train, update_batch_norm=train)
        logits, new_state = jax.eval_shape(forward, params, state, batch, key)
        # What comes with the logits, such as paddings, has their batch axis too.
        assert {leaf.dtype for leaf in jax.tree.leaves(logits)} == {np.dtype(np.float32)}
        assert len({len(leaf) for leaf in jax.tree.leaves((logits, batch["targets"]))}) == 1
        assert parameter_shapes(new_state) == parameter_shapes(state)
        loss = jax.eval_shape(workload.loss, batch["targets"], logits, batch["weights"])
        assert loss.summed.shape == loss.n_valid_examples.shape == ()
        assert loss.per_example.shape == batch["weights"].shape
        assert {leaf.dtype for leaf in loss} == {np.dtype(np.float32)}


def parameter_shapes(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)


class Step(NamedTuple):
    params: Any
    state: Any
    loss: Any
    grads: Any


def sharded_step(workload: Workload, num_devices: int) -> tuple[Any, Callable[[Any], Any], Callable[[Any], Any]]:
    """A gradient step over a mesh of `num_devices`, and functions that replicate arrays and split batches on it."""
    mesh = Mesh(np.asarray(jax.devices()[:num_devices]), ("batch",))
    replicated, along_batch = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("batch"))

    def step(params: Any, state: Any, batch: Batch, rng: Any) -> Step:
        def objective(params: Any) -> tuple[Any, Any]:
            logits, new_state = workload.apply(params, state, batch, rng, train=True, update_batch_norm=True)
            loss = workload.loss(batch["targets"], logits, batch["weights"])
            return loss.summed / loss.n_valid_examples, new_state

        (loss, new_state), grads = jax.value_and_grad(objective, has_aux=True)(params)
        return Step(jax.tree.map(lambda p, g: p - 1e-3 * g, params, grads), new_state, loss, grads)

    jitted = jax.jit(
        step,
        in_shardings=(replicated, replicated, along_batch, replicated),
        out_shardings=replicated,
        compiler_options=golden_support.COMPILE_QUICKLY if ALL_CASES[workload.base_name].compiles_quickly else None,
    )
    return jitted, lambda tree: jax.device_put(tree, replicated), lambda batch: jax.device_put(batch, along_batch)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_training_step_on_one_and_on_eight_devices(name: str) -> None:
    """Finite gradients, the same numbers on any number of devices, and one compilation for each shape of batch."""
    workload, (params, state) = workload_of(name), recipe_state(name)
    reader = opened(workload, placement=Placement(device_count=8))
    first: list[Step] = []
    for num_devices in (1, 8):
        step, replicate, split = sharded_step(workload, num_devices)
        keys = [replicate(jax.random.PRNGKey(k)) for k in range(2)]
        result = step(replicate(params), replicate(state), split(reader.finished(0)), keys[0])
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(result))
        assert any(np.any(leaf) for leaf in jax.tree.leaves(result.grads))
        step(result.params, result.state, split(reader.finished(1)), keys[1])
        shapes = {tuple(leaf.shape for leaf in jax.tree.leaves(reader.finished(k))) for k in range(2)}
        assert step._cache_size() == len(shapes)
        first.append(jax.device_get(result))
    one, eight = (result._replace(params=None) for result in first)
    case = ALL_CASES[workload.base_name]
    rtol = case.devices_rtol

    def same(a: np.ndarray, b: np.ndarray) -> None:
        if case.compares_norms:
            assert np.linalg.norm(b - a) <= rtol * np.linalg.norm(a)
        else:
            np.testing.assert_allclose(b, a, rtol=0, atol=max(rtol * np.abs(a).max(), ROUNDING))

    jax.tree.map(same, one, eight)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_padding_and_order_do_not_matter(name: str) -> None:
    workload, (params, state) = workload_of(name), recipe_state(name)
    batch = opened(workload, "validation", placement=Placement(device_count=8)).finished(0)
    rows = np.arange(num_rows(batch))
    padding = take_rows(batch, rows[:1].repeat(len(rows)))
    padding["weights"] = np.zeros_like(padding["weights"])

    @functools.partial(jax.jit, compiler_options=golden_support.COMPILE_QUICKLY)
    def judge(params: Any, state: Any, batch: Batch) -> tuple[Any, Any, Partial]:
        key = jax.random.PRNGKey(0)
        logits, _ = workload.apply(params, state, batch, key, train=False, update_batch_norm=False)
        loss = workload.loss(batch["targets"], logits, batch["weights"])
        return loss.summed, loss.n_valid_examples, workload.metrics.batch_step(params, state, batch, key)

    summed, num_valid, partial = judge(params, state, batch)
    expected = summary(workload, partial)
    assert num_valid > 0
    for other in (joined([batch, padding]), take_rows(batch, rows[::-1])):
        other_summed, other_num_valid, other_partial = judge(params, state, other)
        np.testing.assert_allclose(other_summed, summed, rtol=1e-5)
        assert other_num_valid == num_valid
        found = summary(workload, other_partial)
        assert found.keys() == expected.keys()
        for metric, value in expected.items():
            np.testing.assert_allclose(found[metric], value, rtol=1e-5, err_msg=metric)


def summary(workload: Workload, partial: Partial) -> dict[str, float]:
    sums = {name: float(value) for name, value in partial.sums.items()}
    return workload.metrics.summarize(sums, {name: np.asarray(rows) for name, rows in partial.rows.items()})


# --- data -----------------------------------------------------------------------------------------------------------


def assert_fits(schema: Schema, batch: Batch) -> None:
    def check(spec: ArraySpec, leaf: Any) -> None:
        assert spec.fits(leaf), f"{leaf.dtype.name} {leaf.shape}, expected {spec}"

    jax.tree.map(check, dict(schema), dict(batch))


@pytest.mark.parametrize(("name", "split"), SPLITS_OF)
def test_batches_have_the_declared_schema(name: str, split: SplitName) -> None:
    workload, reader = workload_of(name), opened(workload_of(name), split)
    assert workload.schema.keys() == set(ALL_CASES[name].splits)
    for k in (0, 1):
        batch = reader.finished(k % (reader.num_batches or 2))
        assert_fits(workload.schema[split], batch)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(dict(batch)))


@pytest.mark.parametrize("name", CASES)
def test_the_batch_of_the_reference_has_the_declared_schema(name: str) -> None:
    """But for the lengths of axes: its images may be smaller."""
    batch = BATCHES[name](golden_support.numbers(name))
    declared = dict(workloads.load(name, data_dir="unread").schema["validation"])
    assert_fits(jax.tree.map(lambda spec: ArraySpec((None,) * len(spec.shape), spec.dtype), declared), batch)


@pytest.mark.parametrize("name", CASES)
def test_real_and_builtin_data_have_one_schema(name: str) -> None:
    assert workloads.load(name).schema.keys() == workloads.load(name, data_dir="unread").schema.keys()
    if not name.startswith("imagenet"):  # its built-in data have fewer classes
        assert workloads.load(name).schema == workloads.load(name, data_dir="unread").schema


@pytest.mark.parametrize("name", BASE_NAMES)
def test_sizes_of_the_splits(name: str) -> None:
    workload = workload_of(name)
    assert sorted(workload.split_sizes) == sorted(ALL_CASES[name].splits)
    for split in ALL_CASES[name].splits:
        reader = opened(workload, split)
        assert reader.num_examples == workload.split_sizes[split]
        assert (reader.num_batches is None) == (split == "train")


@pytest.mark.parametrize(("name", "split"), SPLITS_OF)
def test_batches_are_a_pure_function_of_their_number(name: str, split: SplitName) -> None:
    reader, again = opened(workload_of(name), split), opened(load(name), split)
    in_order = [reader.finished(k) for k in range(4)]
    for k in (3, 0, 2, 1):
        assert_trees_equal(again.finished(k), in_order[k])
    assert trees_differ(in_order[0], in_order[1])


@pytest.mark.parametrize("name", BASE_NAMES)
def test_the_seed_decides_the_order_of_training_only(name: str) -> None:
    for split in ALL_CASES[name].splits:
        batches = [opened(workload_of(name), split, seed=seed).finished(0) for seed in (1, 2)]
        assert trees_differ(*batches) == (split == "train"), split


@pytest.mark.parametrize(("name", "split"), SPLITS_OF)
@pytest.mark.parametrize(("process_count", "device_count"), [(1, 8), (2, 2), (4, 8)])
def test_global_batches_do_not_depend_on_placement(
    name: str, split: SplitName, process_count: int, device_count: int
) -> None:
    whole = opened(workload_of(name), split)
    parts = [
        opened(workload_of(name), split, placement=Placement(process_index, process_count, device_count))
        for process_index in range(process_count)
    ]
    for k in (0, 5):
        assert_trees_equal(joined([part.finished(k) for part in parts]), dict(whole.finished(k)))


@pytest.mark.parametrize(("name", "split"), [pair for pair in SPLITS_OF if pair[1] in EVALUATION_SPLITS])
def test_every_evaluation_example_counts_once(name: str, split: SplitName) -> None:
    """On any number of devices, also if it divides neither the split nor the batch."""
    workload = workload_of(name)
    totals = []
    for device_count in (1, 3, 8):
        size = workload.eval_batch_size // 24 * 24
        reader = opened(workload, split, placement=Placement(device_count=device_count), size=size)
        weights = [reader.batch(k)["weights"] for k in range(reader.num_batches or 0)]
        totals.append(np.sum([array.sum(dtype=np.float64) for array in weights]))
        if weights[0].ndim == 1:
            assert totals[-1] == workload.split_sizes[split]
    assert totals[0] == totals[1] == totals[2]


@pytest.mark.parametrize("name", BASE_NAMES)
def test_the_data_say_where_they_come_from(name: str) -> None:
    workload = workload_of(name)
    assert workload.data.origin == "builtin"
    assert workload.data.describe()
    assert workloads.load(name, data_dir="/nonexistent").data.origin == "prepared"


@pytest.mark.parametrize("name", NAMES)
def test_builtin_targets_and_budgets_are_not_the_published_ones(name: str) -> None:
    builtin, published = workloads.load(name), workloads.load(name, data_dir="/nonexistent")
    assert builtin.goal.metric == published.goal.metric
    assert builtin.goal.direction == published.goal.direction
    assert builtin.budget != published.budget
    assert builtin.split_sizes != published.split_sizes
    assert builtin.goal.has_target
