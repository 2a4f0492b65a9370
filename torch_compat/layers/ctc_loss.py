"""Connectionist temporal classification, the twin of `workloads/speech/ctc.py`.

PyTorch's own loss is infinite where too few frames leave no alignment; the JAX loss is about 1e5 there and has a
gradient. And PyTorch's gradient is wrong in the last frame of labels that end with the blank's id, since it forgets the
alignments that end with a blank. Such rows are rare, and get a loop of their own.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor
from torch.nn import functional

from algoperf_jax.workload import Loss
from workloads.speech.ctc import BLANK, LOG_EPSILON

_NEVER = -1e30
"""The logarithm of a true 0; finite, so that its gradients are."""


def loss(
    targets: tuple[Num[Tensor, "batch labels"], Num[Tensor, "batch labels"]],
    logits: tuple[Float[Tensor, "batch frames vocabulary"], Num[Tensor, "batch frames"]],
    weights: Num[Tensor, " batch"] | Bool[Tensor, " batch"] | None = None,
    label_smoothing: Any = 0.0,
) -> Loss:
    """`workloads.speech.loss.loss` on tensors."""
    del label_smoothing
    per_example = ctc_loss(*targets, *logits)
    num_tokens = (targets[1] == 0).sum(dim=1).to(per_example.dtype)
    if weights is not None:
        if weights.shape != per_example.shape:
            raise ValueError(f"losses {tuple(per_example.shape)} and weights {tuple(weights.shape)} differ in shape")
        per_example, num_tokens = per_example * weights, num_tokens * weights
    return Loss(per_example.sum(), num_tokens.sum().clamp(min=1), per_example)


def ctc_loss(
    targets: Num[Tensor, "batch labels"],
    target_paddings: Num[Tensor, "batch labels"],
    logits: Float[Tensor, "batch frames vocabulary"],
    logit_paddings: Num[Tensor, "batch frames"],
) -> Float[Tensor, " batch"]:
    """The negative log-likelihood of each row's labels.

    Args:
      targets: ids of labels, which may include the blank's.
      target_paddings: 1 at padding, which is at the end.
      logits: unnormalized log-probabilities; those of less than 32 bits are widened.
      logit_paddings: 1 at padding, which is at the end.
    """
    is_label = target_paddings == 0
    ids = torch.where(is_label, targets, torch.full_like(targets, BLANK)).long()
    num_labels, num_frames = is_label.sum(dim=1), (logit_paddings == 0).sum(dim=1)
    # PyTorch's gradient is right only where the loss is behind `log_softmax`.
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    log_probabilities = functional.log_softmax(wide, dim=2).transpose(0, 1)
    losses = functional.ctc_loss(
        log_probabilities, ids, num_frames, num_labels, blank=BLANK, reduction="none", zero_infinity=True
    )
    num_repeats = (is_label[:, 1:] & (ids[:, 1:] == ids[:, :-1])).sum(dim=1)
    is_last = torch.arange(ids.shape[1], device=ids.device) == num_labels[:, None] - 1
    ends_with_blank = (is_last & (ids == BLANK)).any(dim=1)
    needs_loop = (num_frames < num_labels + num_repeats) | ends_with_blank
    if not needs_loop.any():
        return losses
    rows = needs_loop.nonzero()[:, 0]
    return losses.index_put(
        (rows,), -_log_likelihood(log_probabilities[:, rows], ids[rows], num_labels[rows], num_frames[rows])
    )


def _log_likelihood(
    log_probabilities: Float[Tensor, "frames batch vocabulary"],
    ids: Int[Tensor, "batch labels"],
    num_labels: Int[Tensor, " batch"],
    num_frames: Int[Tensor, " batch"],
) -> Float[Tensor, " batch"]:
    """The log-likelihood of each row with `LOG_EPSILON` for the logarithm of 0, as `workloads/speech/ctc.py` has it."""
    num_rows, length = ids.shape
    of_labels = log_probabilities.gather(2, ids.expand(len(log_probabilities), -1, -1))
    penalty = functional.pad((ids[:, 1:] == ids[:, :-1]).to(of_labels.dtype) * LOG_EPSILON, (1, 0))
    never = of_labels.new_full((num_rows, 1), _NEVER)
    labels = of_labels.new_full((num_rows, length), LOG_EPSILON)
    blanks = functional.pad(labels, (1, 0))
    for frame, of_blank in enumerate(log_probabilities[:, :, BLANK, None]):
        previous = torch.cat([never, labels], dim=1)
        entering = torch.logaddexp(blanks[:, :-1], previous[:, :-1] + penalty)
        is_frame = frame < num_frames[:, None]
        labels = torch.where(is_frame, torch.logaddexp(labels, entering) + of_labels[frame], labels)
        blanks = torch.where(is_frame, torch.logaddexp(blanks, previous) + of_blank, blanks)
    ends = torch.logaddexp(blanks, torch.cat([never, labels], dim=1))
    return ends.gather(1, num_labels[:, None])[:, 0]
