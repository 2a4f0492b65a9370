"""The CTC loss against the reference's numbers, `optax.ctc_loss`, and a sum over all alignments."""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests import golden_support
from workloads.speech.ctc import BLANK, ctc_loss

FLOAT64_RTOL = 1e-11
losses_of = jax.jit(ctc_loss)


def golden() -> Any:
    return golden_support.numbers("librispeech_ctc")


def arguments() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    numbers = golden()
    return tuple(numbers[name] for name in ("labels", "label_paddings", "logits", "logit_paddings"))


@jax.jit
def by_optax(targets: Any, target_paddings: Any, logits: Any, logit_paddings: Any) -> Any:
    return optax.ctc_loss(logits, logit_paddings, jnp.asarray(targets, jnp.int32), target_paddings)


def drawn(*, num_labels: int = 9, num_frames: int = 20, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Rows of all lengths, of few different labels: some have no alignment, some no labels, some no frames."""
    rng, rows = np.random.default_rng(seed), 24
    targets = rng.integers(0, 5, (rows, num_labels))
    target_lengths = rng.integers(0, num_labels + 1, rows)
    frames = rng.integers(0, num_frames + 1, rows)
    frames[:3], target_lengths[:3] = 0, (0, num_labels, 1)
    return (
        targets,
        (np.arange(num_labels) >= target_lengths[:, None]).astype(np.float64),
        3 * rng.standard_normal((rows, num_frames, 5)),
        (np.arange(num_frames) >= frames[:, None]).astype(np.float64),
    )


def objective(loss: Any, targets: Any, target_paddings: Any, logit_paddings: Any, logits: Any) -> Any:
    """A weighted sum of the losses, and the losses."""
    losses = loss(targets, target_paddings, logits, logit_paddings)
    return losses @ jnp.linspace(0.5, 2.0, len(losses), dtype=losses.dtype), losses


def test_reference_numbers() -> None:
    numbers = golden()
    losses = losses_of(*arguments())
    np.testing.assert_allclose(losses, numbers["loss/per_example"], rtol=1e-6)
    feasible = np.asarray(numbers["feasible_rows"])
    np.testing.assert_allclose(losses[feasible], numbers["torch_ctc_per_example"][feasible], rtol=1e-6)


def test_reference_gradient() -> None:
    numbers, (targets, target_paddings, logits, logit_paddings) = golden(), arguments()
    rows = np.asarray(numbers["feasible_rows"])

    @jax.jit
    def summed(logits: Any) -> Any:
        return ctc_loss(targets, target_paddings, logits, logit_paddings)[rows].sum()

    gradient = jax.grad(summed)(logits)
    np.testing.assert_allclose(gradient, numbers["grad_logits_of_sum_over_feasible_rows"], rtol=0, atol=1e-5)


@functools.partial(jax.jit, static_argnums=0)
def computed(loss: Any, targets: Any, target_paddings: Any, logits: Any, logit_paddings: Any) -> Any:
    """The losses, and the gradient of their weighted sum."""
    objective_of = functools.partial(objective, loss, targets, target_paddings, logit_paddings)
    (_, losses), gradient = jax.value_and_grad(objective_of, has_aux=True)(logits)
    return losses, gradient


def agrees_with_optax(*inputs: np.ndarray) -> np.ndarray:
    """Compares losses and gradients, in float64; returns the losses."""
    with jax.enable_x64(True):
        (losses, gradient), expected = (jax.device_get(computed(loss, *inputs)) for loss in (ctc_loss, by_optax))
    assert losses.dtype == gradient.dtype == np.float64
    np.testing.assert_allclose(losses, expected[0], rtol=FLOAT64_RTOL, atol=FLOAT64_RTOL)
    # Near 1e5, float64 resolves probabilities to 1e-11.
    np.testing.assert_allclose(gradient, expected[1], rtol=0, atol=1e-9)
    return losses


@pytest.mark.parametrize("seed", range(3))
def test_loss_and_gradient_are_those_of_optax(seed: int) -> None:
    """Also of rows without any alignment, whose gradient is not small."""
    losses = agrees_with_optax(*drawn(seed=seed))
    assert (losses > 1e4).any()
    assert (losses < 1e3).any()


def test_float32_is_as_close_to_float64_as_that_of_optax() -> None:
    targets, target_paddings, logits, logit_paddings = (array.astype(np.float32) for array in drawn(num_frames=60))
    losses = [loss(targets, target_paddings, logits, logit_paddings) for loss in (losses_of, by_optax)]
    with jax.enable_x64(True):
        exact = np.asarray(
            losses_of(*(array.astype(np.float64) for array in (targets, target_paddings, logits, logit_paddings)))
        )
    errors = [np.abs(np.asarray(one) - exact) / np.maximum(exact, 1) for one in losses]
    assert errors[0].max() < 3e-6
    assert errors[0].max() < 2 * errors[1].max()


def test_labels_are_summed_over_their_alignments() -> None:
    labels, frames, classes = (1, 2, 2), 5, 3
    logits = np.random.default_rng(0).standard_normal((frames, classes))
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))

    def spelled(path: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(one for one, _ in itertools.groupby(path) if one != BLANK)

    paths = [path for path in itertools.product(range(classes), repeat=frames) if spelled(path) == labels]
    assert len(paths) > 1
    total = sum(np.exp(log_probabilities[np.arange(frames), path].sum()) for path in paths)
    loss = losses_of(
        np.asarray([labels]), np.zeros((1, 3)), jnp.asarray(logits[None], jnp.float32), np.zeros((1, frames))
    )
    np.testing.assert_allclose(loss, [-np.log(total)], rtol=1e-6)


def test_the_derivative_may_be_differentiated() -> None:
    targets, target_paddings, logits, logit_paddings = drawn(num_labels=4, num_frames=8)
    direction = np.random.default_rng(1).standard_normal(logits.shape)

    def curvature(loss: Any) -> Any:
        gradient = jax.grad(lambda x: objective(loss, targets, target_paddings, logit_paddings, x)[0])
        return jax.jvp(gradient, (jnp.asarray(logits),), (jnp.asarray(direction),))[1]

    with jax.enable_x64(True):
        found, expected = (
            jax.device_get(jax.jit(functools.partial(curvature, loss))()) for loss in (ctc_loss, by_optax)
        )
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)


def test_padding_changes_nothing() -> None:
    targets, target_paddings, logits, logit_paddings = drawn()
    longer = [
        np.pad(targets, ((0, 0), (0, 5)), constant_values=3),
        np.pad(target_paddings, ((0, 0), (0, 5)), constant_values=1),
        np.pad(logits, ((0, 0), (0, 7), (0, 0)), constant_values=2.0),
        np.pad(logit_paddings, ((0, 0), (0, 7)), constant_values=1),
    ]
    with jax.enable_x64(True):
        plain = losses_of(targets, target_paddings, jnp.asarray(logits), logit_paddings)
        np.testing.assert_allclose(losses_of(*longer[:2], jnp.asarray(longer[2]), longer[3]), plain, rtol=FLOAT64_RTOL)


def test_frames_of_padding_may_be_anywhere() -> None:
    targets, target_paddings, logits, _ = drawn()
    agrees_with_optax(
        targets, target_paddings, logits, np.random.default_rng(2).integers(0, 2, logits.shape[:2]).astype(np.float64)
    )


def test_nothing_is_lost_where_probabilities_are_too_small_for_float32() -> None:
    """Alignments of 40 labels in 400 frames that the model believes to be blanks."""
    logits = np.zeros((1, 400, 6), np.float32)
    logits[..., BLANK] = 30
    targets = np.arange(40)[None] % 5 + 1
    losses = [loss(targets, np.zeros((1, 40)), logits, np.zeros((1, 400))) for loss in (losses_of, by_optax)]
    assert losses[0][0] > 1000
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_narrow_logits_are_widened() -> None:
    targets, target_paddings, logits, logit_paddings = arguments()
    narrow = jnp.asarray(logits, jnp.bfloat16)
    losses = losses_of(targets, target_paddings, narrow, logit_paddings)
    assert losses.dtype == jnp.float32
    np.testing.assert_array_equal(
        losses, ctc_loss(targets, target_paddings, narrow.astype(jnp.float32), logit_paddings)
    )


def test_shapes_that_do_not_match_are_refused() -> None:
    targets, target_paddings, logits, logit_paddings = arguments()
    for wrong in (
        (targets, target_paddings[:, 1:], logits, logit_paddings),
        (targets, target_paddings, logits, logit_paddings[:, 1:]),
        (targets[1:], target_paddings[1:], logits, logit_paddings),
    ):
        with pytest.raises(ValueError, match="do not match"):
            ctc_loss(*wrong)


def test_takes_less_than_half_of_the_memory_of_optax() -> None:
    """In loss and gradient, besides the logits; counted by the compiler. Larger sizes save more."""
    batch, frames, vocabulary, labels = 4, 100, 256, 24
    shapes = [jax.ShapeDtypeStruct(shape, "float32") for shape in ((batch, labels), (batch, frames))]

    def bytes_of(loss: Any) -> int:
        def compute(logits: Any, targets: Any, target_paddings: Any, logit_paddings: Any) -> Any:
            return jax.value_and_grad(lambda x: loss(targets, target_paddings, x, logit_paddings).sum())(logits)

        logits = jax.ShapeDtypeStruct((batch, frames, vocabulary), "float32")
        targets = jax.ShapeDtypeStruct((batch, labels), "int32")
        analysis = jax.jit(compute).lower(logits, targets, *shapes).compile().memory_analysis()
        assert analysis is not None
        return analysis.temp_size_in_bytes + analysis.output_size_in_bytes

    assert bytes_of(ctc_loss) < 0.5 * bytes_of(by_optax)
