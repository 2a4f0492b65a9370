"""Connectionist temporal classification, the loss of labels whose alignment with the frames is unknown.

Source: A. Graves et al., "Connectionist Temporal Classification: Labelling Unsegmented Sequence Data with Recurrent
Neural Networks", ICML 2006 (https://www.cs.toronto.edu/~graves/icml_2006.pdf). The function is `optax.ctc_loss`, which
takes `LOG_EPSILON` for the logarithm of 0, also where too few frames leave no alignment at all.

An alignment spells the labels with a blank before, between and after them; blanks may be left out except between equal
labels. So there are 2 N + 1 states for N labels, and from frame to frame an alignment stays in its state, enters the
next one, or skips the blank between two labels.

Differentiating the loop over frames takes several times the time and the memory of what is done here. The forward loop
also notes which share of a state's probability each transition brought. The backward loop then only multiplies and adds
to get the posterior probability of each state: the derivative of the log-likelihood with respect to the log-probability
of the state.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Num

BLANK = 0
"""Id of the blank; the vocabulary's unknown piece has it too."""
LOG_EPSILON = -1e5
"""What starting in the middle of the labels, or leaving out the blank between equal labels, adds to the likelihood."""
_NEVER = -1e30
"""The logarithm of a true 0; finite, so that differences of two of them are."""

Labels = Float[Array, "frames batch labels"]
Blanks = Float[Array, "frames batch labels+1"]


def ctc_loss(
    targets: Num[Any, "batch labels"],
    target_paddings: Num[Any, "batch labels"],
    logits: Float[Any, "batch frames vocabulary"],
    logit_paddings: Num[Any, "batch frames"],
) -> Float[Array, " batch"]:
    """The negative log-likelihood of each row's labels.

    Without any alignment it is about 1e5, and 0 without frames and labels. The derivative with respect to the logits is
    exact, and may itself be differentiated.

    Args:
      targets: ids of labels, of any numeric type. They may include the blank's.
      target_paddings: 1 at padding, which is at the end.
      logits: unnormalized log-probabilities; those of less than 32 bits are widened.
      logit_paddings: 1 at padding, which may be anywhere.

    Raises:
      ValueError: the shapes do not match.
    """
    if (
        targets.shape != target_paddings.shape
        or logits.shape[:2] != logit_paddings.shape
        or len(targets) != len(logits)
    ):
        raise ValueError(
            f"ctc_loss: targets {targets.shape} with paddings {target_paddings.shape} and "
            f"logits {logits.shape} with paddings {logit_paddings.shape} do not match"
        )
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    is_label, is_frame = target_paddings == 0, logit_paddings == 0
    ids = jnp.where(is_label, targets, BLANK).astype(jnp.int32)
    return _losses(logits, ids, is_label.sum(axis=1), is_frame.T)


@jax.custom_jvp
def _losses(
    logits: Float[Array, "batch frames vocabulary"],
    ids: Int[Array, "batch labels"],
    lengths: Int[Array, " batch"],
    is_frame: Bool[Array, "frames batch"],
) -> Float[Array, " batch"]:
    """The loss of each row.

    Args:
      logits: of at least 32 bits.
      ids: ids of the labels.
      lengths: numbers of labels.
      is_frame: whether a frame is not padding.
    """
    log_probabilities, _ = _of_states(logits, ids)
    last, _ = _forward(log_probabilities, _is_repeat(ids), is_frame)
    return -_end(last, lengths)[0]


@_losses.defjvp
def _losses_jvp(primals: Any, tangents: Any) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
    logits, ids, lengths, is_frame = primals
    log_probabilities, normalizers = _of_states(logits, ids)
    last, shares = _forward(log_probabilities, _is_repeat(ids), is_frame)
    likelihood, end = _end(last, lengths)
    posteriors = _backward(end, shares, is_frame)
    # Those of a frame sum to 1, or to 0 at padding.
    probabilities = jnp.exp(logits - normalizers) * posteriors.sum(axis=2).T[..., None]
    # Frame by frame, so that there is no need for the indices of all. An id that does not exist has made the loss NaN.
    add = jax.vmap(lambda row, ids, new: row.at[ids].add(new, mode="promise_in_bounds"), in_axes=(0, None, 0))
    derivatives = jax.vmap(add)(probabilities, _with_blank(ids), -posteriors.transpose(1, 0, 2))
    return -likelihood, (derivatives * tangents[0]).sum(axis=(1, 2))


def _of_states(
    logits: Float[Array, "batch frames vocabulary"], ids: Int[Array, "batch labels"]
) -> tuple[Blanks, Float[Array, "batch frames 1"]]:
    """Log-probabilities of the blank, followed by those of each label, and what was subtracted from their logits."""
    normalizers = jax.nn.logsumexp(logits, axis=2, keepdims=True)
    gathered = jnp.take_along_axis(logits, _with_blank(ids)[:, None], axis=2)
    return (gathered - normalizers).transpose(1, 0, 2), normalizers


def _with_blank(ids: Int[Array, "batch labels"]) -> Int[Array, "batch labels+1"]:
    """The id of the blank, followed by those of the labels."""
    return jnp.pad(ids, ((0, 0), (1, 0)), constant_values=BLANK)


def _is_repeat(ids: Int[Array, "batch labels"]) -> Bool[Array, "batch labels"]:
    """Whether a label equals the one before it."""
    return jnp.pad(ids[:, 1:] == ids[:, :-1], ((0, 0), (1, 0)))


class _States(NamedTuple):
    """Numbers of the blanks around the labels, and of the labels."""

    blanks: Float[Array, "batch labels+1"]
    labels: Float[Array, "batch labels"]


class _Shares(NamedTuple):
    """Which share of a state's probability came from which state; the rest came from the state before it.

    Attributes:
      blank_stayed: of a blank, from itself.
      label_stayed: of a label, from itself.
      label_skipped: of a label, from the label before it.
    """

    blank_stayed: Blanks
    label_stayed: Labels
    label_skipped: Labels


def _forward(
    log_probabilities: Blanks,
    is_repeat: Bool[Array, "batch labels"],
    is_frame: Bool[Array, "frames batch"],
) -> tuple[_States, _Shares]:
    """Log-probabilities of all ways to each state after the last frame, and the shares of each frame."""
    batch, num_blanks = log_probabilities.shape[1:]
    dtype = log_probabilities.dtype
    penalty = jnp.where(is_repeat, jnp.asarray(LOG_EPSILON, dtype), 0)
    start = jnp.full((batch, num_blanks), LOG_EPSILON, dtype).at[:, 0].set(0)
    never = jnp.full((batch, 1), _NEVER, dtype)

    def advance(states: _States, frame: tuple[Array, Array]) -> tuple[_States, _Shares]:
        log_probabilities, is_frame = frame[0], frame[1][:, None]
        previous = jnp.concatenate([never, states.labels], axis=1)
        # A blank stays or comes from the label before it.
        smaller = jnp.exp(-jnp.abs(states.blanks - previous))
        blanks = jnp.maximum(states.blanks, previous) + jnp.log1p(smaller) + log_probabilities[:, :1]
        # A label stays, comes from the blank before it, or from the label before that.
        skipping = previous[:, :-1] + penalty
        entering = states.blanks[:, :-1]
        largest = jnp.maximum(jnp.maximum(states.labels, entering), skipping)
        stayed, skipped = jnp.exp(states.labels - largest), jnp.exp(skipping - largest)
        total = stayed + skipped + jnp.exp(entering - largest)
        labels = largest + jnp.log(total) + log_probabilities[:, 1:]
        advanced = _States(jnp.where(is_frame, blanks, states.blanks), jnp.where(is_frame, labels, states.labels))
        blank_stayed = jnp.where(states.blanks >= previous, 1, smaller) / (1 + smaller)
        return advanced, _Shares(blank_stayed, stayed / total, skipped / total)

    return jax.lax.scan(
        advance, _States(start, jnp.full_like(start[:, 1:], LOG_EPSILON)), (log_probabilities, is_frame)
    )


def _end(states: _States, lengths: Int[Array, " batch"]) -> tuple[Float[Array, " batch"], _States]:
    """The log-likelihood, and the posterior probabilities of the states after the last frame.

    An alignment ends with the last label or with the blank behind it.
    """
    blank = jnp.take_along_axis(states.blanks, lengths[:, None], axis=1)[:, 0]
    previous = jnp.pad(states.labels, ((0, 0), (1, 0)), constant_values=_NEVER)
    label = jnp.take_along_axis(previous, lengths[:, None], axis=1)[:, 0]
    of_blank = jax.nn.sigmoid(blank - label)[:, None]
    is_last = jnp.arange(states.blanks.shape[1]) == lengths[:, None]
    end = _States(jnp.where(is_last, of_blank, 0), jnp.where(is_last[:, 1:], 1 - of_blank, 0))
    return jnp.logaddexp(blank, label), end


def _backward(end: _States, shares: _Shares, is_frame: Bool[Array, "frames batch"]) -> Blanks:
    """Posterior probabilities in each frame: of all blanks together, followed by those of each label."""

    def retreat(states: _States, frame: tuple[_Shares, Array]) -> tuple[_States, Array]:
        shares, is_frame = frame[0], frame[1][:, None]
        staying = states.labels * shares.label_stayed
        skipping = states.labels * shares.label_skipped
        to_blank = states.blanks * shares.blank_stayed
        to_label = (states.blanks - to_blank)[:, 1:] + jnp.pad(skipping[:, 1:], ((0, 0), (0, 1)))
        to_blank = to_blank + jnp.pad(states.labels - staying - skipping, ((0, 0), (0, 1)))
        before = _States(
            jnp.where(is_frame, to_blank, states.blanks), jnp.where(is_frame, staying + to_label, states.labels)
        )
        return before, jnp.where(is_frame, states.labels, 0)

    _, labels = jax.lax.scan(retreat, end, (shares, is_frame), reverse=True)
    # Each frame is in one state.
    blanks = is_frame[..., None] - labels.sum(axis=2, keepdims=True)
    return jnp.concatenate([blanks, labels], axis=2)
