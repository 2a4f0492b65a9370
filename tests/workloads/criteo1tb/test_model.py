"""The recommendation models: with the whole table against reference numbers, dropout, ids, and the loss."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import workloads
from algoperf_jax import parameters
from algoperf_jax.assembly import assemble, initial_state
from algoperf_jax.errors import ConfigError
from algoperf_jax.framework.jax_framework import FRAMEWORK
from algoperf_jax.submission.load import load_submission
from algoperf_jax.submission.locate import locate
from algoperf_jax.workload import LossType, Workload
from configs import base
from tests import golden_support
from tests.algoperf_jax.devices.test_sharded_parameters import trained
from tests.golden_support import COMPILE_QUICKLY, assert_close
from tests.workloads.criteo1tb import plain_model
from tests.workloads.criteo1tb.case import CASE, clicks
from tests.workloads.test_golden_models import same_distribution
from workloads.criteo1tb.architecture import VOCAB_SIZE
from workloads.criteo1tb.embedding import uniform_rows
from workloads.criteo1tb.loss import loss

TABLE = "embedding_table"
KEY = jax.random.PRNGKey(0)
FULL_TABLES = ("criteo1tb", "criteo1tb_layernorm")
"""Rows with reference numbers for all embeddings."""
jit = functools.partial(jax.jit, compiler_options=COMPILE_QUICKLY)


@functools.cache
def small(**arguments: Any) -> tuple[Workload, Any]:
    """A small model and the recipe's parameters for it."""
    workload = workloads.load("criteo1tb", **{**CASE.reduced[""], **arguments})
    return workload, golden_support.recipe_state(workload)[0]


def batch() -> dict[str, Any]:
    return clicks(golden_support.numbers("criteo1tb"))


def logits(workload: Workload, params: Any, inputs: Any, **options: Any) -> np.ndarray:
    options = {"train": False, **options}
    forward = functools.partial(workload.apply, update_batch_norm=False, **options)
    return np.asarray(jit(forward)(params, None, {"inputs": inputs}, KEY)[0])


def objective(workload: Workload, params: Any, batch: Any) -> tuple[Any, Any]:
    """The mean loss of a batch in training, and its logits."""
    found, _ = workload.apply(params, None, batch, KEY, train=True, update_batch_norm=True)
    result = workload.loss(batch["targets"], found, batch["weights"])
    return result.summed / result.n_valid_examples, found


@pytest.mark.parametrize("name", FULL_TABLES)
def test_parameters_with_the_whole_table(name: str) -> None:
    params, _ = jax.eval_shape(workloads.load(name).init, KEY)
    listing = golden_support.listing(name, full=True)
    shapes = {
        path: [list(leaf.shape), parameters.type_of(path).name] for path, leaf in parameters.paths(params).items()
    }
    assert shapes == {path: [shape, kind] for path, shape, _, kind in listing["parameters"]}
    assert parameters.count(params) == listing["total_parameter_count"]


@pytest.mark.slow
def test_the_whole_table() -> None:
    """Logits, loss and gradients. There are at most three arrays of the table's 2 GiB at a time."""
    name = "criteo1tb"  # the others have the same table, and are compared with fewer rows
    workload, golden = workloads.load(name), golden_support.numbers(name, full=True)
    params = jax.device_put(golden_support.recipe_state(workload)[0])
    step = jit(jax.value_and_grad(functools.partial(objective, workload), has_aux=True))
    (value, found), grads = step(params, clicks(dict(golden)))
    del params
    assert_close(found, golden["train/logits"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(value, golden["loss/summed"] / golden["loss/n_valid_examples"], rtol=1e-5)

    table, rows = np.asarray(grads[TABLE]), golden["grad_embedding/rows"]
    assert not set(np.flatnonzero(table.any(axis=1))) - set(rows)
    of_rows = golden["grad_embedding/row_values_first8"]
    np.testing.assert_allclose(table[rows, :8], of_rows, rtol=1e-4, atol=1e-5 * np.abs(of_rows).max())
    golden_support.assert_gradients_match({**grads, TABLE: table[rows]}, golden)


@pytest.mark.slow
def test_the_whole_table_is_drawn_from_its_distribution() -> None:
    """Block by block, because statistics in float64 take twice the memory of the table."""
    table = np.asarray(workloads.load("criteo1tb").init(KEY)[0][TABLE])
    blocks = [block.astype(np.float64) for block in np.split(table, 64)[::9]]
    expected = golden_support.listing("criteo1tb", full=True)["init_statistics_prngkey0"][TABLE]
    for block in blocks:
        same_distribution(TABLE, block, expected)
    assert len({float(block[0, 0]) for block in blocks}) == len(blocks)


def test_drawing_the_whole_table_takes_no_second_copy() -> None:
    draw = jit(lambda key: uniform_rows(key, (VOCAB_SIZE, 128), 1.0))
    memory = draw.lower(KEY).compile().memory_analysis()
    assert memory is not None
    assert memory.output_size_in_bytes == 2**31
    assert memory.temp_size_in_bytes < 2**28


def test_the_gradients_are_those_of_the_plain_form() -> None:
    workload, params = small()
    gradient = jax.grad(lambda params: objective(workload, params, batch())[0])
    ours = jit(lambda params: gradient(params))(params)
    with plain_model.plain():
        plain = jit(lambda params: gradient(params))(params)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), ours, plain)


@pytest.mark.parametrize("use_residual", [False, True])
def test_ids_are_taken_modulo_the_size_of_the_table(use_residual: bool) -> None:
    workload, params = small(use_residual=use_residual)
    inputs = batch()["inputs"]
    wrapped = np.concatenate([inputs[:, :13], inputs[:, 13:] % 4_096], axis=1)
    assert (wrapped != inputs).any()
    np.testing.assert_array_equal(logits(workload, params, inputs), logits(workload, params, wrapped))
    moved = np.concatenate([inputs[:, :13], inputs[:, 13:] + 1], axis=1)
    assert (logits(workload, params, inputs) != logits(workload, params, moved)).all()


def test_dropout_acts_on_the_last_hidden_layer() -> None:
    """At a rate of 1, nothing but the bias of the output is left."""
    workload, params = small()
    found = logits(workload, params, batch()["inputs"], train=True, dropout_rate=jnp.float32(1))
    np.testing.assert_array_equal(found, np.broadcast_to(params["Dense_5"]["bias"], (4, 1)))


def test_dropout_acts_before_the_last_residual_connection() -> None:
    """At a rate of 1, the last hidden layer does nothing; the rate may be traced."""
    workload, params = small(use_residual=True)
    without = {**params, "Dense_5": jax.tree.map(np.zeros_like, params["Dense_5"])}
    inputs = batch()["inputs"]
    found = logits(workload, params, inputs, train=True, dropout_rate=jnp.float32(1))
    np.testing.assert_allclose(found, logits(workload, without, inputs), rtol=1e-5)
    assert (found != logits(workload, params, inputs)).all()


def test_dropout_is_off_in_evaluation_and_by_default() -> None:
    workload, params = small()
    inputs = batch()["inputs"]
    expected = logits(workload, params, inputs)
    np.testing.assert_array_equal(logits(workload, params, inputs, dropout_rate=0.5), expected)
    np.testing.assert_allclose(logits(workload, params, inputs, train=True), expected, rtol=1e-5)


def test_biases_are_drawn_with_the_width_of_their_layer() -> None:
    """That of the output has a standard deviation of 1."""
    init = jit(jax.vmap(small(vocab_size=1)[0].init))
    params, _ = init(jax.random.split(KEY, 500))
    for layer, width in (("Dense_0", 64), ("Dense_4", 32), ("Dense_5", 1)):
        np.testing.assert_allclose(np.std(params[layer]["bias"]) * np.sqrt(width), 1, atol=0.1)


def test_layer_normalization_and_residual_connections_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="use_layer_norm of criteo1tb with use_residual"):
        workloads.load("criteo1tb", use_layer_norm=True, use_residual=True)


@pytest.mark.parametrize("name", ["criteo1tb", "criteo1tb_resnet", "criteo1tb_small"])
def test_what_submissions_are_told(name: str) -> None:
    workload = workloads.load(name)
    assert workload.loss_type is LossType.SIGMOID_CROSS_ENTROPY
    assert workload.sharded_parameters == (TABLE,)
    assert workload.output_parameters == (("Dense_5",) if name.endswith("_small") else ("Dense_7",))
    assert workload.dropout_rate == 0


def test_the_only_metric_is_the_loss() -> None:
    workload, golden = workloads.load("criteo1tb_test"), golden_support.numbers("criteo1tb_test")
    params, _ = golden_support.recipe_state(workload)
    partial = jit(workload.metrics.batch_step)(params, None, clicks(golden), KEY)
    np.testing.assert_allclose(partial.sums["loss"], golden["eval/loss_sum_masked"], rtol=1e-5)
    sums = {name: float(value) for name, value in partial.sums.items()}
    assert workload.metrics.summarize(sums, {}) == {"loss": sums["loss"] / 3}


@pytest.mark.parametrize("to_array", [np.asarray, jnp.asarray, torch.from_numpy], ids=["numpy", "jax", "torch"])
def test_logits_with_and_without_an_axis_have_one_loss(to_array: Any) -> None:
    golden = golden_support.numbers("criteo1tb_test")
    scores = golden["loss/logits"]
    targets, weights = (to_array(batch()[name]) for name in ("targets", "weights"))
    for shape in ((4, 1), (4,)):
        found = loss(targets, to_array(scores.reshape(shape)), weights, 0.3)
        np.testing.assert_allclose(np.asarray(found.per_example), golden["loss/per_example"], rtol=1e-5)
        np.testing.assert_allclose(np.asarray(found.summed), golden["loss/summed"], rtol=1e-6)


@pytest.mark.parametrize(
    "shapes", [((3,), (4, 1), (4,)), ((4,), (4, 1), (3,)), ((4,), (4, 2), (4,)), ((4,), (1, 4), None)]
)
def test_other_shapes_are_refused(shapes: tuple[Any, ...]) -> None:
    arrays = [None if shape is None else np.zeros(shape, np.float32) for shape in shapes]
    with pytest.raises(ValueError, match=r"criteo1tb loss: targets, logits and weights of shapes"):
        loss(*arrays)  # pyright: ignore[reportArgumentType]


def three_steps(*, num_devices: int, shards: bool) -> Any:
    """The parameters that the engine comes to with `nadamw`."""
    config: Any = base.named("criteo1tb", "small")
    config.mesh.data, config.mesh.shard_parameters = num_devices, shards
    config.batch_size, config.hyperparameters = 64, {"learning_rate": 0.01}
    workload = workloads.load("criteo1tb_small")
    parts = assemble(config, FRAMEWORK, workload, load_submission(locate("nadamw"), workload), None)
    params = trained(parts, initial_state(parts)).params
    assert params[TABLE].sharding.is_fully_replicated != shards
    return jax.device_get(params)


@pytest.mark.slow
def test_a_table_split_over_devices_trains_like_a_whole_one() -> None:
    whole, split = three_steps(num_devices=1, shards=False), three_steps(num_devices=8, shards=True)
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-6), split, whole)
