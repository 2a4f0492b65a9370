"""The recurrent layer cell by cell, one direction after the other: what `bidirectional_lstm` must equal, and beat."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from workloads.librispeech_deepspeech.lstm import Weights


def plain_bidirectional_lstm(
    frames: Float[Array, "batch frames features"], paddings: Float[Array, "batch frames"], weights: Weights
) -> Float[Array, "batch frames outputs"]:
    """Valid frames as those of `bidirectional_lstm`; those of padding are not 0."""
    lengths = (1 - paddings).sum(axis=1).astype(jnp.int32)
    forward, backward = (Weights(*(part[direction] for part in weights)) for direction in (0, 1))
    outputs = plain_lstm(frames, forward), _reversed(plain_lstm(_reversed(frames, lengths), backward), lengths)
    return jnp.concatenate(outputs, axis=-1)


def plain_lstm(frames: Float[Array, "batch frames features"], weights: Weights) -> Any:
    """One direction. Each gate of each step has products of its own."""
    of_inputs, of_hidden, biases = (jnp.split(part, 4, axis=-1) for part in weights)

    def cell(state: tuple[Array, Array], frame: Array) -> tuple[tuple[Array, Array], Array]:
        output, cell = state
        i, f, g, o = (
            frame @ of_inputs[gate] + output @ of_hidden[gate] + biases[gate] for gate in range(len(of_inputs))
        )
        cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
        output = jax.nn.sigmoid(o) * jnp.tanh(cell)
        return (output, cell), output

    start = jnp.zeros((len(frames), len(of_hidden[0])), frames.dtype)
    return jnp.swapaxes(jax.lax.scan(cell, (start, start), jnp.swapaxes(frames, 0, 1))[1], 0, 1)


def _reversed(frames: Float[Array, "batch frames any"], lengths: Array) -> Float[Array, "batch frames any"]:
    """Each utterance reversed, and its padding behind it as before."""
    count = frames.shape[1]
    places = (count - 1 - jnp.arange(count) + lengths[:, None]) % count
    return jnp.take_along_axis(frames, places[..., None], axis=1)
