"""The embedding lookup, the gradient of the table in either form, and the table's initial values."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from tests.golden_support import COMPILE_QUICKLY
from tests.workloads.criteo1tb import plain_model
from workloads.criteo1tb import embedding
from workloads.criteo1tb.embedding import embedding_lookup, sorted_sums, uniform_rows, unsorted_sums

COUNT, WIDTH = 64, 4
FORMS = {"sorted": sorted_sums, "unsorted": unsorted_sums}
jit = functools.partial(jax.jit, compiler_options=COMPILE_QUICKLY)


def batch(seed: int = 0, count: int = COUNT) -> tuple[Any, Any, Any]:
    """A table, ids that repeat, some of them never there, and cotangents."""
    rng = np.random.default_rng(seed)
    ids = (count * rng.random((16, 26)) ** 3).astype(np.int32)
    ids[0, :2] = 0, count - 1
    table = rng.standard_normal((count, WIDTH), np.float32)
    return table, ids, rng.standard_normal((*ids.shape, WIDTH), np.float32)


def gradient(lookup: Callable[..., jax.Array]) -> Callable[..., Any]:
    return lambda table, ids, cotangent: jax.vjp(lambda table: lookup(table, ids), table)[1](cotangent)[0]


@pytest.mark.parametrize("form", FORMS)
def test_the_gradient_is_that_of_the_plain_lookup(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "unsorted_sums", FORMS[form])
    table, ids, cotangent = batch()
    np.testing.assert_array_equal(jit(lambda table, ids: embedding_lookup(table, ids))(table, ids), table[ids])
    found = jit(gradient(embedding_lookup))(table, ids, cotangent)
    np.testing.assert_allclose(found, jit(gradient(plain_model.embedding_lookup))(table, ids, cotangent), atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_rows_are_summed_by_number(form: str) -> None:
    _, ids, rows = batch()
    expected = np.zeros((COUNT, WIDTH))
    np.add.at(expected, ids.reshape(-1), rows.reshape(-1, WIDTH))
    found = jit(FORMS[form], static_argnums=2)(rows.reshape(-1, WIDTH), ids.reshape(-1), COUNT)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(("platform", "sorts"), [("cpu", False), ("cuda", True), ("tpu", True)])
def test_numbers_are_sorted_other_than_on_a_cpu(platform: str, sorts: bool) -> None:
    arguments = [jax.ShapeDtypeStruct(array.shape, array.dtype) for array in batch()]
    lowered = jax.jit(gradient(embedding_lookup)).trace(*arguments).lower(lowering_platforms=(platform,))
    text = lowered.as_text()
    assert ("stablehlo.sort" in text) == sorts
    assert ("indices_are_sorted = true" in text) == sorts


def test_narrow_types_are_summed_in_float32() -> None:
    """In bfloat16, a sum of ones stops at 256."""
    table, ids = jnp.zeros((2, 1), jnp.bfloat16), jnp.zeros((1000, 1), jnp.int32)
    found = jit(gradient(embedding_lookup))(table, ids, jnp.ones((1000, 1, 1), jnp.bfloat16))
    assert found.dtype == jnp.bfloat16
    assert found[0, 0] == 1000


def split_step(spec: PartitionSpec) -> Any:
    """A step of gradient descent, its batch split over 8 devices, and the rows of its table perhaps, too."""
    mesh = Mesh(np.asarray(jax.devices()[:8]), ("batch",))
    of_table, of_batch = NamedSharding(mesh, spec), NamedSharding(mesh, PartitionSpec("batch"))

    def step(table: Any, ids: Any, cotangent: Any) -> tuple[Any, Any]:
        rows, transpose = jax.vjp(lambda table: embedding_lookup(table, ids), table)
        return rows, table - transpose(cotangent)[0]

    return jit(step, in_shardings=(of_table, of_batch, of_batch), out_shardings=(of_batch, of_table))


@pytest.mark.parametrize("form", FORMS)
def test_a_split_table_is_not_gathered(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each device looks up and updates its own rows, if a batch has fewer than the table; the numbers are the same."""
    monkeypatch.setattr(embedding, "unsorted_sums", FORMS[form])
    count = 4096
    arguments = batch(count=count)
    whole, split = split_step(PartitionSpec()), split_step(PartitionSpec("batch"))
    for one, other in zip(whole(*arguments), split(*arguments), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    text = split.lower(*arguments).compile().as_text()
    assert f"f32[{count // 8},{WIDTH}]" in text
    assert f"f32[{count},{WIDTH}]" not in text


def test_initial_values_are_uniform_in_every_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "ROWS_PER_DRAW", 1_000)
    values = np.asarray(jit(lambda key: uniform_rows(key, (2_500, 8), 0.25))(jax.random.PRNGKey(0)))
    assert values.shape == (2_500, 8)
    assert len(np.unique(values[:, 0])) > 2_490, "blocks differ"
    for block in (values[:1_000], values[1_000:2_000], values[2_000:]):
        assert 0 <= block.min() < 0.001
        assert 0.249 < block.max() < 0.25
        np.testing.assert_allclose(block.mean(), 0.125, atol=0.01)
