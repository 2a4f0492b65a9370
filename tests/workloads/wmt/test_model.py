"""The transformer beyond the reference numbers that all models share: losses, segments, decoding token by token."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import workloads
from algoperf_jax.errors import ConfigError
from tests import golden_support
from tests.golden_support import COMPILE_QUICKLY, assert_close
from tests.workloads import reduced
from tests.workloads.golden_batches import BATCHES, stored_logits
from tests.workloads.wmt import golden_model
from tests.workloads.wmt.case import packed, unpacked
from workloads import losses
from workloads.wmt import loss as wmt_loss
from workloads.wmt.incremental import Decoder
from workloads.wmt.model import Transformer

NAMES = [name for name in BATCHES if workloads.base_name(name) == "wmt"]


@functools.cache
def small() -> tuple[Any, Any, dict[str, Any]]:
    """The small workload, parameters, and a packed batch."""
    workload = reduced.load("wmt")
    return workload, golden_support.recipe_state(workload)[0], reduced.batch("wmt")


def logits_of(workload: Any, params: Any, batch: Any) -> np.ndarray:
    apply = functools.partial(workload.apply, train=False, update_batch_norm=False)
    logits, _ = jax.jit(apply, compiler_options=COMPILE_QUICKLY)(params, None, batch, jax.random.PRNGKey(0))
    return np.asarray(logits)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_losses_and_accuracy_of_packed_and_unpacked_rows(name: str) -> None:
    workload, golden = workloads.load(name), golden_support.numbers(name)
    params, _ = golden_support.recipe_state(workload)
    for rows, batch in (("unpacked", unpacked(golden)), ("packed", packed(golden))):
        logits = logits_of(workload, params, batch)
        stored = golden.get(
            f"eval/{rows}/logits/slice", golden["eval/logits" if rows == "unpacked" else "train/logits"]
        )
        assert_close(stored_logits(name, logits), stored, rtol=1e-5, atol=1e-7)
        wide = logits.astype(np.float64)
        _, deviation, squares = golden[f"eval/{rows}/logits/stats"]
        np.testing.assert_allclose([wide.std(), (wide**2).sum()], [deviation, squares], rtol=1e-5)
        for smoothing in ("0.0", "0.1"):
            found = workload.loss(batch["targets"], logits, batch["weights"], float(smoothing))
            for field, value in found._asdict().items():
                assert_close(value, golden[f"eval/{rows}/loss_ls{smoothing}/{field}"], rtol=1e-6, atol=1e-6)
        correct = (logits.argmax(-1) == batch["targets"]) * batch["weights"]
        assert correct.sum() == golden[f"eval/{rows}/accuracy_sum"]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_gradients_with_label_smoothing(name: str) -> None:
    workload, golden = workloads.load(name), golden_support.numbers(name)
    params, _ = golden_support.recipe_state(workload)

    def objective(params: Any, batch: Any) -> jax.Array:
        apply = functools.partial(workload.apply, train=True, update_batch_norm=True, dropout_rate=0.0)
        logits, _ = apply(params, None, batch, jax.random.PRNGKey(0))
        found = workload.loss(batch["targets"], logits, batch["weights"], 0.1)
        return found.summed / found.n_valid_examples

    gradients = jax.jit(jax.grad(objective), compiler_options=COMPILE_QUICKLY)(params, packed(golden))
    keys = {"grad/path": "paths", "grad/l2": "l2", "grad/sum": "sum"}
    expected = {key: golden[f"grad_ls0.1/{column}"] for key, column in keys.items()}
    golden_support.assert_gradients_match(gradients, expected, rtol=1e-3)


# --- loss -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", ["weights", "none"])
@pytest.mark.parametrize("smoothing", ["0.0", "0.1"])
def test_the_loss_of_tokens(smoothing: str, weights: str) -> None:
    golden = golden_support.numbers("wmt_loss")
    mask = golden["weights"] if weights == "weights" else None
    found = wmt_loss.loss(golden["targets"], golden["logits"], mask, float(smoothing))
    for field, value in found._asdict().items():
        assert_close(value, golden[f"label_smoothing_{smoothing}/{weights}/{field}"], rtol=1e-6, atol=1e-6)


def mean_loss(function: Any) -> Any:
    def mean(logits: jax.Array, smoothing: Any, targets: Any, weights: Any) -> jax.Array:
        found = function(targets, logits, weights, smoothing)
        return found.summed / found.n_valid_examples

    return mean


def test_the_gradient_of_the_loss_is_that_of_the_reference() -> None:
    golden = golden_support.numbers("wmt_loss")
    gradient = jax.grad(mean_loss(wmt_loss.loss))(
        jnp.asarray(golden["logits"]), 0.1, golden["targets"], golden["weights"]
    )
    assert_close(gradient, golden["grad_logits_mean_loss_ls0.1"], rtol=1e-6, atol=1e-7)


def test_the_loss_is_the_plain_one_and_so_are_its_derivatives() -> None:
    """First and second ones, with respect to logits and smoothing, in either mode, over a large vocabulary."""
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        logits = jnp.asarray(rng.standard_normal((2, 3, 32_000)))
        tangents = jnp.asarray(rng.standard_normal((2, 3, 32_000)))
        targets, weights = rng.integers(32_000, size=(2, 3)), np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
        found = []
        for function in (wmt_loss.loss, losses.softmax_cross_entropy):
            mean = functools.partial(mean_loss(function), targets=targets, weights=weights)
            gradient = jax.grad(mean, argnums=(0, 1))
            forward = jax.jvp(mean, (logits, 0.1), (tangents, 1.0))
            curvature = jax.jvp(lambda x, gradient=gradient: gradient(x, 0.1)[0], (logits,), (tangents,))
            found.append((function(targets, logits, weights, 0.1), gradient(logits, 0.1), forward, curvature))
        jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12), *found)


def test_a_training_step_makes_no_other_array_of_the_size_of_the_logits() -> None:
    """The gradient takes the place of the logits; the plain loss keeps two more."""
    tokens, width, vocabulary = 64, 8, 32_000
    shapes = [jax.ShapeDtypeStruct(shape, "float32") for shape in ((tokens, width), (vocabulary, width))]
    targets = jax.ShapeDtypeStruct((tokens,), "int32")

    def temporary_bytes(function: Any) -> int:
        def step(hidden: Any, embedding: Any, targets: Any) -> Any:
            return jax.grad(
                lambda hidden, embedding: function(targets, hidden @ embedding.T, None, 0.1).summed, argnums=(0, 1)
            )(hidden, embedding)

        analysis = jax.jit(step).lower(*shapes, targets).compile().memory_analysis()
        assert analysis is not None
        return analysis.temp_size_in_bytes

    size = 4 * tokens * vocabulary
    assert temporary_bytes(wmt_loss.loss) < 1.2 * size
    assert temporary_bytes(losses.softmax_cross_entropy) > 2 * size


def test_weights_say_whether_a_token_counts() -> None:
    golden = golden_support.numbers("wmt_loss")
    whole = wmt_loss.loss(golden["targets"], golden["logits"], golden["weights"])
    half = wmt_loss.loss(golden["targets"], golden["logits"], 0.5 * golden["weights"])
    np.testing.assert_array_equal(half.per_example, whole.per_example)
    assert half.n_valid_examples == whole.n_valid_examples / 2


@pytest.mark.parametrize("shapes", [((3, 6), (3, 7)), ((3, 7), (3,)), ((3, 7, 11), (3, 7))])
def test_a_loss_of_other_axes_is_refused(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    targets, weights = (np.ones(shape, np.int32) for shape in shapes)
    with pytest.raises(ValueError, match="do not share their leading axes"):
        wmt_loss.loss(targets, np.zeros((3, 7, 11), np.float32), weights)


# --- masks ----------------------------------------------------------------------------------------------------------


def test_sentences_of_a_packed_row_do_not_see_each_other() -> None:
    """Each has the logits that it has alone, but for the token before its first one."""
    workload, params, batch = small()
    together = logits_of(workload, params, batch)
    row = 0
    for segment in (1, 2):
        places = {side: np.flatnonzero(batch[f"{side}_segmentation"][row] == segment) for side in ("inputs", "targets")}
        alone = {side: batch[side][row, places[side]][None] for side in places}
        first = places["targets"][0]
        # The decoder reads what precedes a target, whatever its segment; a row of its own begins with 0.
        before = np.concatenate([[0], batch["targets"][row]])[places["targets"]]
        separate = logits_of(workload, params, alone)[0]
        if first == 0:
            assert_close(together[row, places["targets"]], separate, rtol=1e-5, atol=1e-5)
        else:
            assert before[0] == batch["targets"][row, first - 1] != 0
            assert not np.allclose(together[row, first], separate[0], atol=1e-3)


def test_tokens_that_come_later_and_padding_change_nothing() -> None:
    workload, params, packed_rows = small()
    batch = {side: packed_rows[side].copy() for side in ("inputs", "targets")}
    batch["inputs"][:, 20:] = 0
    batch["targets"][:, 30:] = 0
    expected = logits_of(workload, params, batch)[:, :10]
    shorter = {"inputs": batch["inputs"][:, :20], "targets": batch["targets"].copy()}
    shorter["targets"][:, 10:] = 5
    assert_close(logits_of(workload, params, shorter)[:, :10], expected, rtol=1e-5, atol=1e-5)


def test_unknown_activations_and_sizes_are_refused() -> None:
    with pytest.raises(ConfigError, match="activation of wmt"):
        workloads.load("wmt", activation="rellu")
    with pytest.raises(ConfigError, match="size of wmt"):
        workloads.load("wmt", size="tiny")


# --- one token at a time --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", golden_model.KINDS)
def test_logits_of_the_small_models_of_the_reference(kind: str) -> None:
    architecture, params, golden = golden_model.load(kind)
    batch = {"inputs": golden["inputs"], "targets": golden["decoded"]}
    logits = Transformer(architecture, deterministic=True).apply({"params": params}, batch, 0.0)
    assert_close(logits, golden["teacher_forced_logits"], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("kind", golden_model.KINDS)
@pytest.mark.parametrize("rows_per_source", [1, 3])
def test_logits_one_token_at_a_time_are_those_of_all_at_once(kind: str, rows_per_source: int) -> None:
    architecture, params, golden = golden_model.load(kind)
    decoder, decoded = Decoder(architecture), golden["decoded"].repeat(rows_per_source, axis=0)
    source = decoder.read_source(params, jnp.asarray(golden["inputs"]))
    cache = decoder.start_cache(params, len(decoded), decoded.shape[1])
    step = jax.jit(decoder.step, compiler_options=COMPILE_QUICKLY)
    tokens, found = np.zeros(len(decoded), np.int32), []
    for position in range(decoded.shape[1]):
        logits, cache = step(params, source, cache, tokens, position)
        found.append(logits)
        tokens = decoded[:, position]
    expected = golden["teacher_forced_logits"].repeat(rows_per_source, axis=0)
    # An unknown token is padding to the model that sees all at once, but none when it was just decoded.
    is_before_unknown = np.cumprod(decoded != 0, axis=1) == 1
    assert is_before_unknown.sum() > 0.7 * decoded.size
    assert_close(np.stack(found, 1)[is_before_unknown], expected[is_before_unknown], rtol=1e-5, atol=1e-4)
