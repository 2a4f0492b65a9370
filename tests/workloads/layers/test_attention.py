"""Multi-head attention, compared with explicit sums and between the two frameworks."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from algoperf_jax import parameters
from torch_compat.layers.attention import (
    CrossAttention,
    JoinedSelfAttention,
    SelfAttention,
    attend,
    cross_attention_leaves,
    joined_self_attention_leaves,
    self_attention_leaves,
)
from torch_compat.transfer.torch_model import Joined
from workloads.layers.attention import TwoStepAttention, multi_head_attention

BATCH, QUERIES, KEYS, HEADS, WIDTH = 2, 3, 5, 4, 8
RNG = np.random.default_rng(0)
QUERY_TOKENS = RNG.standard_normal((BATCH, QUERIES, WIDTH), np.float32)
KEY_TOKENS = RNG.standard_normal((BATCH, KEYS, WIDTH), np.float32)
MASK = RNG.random((BATCH, 1, QUERIES, KEYS)) < 0.6
MASK[0, 0, 1] = False  # a query without any key


class Net(nn.Module):
    """One layer of attention."""

    options: dict[str, Any]

    @nn.compact
    def __call__(self, queries: jax.Array, tokens: jax.Array | None = None, mask: Any = None) -> jax.Array:
        return multi_head_attention(HEADS, name="attention", **self.options)(queries, tokens, mask=mask)


def variables(net: Net, *inputs: Any) -> Any:
    """Parameters without zeros."""
    shapes = jax.eval_shape(net.init, jax.random.PRNGKey(0), *inputs)
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda leaf: jnp.asarray(rng.standard_normal(leaf.shape, np.float32)), dict(shapes))


def outputs(net: Net, found: Any, *inputs: Any) -> np.ndarray:
    return np.asarray(net.apply(found, *inputs))


def projected(params: Any, part: str, tokens: np.ndarray) -> np.ndarray:
    kernel, bias = params[part]["kernel"], params[part].get("bias", jnp.zeros((HEADS, 1)))
    return np.asarray(jnp.einsum("bnf,fhd->bhnd", tokens, kernel) + bias[:, None, :])


def written_out(params: Any, mask: np.ndarray | None, temperature: float, output_scale: float) -> np.ndarray:
    query = projected(params, "query", QUERY_TOKENS)
    key, value = projected(params, "key", KEY_TOKENS), projected(params, "value", KEY_TOKENS)
    logits = np.einsum("bhmd,bhnd->bhmn", query, key) / (temperature * np.sqrt(WIDTH / HEADS))
    if mask is not None:
        logits = np.where(mask, logits, np.finfo(np.float32).min)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    attended = output_scale * np.einsum("bhmn,bhnd->bhmd", weights / weights.sum(-1, keepdims=True), value)
    return np.einsum("bhmd,hdf->bmf", attended, params["out"]["kernel"]) + params["out"].get("bias", 0.0)


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "masked"])
@pytest.mark.parametrize(("temperature", "output_scale"), [(1.0, 1.0), (0.25, 1.0), (1.0, 1.6)])
def test_attention_is_the_documented_weighted_sum(
    use_bias: bool, mask: np.ndarray | None, temperature: float, output_scale: float
) -> None:
    net = Net({"use_bias": use_bias, "temperature": temperature, "output_scale": output_scale})
    found = variables(net, QUERY_TOKENS, KEY_TOKENS)
    expected = written_out(found["params"]["attention"], mask, temperature, output_scale)
    np.testing.assert_allclose(outputs(net, found, QUERY_TOKENS, KEY_TOKENS, mask), expected, rtol=1e-4, atol=1e-4)


def test_the_plain_layer_is_that_of_flax() -> None:
    net, inputs = Net({}), (QUERY_TOKENS, KEY_TOKENS, MASK)
    found = variables(net, *inputs)
    flax_layer = nn.MultiHeadDotProductAttention(HEADS)
    expected = flax_layer.apply({"params": found["params"]["attention"]}, QUERY_TOKENS, KEY_TOKENS, mask=MASK)
    np.testing.assert_array_equal(outputs(net, found, *inputs), np.asarray(expected))


@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "masked"])
@pytest.mark.parametrize("temperature", [1.0, 0.25])
def test_the_layer_in_two_steps_is_that_in_one(mask: np.ndarray | None, temperature: float) -> None:
    net = Net({"use_bias": False, "temperature": temperature})
    found = variables(net, QUERY_TOKENS, KEY_TOKENS)
    layer = TwoStepAttention(WIDTH, HEADS, temperature)
    params = {"params": found["params"]["attention"]}
    kept = layer.apply(params, KEY_TOKENS, method=TwoStepAttention.keys_and_values)
    for outcome in (
        layer.apply(params, QUERY_TOKENS, KEY_TOKENS, mask),
        layer.apply(params, QUERY_TOKENS, *kept, mask, method=TwoStepAttention.attend),
    ):
        np.testing.assert_allclose(
            np.asarray(outcome), outputs(net, found, QUERY_TOKENS, KEY_TOKENS, mask), rtol=1e-5, atol=1e-5
        )


class QueryScaler(nn.Module):
    """A learned factor for each feature of a head."""

    @nn.compact
    def __call__(self, query: jax.Array) -> jax.Array:
        return query * self.param("scale", nn.initializers.ones, (WIDTH // HEADS,))


def test_a_module_that_scales_queries_has_its_parameters_in_the_layer() -> None:
    net = Net({"scale_query": lambda query: QueryScaler()(query)})
    found = variables(net, QUERY_TOKENS)
    assert "attention/QueryScaler_0/scale" in parameters.paths(found["params"])
    layer = dict(found["params"]["attention"])
    layer["QueryScaler_0"] = {"scale": jnp.full(WIDTH // HEADS, 3.0)}
    scaled = outputs(net, {"params": {"attention": layer}}, QUERY_TOKENS)
    del layer["QueryScaler_0"]
    hotter = outputs(Net({"temperature": 1 / 3}), {"params": {"attention": layer}}, QUERY_TOKENS)
    np.testing.assert_allclose(scaled, hotter, rtol=1e-4, atol=1e-5)


def filled(module: torch.nn.Module, leaves: Any, params: Any) -> torch.nn.Module:
    """The module with the values of the JAX arrays; it has no other parameters."""
    arrays, named = parameters.paths(params), dict(module.named_parameters(prefix="layer"))
    assert named.keys() == leaves.keys()
    with torch.no_grad():
        for name, leaf in leaves.items():
            parts = leaf.parts if isinstance(leaf, Joined) else (leaf,)
            tensor = np.concatenate([part.to_torch(np.asarray(arrays[part.path])) for part in parts])
            named[name].copy_(torch.from_numpy(tensor))
    return module


def tensors(*arrays: np.ndarray | None) -> list[torch.Tensor | None]:
    return [None if array is None else torch.from_numpy(array) for array in arrays]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("is_masked", [False, True], ids=["all", "masked"])
@pytest.mark.parametrize("temperature", [1.0, 0.25])
def test_the_twins_compute_the_same(bias: bool, is_masked: bool, temperature: float) -> None:
    net = Net({"use_bias": bias, "temperature": temperature})
    found = variables(net, QUERY_TOKENS, KEY_TOKENS)
    params, options = found["params"], {"bias": bias, "temperature": temperature}
    cross_leaves = cross_attention_leaves("layer", "attention", WIDTH, bias=bias)
    cross = filled(CrossAttention(WIDTH, HEADS, **options), cross_leaves, params)  # pyright: ignore[reportArgumentType]
    own_leaves = self_attention_leaves("layer", "attention", WIDTH, bias=bias)
    own = filled(SelfAttention(WIDTH, HEADS, **options), own_leaves, params)  # pyright: ignore[reportArgumentType]
    mask = MASK if is_masked else None
    own_mask = MASK[..., :QUERIES] if is_masked else None
    for ours, theirs in (
        (outputs(net, found, QUERY_TOKENS, KEY_TOKENS, mask), cross(*tensors(QUERY_TOKENS, KEY_TOKENS, mask))),
        (outputs(net, found, QUERY_TOKENS, None, own_mask), own(*tensors(QUERY_TOKENS, own_mask))),
    ):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-4, atol=1e-5)


def test_one_projection_for_queries_keys_and_values_is_three() -> None:
    net = Net({"use_bias": False, "temperature": 0.25})
    found = variables(net, QUERY_TOKENS)
    joined = filled(
        JoinedSelfAttention(WIDTH, HEADS, temperature=0.25),
        joined_self_attention_leaves("layer", "attention", WIDTH),
        found["params"],
    )
    mask = MASK[..., :QUERIES]
    theirs = joined(*tensors(QUERY_TOKENS, mask))
    np.testing.assert_allclose(
        outputs(net, found, QUERY_TOKENS, None, mask), theirs.detach().numpy(), rtol=1e-4, atol=1e-5
    )


def test_the_twins_have_the_same_gradients_with_a_query_that_may_look_at_no_key() -> None:
    net = Net({})
    found = variables(net, QUERY_TOKENS, KEY_TOKENS)
    leaves = cross_attention_leaves("layer", "attention", WIDTH)
    cross = filled(CrossAttention(WIDTH, HEADS), leaves, found["params"])  # pyright: ignore[reportArgumentType]
    weights = RNG.standard_normal((BATCH, QUERIES, WIDTH), np.float32)

    def weighted(queries: jax.Array, tokens: jax.Array) -> jax.Array:
        return jnp.vdot(weights, jnp.asarray(net.apply(found, queries, tokens, MASK)))

    expected = jax.jit(jax.grad(weighted, argnums=(0, 1)))(QUERY_TOKENS, KEY_TOKENS)
    inputs = [torch.tensor(array, requires_grad=True) for array in (QUERY_TOKENS, KEY_TOKENS)]
    (torch.from_numpy(weights) * cross(*inputs, torch.from_numpy(MASK))).sum().backward()
    for ours, theirs in zip(expected, inputs, strict=True):
        assert theirs.grad is not None
        np.testing.assert_allclose(ours, theirs.grad.numpy(), rtol=1e-4, atol=1e-4)
    assert not np.asarray(expected[0])[0, 1].any()


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
def test_a_query_that_may_look_at_no_key_gets_the_mean_of_all_values_in_every_type(name: str) -> None:
    rows = [4 * RNG.standard_normal((1, count, WIDTH), np.float32) for count in (QUERIES, KEYS, KEYS)]
    mask = np.zeros((1, 1, QUERIES, KEYS), bool)
    query, key, value = (torch.from_numpy(row).to(getattr(torch, name)) for row in rows)
    in_torch = attend(query, key, value, HEADS, torch.from_numpy(mask))
    queries, keys, values = (jnp.asarray(row, name).reshape(1, -1, HEADS, WIDTH // HEADS) for row in rows)
    in_jax = nn.dot_product_attention(queries, keys, values, mask=jnp.asarray(mask)).reshape(1, QUERIES, WIDTH)
    mean = np.broadcast_to(rows[2].mean(axis=1, keepdims=True), in_jax.shape)
    # Rounding of the values and of the result.
    tolerance = 8 * float(jnp.finfo(name).eps)
    np.testing.assert_allclose(in_torch.float(), mean, atol=tolerance)
    np.testing.assert_allclose(np.asarray(in_jax, np.float32), mean, atol=tolerance)
