"""The CTC loss of PyTorch against that of JAX, also where no alignment exists."""

from typing import Any

import jax
import numpy as np
import pytest
import torch

from tests import golden_support
from torch_compat.layers import ctc_loss
from workloads.speech.loss import loss as jax_loss


def drawn(seed: int = 0) -> tuple[Any, Any, np.ndarray]:
    """Rows of all lengths with few different labels, and their weights.

    Some have no alignment, some no frames, some end with the blank's id.
    """
    rng, rows, num_labels, num_frames = np.random.default_rng(seed), 24, 9, 20
    targets = rng.integers(0, 5, (rows, num_labels))
    lengths, frames = rng.integers(0, num_labels + 1, rows), rng.integers(0, num_frames + 1, rows)
    frames[:3], lengths[:3] = 0, (0, num_labels, 1)
    frames[3], lengths[3], targets[3, 2] = num_frames, 3, 0
    return (
        (targets, (np.arange(num_labels) >= lengths[:, None]).astype(np.float32)),
        (3 * rng.standard_normal((rows, num_frames, 5)), (np.arange(num_frames) >= frames[:, None]).astype(np.float32)),
        np.linspace(0.5, 2.0, rows),
    )


def as_tensors(targets: Any, logits: Any) -> tuple[Any, Any]:
    return jax.tree.map(torch.from_numpy, (targets, logits))


def in_jax(targets: Any, logits: Any, weights: np.ndarray) -> Any:
    def summed(scores: Any) -> Any:
        found = jax_loss(targets, (scores, logits[1]), weights)
        return found.summed, found

    with jax.enable_x64(True):
        (_, found), gradient = jax.jit(jax.value_and_grad(summed, has_aux=True))(logits[0])
        return jax.device_get((found, gradient))


def in_torch(targets: Any, logits: Any, weights: np.ndarray) -> Any:
    scores = torch.tensor(logits[0], requires_grad=True)
    ids, paddings = (torch.from_numpy(part) for part in targets)
    found = ctc_loss.loss((ids, paddings), (scores, torch.from_numpy(logits[1])), torch.from_numpy(weights))
    found.summed.backward()
    assert scores.grad is not None
    return jax.tree.map(lambda tensor: tensor.detach().numpy(), (found, scores.grad))


@pytest.mark.parametrize("seed", range(3))
def test_loss_and_gradient_are_those_of_jax(seed: int) -> None:
    inputs = drawn(seed)
    (ours, gradient), (theirs, expected) = in_torch(*inputs), in_jax(*inputs)
    assert gradient.dtype == expected.dtype == np.float64
    assert (theirs.per_example > 1e4).any()
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-11)
    # Near 1e5, float64 resolves probabilities to 1e-11.
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-9)


def test_a_batch_without_impossible_rows_takes_no_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctc_loss, "_log_likelihood", None)
    numbers = golden_support.numbers("librispeech_ctc")
    rows = numbers["feasible_rows"]
    arguments = [
        torch.from_numpy(numbers[name][rows]) for name in ("labels", "label_paddings", "logits", "logit_paddings")
    ]
    losses = ctc_loss.ctc_loss(*arguments)
    np.testing.assert_allclose(losses, numbers["loss/per_example"][rows], rtol=1e-6)


def test_masks_of_submissions_are_boolean() -> None:
    targets, logits, _ = drawn()
    tensors = as_tensors(targets, logits)
    mask = torch.arange(24) % 2 == 0
    whole, masked = ctc_loss.loss(*tensors), ctc_loss.loss(*tensors, mask)
    torch.testing.assert_close(masked.per_example, torch.where(mask, whole.per_example, 0))
    assert masked.n_valid_examples == (targets[1][::2] == 0).sum()


def test_without_tokens_the_number_is_1() -> None:
    targets, logits, _ = drawn()
    tensors = as_tensors(targets, logits)
    empty = ctc_loss.loss(*tensors, torch.zeros(24, dtype=torch.bool))
    assert (empty.summed, empty.n_valid_examples) == (0, 1)


def test_narrow_logits_are_widened() -> None:
    numbers = golden_support.numbers("librispeech_ctc")
    targets, paddings, scores, frames = (
        torch.from_numpy(numbers[name]) for name in ("labels", "label_paddings", "logits", "logit_paddings")
    )
    narrow = ctc_loss.ctc_loss(targets, paddings, scores.bfloat16(), frames)
    assert narrow.dtype == torch.float32
    torch.testing.assert_close(narrow, ctc_loss.ctc_loss(targets, paddings, scores.bfloat16().float(), frames))


def test_weights_of_another_shape_are_refused() -> None:
    targets, logits, _ = drawn()
    tensors = as_tensors(targets, logits)
    with pytest.raises(ValueError, match="differ in shape"):
        ctc_loss.loss(*tensors, torch.ones(24, 9))
