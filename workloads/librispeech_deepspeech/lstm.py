"""A bidirectional layer of long short-term memory (Hochreiter and Schmidhuber 1997).

    i, f, g, o = split(x_t input + h_{t-1} hidden + bias)
    c_t = sigmoid(f) * c_{t-1} + sigmoid(i) * tanh(g)
    h_t = sigmoid(o) * tanh(c_t)

All that does not depend on the frame before is done for all frames at once: the products with the inputs, and in the
derivative the products that make the gradients of the weights and the derivatives of the activation functions. What is
left for the scan over time is one product with the hidden weights for both directions.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from workloads.librispeech_deepspeech.cudnn_lstm import cudnn_lstm, is_available

NUM_DIRECTIONS = 2
CLOSED = -1e4
"""The argument of a gate that lets nothing through: its sigmoid is 0."""


class Weights(NamedTuple):
    """Of both directions, forward first; the gates i, f, g and o one after the other.

    Attributes:
      inputs: [2, F, 4 H].
      hidden: [2, H, 4 H].
      bias: [2, 4 H].
    """

    inputs: Float[Array, "2 features gates"]
    hidden: Float[Array, "2 hidden gates"]
    bias: Float[Array, "2 gates"]


def bidirectional_lstm(
    frames: Float[Array, "batch frames features"], paddings: Float[Array, "batch frames"], weights: Weights
) -> Float[Array, "batch frames outputs"]:
    """Outputs of both directions, one after the other; the backward one starts at the last frame without padding.

    Args:
      frames: the inputs.
      paddings: 1 behind the end of an utterance, else 0. Outputs there are 0.
      weights: of the layer.
    """
    return cudnn_lstm(frames, paddings, *weights) if is_available() else scanned_lstm(frames, paddings, weights)


def scanned_lstm(
    frames: Float[Array, "batch frames features"], paddings: Float[Array, "batch frames"], weights: Weights
) -> Float[Array, "batch frames outputs"]:
    """The same on any device."""
    hidden = weights.hidden.shape[1]
    projected = jnp.einsum("btf,dfg->tdbg", frames, weights.inputs) + weights.bias[:, None]
    # Closed gates keep the state at 0, until the backward direction has come to the utterance.
    projected = jnp.where(paddings.T[:, None, :, None] > 0, CLOSED, projected)
    outputs = _both_reversed(_recurrence(_both_reversed(projected), weights.hidden))
    return jnp.transpose(outputs, (2, 0, 1, 3)).reshape(*frames.shape[:2], NUM_DIRECTIONS * hidden)


def _both_reversed(steps: Float[Array, "frames 2 batch any"]) -> Float[Array, "frames 2 batch any"]:
    """The second direction, with time reversed."""
    return jnp.stack([steps[:, 0], steps[::-1, 1]], axis=1)


@jax.custom_jvp
def _recurrence(
    projected: Float[Array, "frames 2 batch gates"], hidden: Float[Array, "2 hidden gates"]
) -> Float[Array, "frames 2 batch hidden"]:
    """The outputs at all times, from inputs that were multiplied with their weights."""
    return _states(projected, hidden)[0]


def _states(
    projected: Float[Array, "frames 2 batch gates"], weights: Float[Array, "2 hidden gates"]
) -> tuple[Array, Array, Array]:
    """Outputs, cells [T, 2, B, H] and the activated gates [T, 2, B, 4 H] of all times."""

    def step(state: tuple[Array, Array], arguments: Array) -> tuple[tuple[Array, Array], tuple[Array, Array, Array]]:
        output, cell = state
        arguments = arguments + jnp.einsum("dbh,dhg->dbg", output, weights)
        i, f, g, o = jnp.split(arguments, 4, axis=-1)
        i, f, g, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)
        cell = f * cell + i * g
        output = o * jnp.tanh(cell)
        return (output, cell), (output, cell, jnp.concatenate([i, f, g, o], axis=-1))

    start = jnp.zeros((*projected.shape[1:3], weights.shape[1]), projected.dtype)
    return jax.lax.scan(step, (start, start), projected)[1]


@_recurrence.defjvp
def _recurrence_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    """Linear in the tangents, with coefficients that are known before the scan; its transpose is the backward pass."""
    projected, weights = primals
    of_projected, of_weights = tangents
    outputs, cells, gates = _states(projected, weights)
    i, f, g, o = jnp.split(gates, 4, axis=-1)
    squashed = jnp.tanh(cells)
    to_cell = jnp.concatenate([g * i * (1 - i), _before(cells) * f * (1 - f), i * (1 - g**2)], axis=-1)
    coefficients = (to_cell, squashed * o * (1 - o), f, o * (1 - squashed**2))
    direct = of_projected + jnp.einsum("tdbh,dhg->tdbg", _before(outputs), of_weights)
    # The backward pass multiplies with the weights the other way round. On CPUs that takes half the time, in every step
    # of the scan, if they lie in memory that way.
    turned = jnp.swapaxes(weights, 1, 2)

    def step(state: tuple[Array, Array], at_time: Any) -> tuple[tuple[Array, Array], Array]:
        output, cell = state
        direct, (to_cell, to_output, kept, shown) = at_time
        arguments = direct + jnp.einsum("dbh,dgh->dbg", output, turned)
        of_cell, of_output = jnp.split(arguments, [to_cell.shape[-1]], axis=-1)
        parts = jnp.split(to_cell * of_cell, 3, axis=-1)
        cell = kept * cell + parts[0] + parts[1] + parts[2]
        output = shown * cell + to_output * of_output
        return (output, cell), output

    start = jnp.zeros_like(outputs[0])
    return outputs, jax.lax.scan(step, (start, start), (direct, coefficients))[1]


def _before(steps: Float[Array, "frames 2 batch hidden"]) -> Float[Array, "frames 2 batch hidden"]:
    """The values one step earlier, 0 at the first."""
    return jnp.concatenate([jnp.zeros_like(steps[:1]), steps[:-1]])
