"""The language model beyond the reference numbers that all models share: positions, attention, losses, perplexity."""

import dataclasses
import functools
import zlib
from collections.abc import Mapping
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algoperf_jax import parameters
from tests import golden_support
from tests.golden_support import COMPILE_QUICKLY, assert_close
from tests.workloads.finewebedu_lm.case import CASE, rows
from tests.workloads.finewebedu_lm.memory_benchmark import plainly, step_bytes
from workloads import losses
from workloads.finewebedu_lm import loss as lm_loss
from workloads.finewebedu_lm import model
from workloads.finewebedu_lm.architecture import FULL, SMALL, Architecture, rotary_table
from workloads.finewebedu_lm.metrics import perplexity_metrics
from workloads.layers.attention import causal_attention

# The reference's small model has fewer words than ours.
REFERENCE_SMALL = dataclasses.replace(SMALL, vocab_size=256)
SMOOTHINGS, MASKS = (0.0, 0.1), ("mask", "nomask")


def recipe(architecture: Architecture) -> Any:
    shapes = jax.eval_shape(functools.partial(model.draw, architecture), jax.ShapeDtypeStruct((2,), "uint32"))
    return golden_support.recipe(shapes)


def with_usual_scales(params: Any) -> Any:
    """The recipe's parameters, but attention as sharp as in training; the recipe has scales near 0, some negative."""

    def changed(path: tuple[Any, ...], leaf: Any) -> Any:
        return np.float32(20) + np.float32(10) * leaf if path[-1].key == "attn_scale" else leaf

    return jax.tree_util.tree_map_with_path(changed, params)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "architecture", "atol"), [("", FULL, 1e-5), ("small/", REFERENCE_SMALL, 3e-5)], ids=["full", "small"]
)
def test_logits_losses_and_gradients(size: str, architecture: Architecture, atol: float) -> None:
    """With the recipe's parameters and with usual scales of attention."""
    numbers = raw_numbers()
    batch = {name: numbers[f"{size}inputs/{name}"] for name in ("inputs", "targets", "weights")}

    def objective(params: Any, weights: Any, smoothing: Any) -> tuple[Any, Any]:
        logits = model.predict(architecture, params, jnp.asarray(batch["inputs"]))
        found = lm_loss.loss(batch["targets"], logits, weights, smoothing)
        return found.summed / found.n_valid_examples, logits

    step = jax.jit(jax.value_and_grad(objective, has_aux=True), compiler_options=COMPILE_QUICKLY)
    for scales in ("", "scale20/"):
        params = recipe(architecture) if not scales else with_usual_scales(recipe(architecture))
        kind = f"{size}{scales}"
        (value, logits), gradients = step(params, batch["weights"], 0.0)
        logits = np.asarray(logits)
        of_case = logits[:, ::4] if size else CASE.stored_logits(logits)  # pyright: ignore[reportOptionalCall]
        np.testing.assert_allclose(of_case, numbers[f"{kind}eval/logits/slice"], rtol=0, atol=atol)
        wide = logits.astype(np.float64)
        mean, deviation, squares = numbers[f"{kind}eval/logits/stats"]
        np.testing.assert_allclose([wide.std(), (wide**2).sum()], [deviation, squares], rtol=1e-5)
        assert abs(wide.mean() - mean) < 1e-6
        np.testing.assert_allclose(
            np.log(np.exp(wide).sum(-1)), numbers[f"{kind}eval/logits/logsumexp"], rtol=0, atol=atol
        )
        for smoothing in SMOOTHINGS:
            for mask in MASKS:
                weights = batch["weights"] if mask == "mask" else None
                found = lm_loss.loss(batch["targets"], logits, weights, smoothing)
                for field, ours in found._asdict().items():
                    assert_close(ours, numbers[f"{kind}loss/ls{smoothing}/{mask}/{field}"], rtol=1e-6, atol=1e-5)
        np.testing.assert_allclose(value, numbers[f"{kind}grad/value"], rtol=1e-6)
        same_gradients(gradients, numbers, size, f"{kind}grad")
    (value, _), gradients = step(params, np.ones_like(batch["weights"]), 0.1)
    np.testing.assert_allclose(value, numbers[f"{kind}grad_ls0.1_nomask/value"], rtol=1e-6)
    same_gradients(gradients, numbers, size, f"{kind}grad_ls0.1_nomask")


def same_gradients(gradients: Any, numbers: Mapping[str, np.ndarray], size: str, kind: str) -> None:
    """The norms of gradients of `attn_scale` are 1e-7 to 1e-3, sums that cancel."""
    ours = parameters.paths(gradients)
    for path, norm, total in zip(
        numbers[f"{size}grad/path"], numbers[f"{kind}/l2"], numbers[f"{kind}/sum"], strict=True
    ):
        gradient = np.asarray(ours[str(path)], np.float64)
        np.testing.assert_allclose(np.linalg.norm(gradient), norm, rtol=1e-4, atol=1e-7, err_msg=str(path))
        assert abs(gradient.sum() - total) <= (1e-4 * norm + 1e-7) * np.sqrt(gradient.size), path


@functools.cache
def raw_numbers() -> Mapping[str, np.ndarray]:
    """The reference numbers under their own names."""
    path = golden_support.folder() / "finewebedu_lm.npz"
    golden_support.numbers("finewebedu_lm")  # skips the test where there are none
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


# --- positions ------------------------------------------------------------------------------------------------------


def test_positions_turn_pairs_of_features() -> None:
    """The reference's table is float32, and off by up to 4.7e-5; what it turns is off by up to 1.1e-4."""
    numbers = raw_numbers()
    positions = numbers["rope/table/positions"]
    table = rotary_table(1_024, 128)[positions]
    for column, name in enumerate(("cos", "sin")):
        np.testing.assert_allclose(table[..., column], numbers[f"rope/table/{name}"], rtol=0, atol=5e-5)
    for name in ("q", "k"):
        seed = [golden_support.seed(), zlib.crc32(f"rope/{name}".encode())]
        whole = np.random.default_rng(seed).standard_normal((1, 1_024, 2, 128), np.float32)
        np.testing.assert_array_equal(whole[0, positions], numbers[f"rope/{name}_in"])
        turned = np.asarray(model.rotated(jnp.asarray(whole)))[0, positions]
        np.testing.assert_allclose(turned, numbers[f"rope/{name}_out"], rtol=0, atol=2e-4)


def test_the_first_position_is_not_turned_and_lengths_stay() -> None:
    heads = jnp.asarray(np.random.default_rng(0).standard_normal((2, 9, 3, 8), np.float32))
    turned = model.rotated(heads)
    np.testing.assert_array_equal(turned[:, 0], heads[:, 0])
    np.testing.assert_allclose(jnp.linalg.norm(turned, axis=-1), jnp.linalg.norm(heads, axis=-1), rtol=1e-6)


def test_a_query_of_zeros_has_a_gradient() -> None:
    gradient = jax.grad(lambda heads: model.of_length_one(heads).sum())(jnp.zeros((1, 1, 1, 4)))
    assert np.isfinite(gradient).all()


# --- attention ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["short", "long"])
def test_attention_of_the_reference(case: str) -> None:
    numbers = raw_numbers()
    names = ("attn_out_proj", "key", "query", "value")
    shapes = {name: (256, 256) if name == "attn_out_proj" else (256, 2, 128) for name in names}
    tree = {name: {"kernel": jax.ShapeDtypeStruct(shape, "float32")} for name, shape in shapes.items()}
    params = with_usual_scales(golden_support.recipe({**tree, "attn_scale": jax.ShapeDtypeStruct((), "float32")}))

    def drawn(what: str) -> np.ndarray:
        seed = [golden_support.seed(), zlib.crc32(f"attention/{case}/{what}".encode())]
        return np.random.default_rng(seed).standard_normal(tuple(numbers[f"attention/{case}/shape"]), np.float32)

    tokens = drawn("x") if case == "long" else numbers["attention/short/x"]
    positions = numbers["attention/long/positions"] if case == "long" else np.arange(tokens.shape[1])

    @functools.partial(jax.jit, compiler_options=COMPILE_QUICKLY)
    def run(params: Any, tokens: Any, coefficients: Any) -> Any:
        outputs, pull_back = jax.vjp(model.attention, params, tokens)
        return outputs, *pull_back(coefficients)

    outputs, of_params, of_tokens = run(params, tokens, drawn("r"))
    # Tables of positions differ by 4.7e-5 and scores are multiplied by 20.
    assert_close(outputs[:, positions], numbers[f"attention/{case}/y"], rtol=0, atol=2e-4)
    assert_close(of_tokens[:, positions], numbers[f"attention/{case}/grad_x"], rtol=2e-4, atol=1e-3)
    found = parameters.paths(of_params)
    for path, norm in zip(numbers["attention/param_paths"], numbers[f"attention/{case}/grad_params_l2"], strict=True):
        np.testing.assert_allclose(np.linalg.norm(np.asarray(found[str(path)], np.float64)), norm, rtol=1e-3)


@pytest.mark.parametrize("scale", [-3.0, 20.0])
def test_no_token_sees_a_later_one_whatever_the_scale(scale: float) -> None:
    rng = np.random.default_rng(0)
    heads = rng.standard_normal((3, 1, 6, 2, 8)).astype(np.float32)
    changed = heads.copy()
    changed[:, :, 4:] += 1
    before, after = (causal_attention(scale * query, key, value) for query, key, value in (heads, changed))
    np.testing.assert_array_equal(before[:, :4], after[:, :4])
    assert np.abs(np.asarray(before - after)[:, 4:]).max() > 1e-2


def test_attention_is_that_of_jax() -> None:
    query, key, value = np.random.default_rng(0).standard_normal((3, 2, 7, 3, 8)).astype(np.float32)
    expected = jax.nn.dot_product_attention(query, key, value, scale=1.0, is_causal=True)
    np.testing.assert_allclose(causal_attention(query, key, value), expected, rtol=1e-5, atol=1e-6)


# --- half precision -------------------------------------------------------------------------------------------------


def test_parameters_in_half_precision_keep_the_loss_and_the_positions_in_float32() -> None:
    """What a submission gets that casts parameters, as far from float32 as bfloat16's seven bits are."""
    numbers = raw_numbers()
    batch, params = rows(numbers, "small/"), with_usual_scales(recipe(REFERENCE_SMALL))
    half = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.bfloat16), params)
    run = jax.jit(functools.partial(model.predict, REFERENCE_SMALL), compiler_options=COMPILE_QUICKLY)
    logits = run(half, batch["inputs"])
    assert logits.dtype == jnp.bfloat16
    found = lm_loss.loss(batch["targets"], logits, batch["weights"], 0.1)
    assert {leaf.dtype for leaf in found} == {np.dtype(np.float32)}
    # The reference's own variant in half precision is off by 4e-3.
    np.testing.assert_allclose(found.summed, numbers["small/scale20/loss/ls0.1/mask/summed"], rtol=1e-2)
    gradient = jax.grad(lambda logits: lm_loss.loss(batch["targets"], logits).summed)(logits)
    assert gradient.dtype == jnp.bfloat16


# --- loss and perplexity --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_the_loss_and_its_gradient(smoothing: float, mask: str) -> None:
    numbers = raw_numbers()
    weights = numbers["loss_table/weights"] if mask == "mask" else None
    targets, logits = numbers["loss_table/labels"], jnp.asarray(numbers["loss_table/logits"])
    kind = f"loss_table/ls{smoothing}/{mask}"
    for field, value in lm_loss.loss(targets, logits, weights, smoothing)._asdict().items():
        assert_close(value, numbers[f"{kind}/{field}"], rtol=1e-6, atol=1e-6)

    def mean(logits: jax.Array) -> jax.Array:
        found = lm_loss.loss(targets, logits, weights, smoothing)
        return found.summed / found.n_valid_examples

    assert_close(jax.grad(mean)(logits), numbers[f"{kind}/grad_logits"], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("shape", [(2, 4), (2, 5, 1)])
def test_other_shapes_of_targets_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"finewebedu_lm loss: targets .* do not share their leading axes"):
        lm_loss.loss(np.zeros(shape, np.int32), np.zeros((2, 5, 11), np.float32))


def test_perplexity_is_of_all_tokens() -> None:
    numbers = raw_numbers()
    metrics = perplexity_metrics(mock.Mock(), mock.Mock())
    sums = {"loss": float(numbers["ppl/summed"].sum()), "weight": float(numbers["ppl/denominator"].sum())}
    found = metrics.summarize(sums, {})
    assert found.keys() == {"loss", "ppl"}
    np.testing.assert_allclose([found["loss"], found["ppl"]], [numbers["ppl/loss"], numbers["ppl/ppl"]], rtol=1e-6)
    assert metrics.summarize({"loss": 1e5, "weight": 1.0}, {})["ppl"] == np.inf


def test_rows_that_are_too_long_are_refused() -> None:
    with pytest.raises(ValueError, match="rows of 129 tokens; the model was made for 128 at most"):
        jax.eval_shape(functools.partial(model.predict, SMALL), recipe(SMALL), np.zeros((1, 129), np.int32))


# --- memory ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_step_takes_less_than_half_of_the_memory() -> None:
    """Of the plain model and loss; `memory_benchmark` compiles the full model."""
    architecture = Architecture(vocab_size=512, max_length=256, width=32, depth=4, num_heads=4, mlp_width=128)
    with plainly():
        plain = step_bytes(architecture, losses.softmax_cross_entropy, 8)
    assert step_bytes(architecture, lm_loss.loss, 8) < 0.5 * plain
