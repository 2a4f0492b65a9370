"""The recurrent layer by cuDNN, through `jax.experimental.rnn`: the same function as the scan, on one NVIDIA GPU.

On several GPUs a batch is divided among them, and XLA cannot divide a call of cuDNN, so the scan is used there. cuDNN
has first derivatives in reverse mode only. None of this has run on a GPU yet; a test compares the two where there is
one.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import rnn
from jaxtyping import Array, Float


def is_available() -> bool:
    """Whether there is exactly one device, an NVIDIA GPU, and JAX came with cuDNN."""
    if jax.default_backend() != "gpu" or jax.device_count() != 1:
        return False
    return getattr(rnn, "gpu_rnn", None) is not None and "rocm" not in jax.devices()[0].client.platform_version


def cudnn_lstm(
    frames: Float[Array, "batch frames features"],
    paddings: Float[Array, "batch frames"],
    inputs: Float[Array, "2 features gates"],
    hidden: Float[Array, "2 hidden gates"],
    bias: Float[Array, "2 gates"],
) -> Float[Array, "batch frames outputs"]:
    """Outputs of both directions, as of `bidirectional_lstm`; the weights are one after the other."""
    start = jnp.zeros((len(hidden), len(frames), hidden.shape[1]), frames.dtype)
    # cuDNN knows no empty sequences.
    lengths = jnp.maximum((paddings == 0).sum(axis=1), 1).astype(jnp.int32)
    found: Any = rnn.lstm(
        frames,
        start,
        start,
        packed(inputs, hidden, bias),
        lengths,
        input_size=frames.shape[-1],
        hidden_size=hidden.shape[1],
        num_layers=1,
        dropout=0.0,
        bidirectional=True,
    )
    return found[0] * (1 - paddings)[..., None]


def packed(
    inputs: Float[Array, "2 features gates"], hidden: Float[Array, "2 hidden gates"], bias: Float[Array, "2 gates"]
) -> Float[Array, " weights"]:
    """The weights in the order of cuDNN: matrices of each direction, then its two biases, of which the second is 0."""
    directions = range(len(bias))
    matrices = [matrix[direction].T.ravel() for direction in directions for matrix in (inputs, hidden)]
    biases = [part[direction] for direction in directions for part in (bias, jnp.zeros_like(bias))]
    return jnp.concatenate([*matrices, *biases])
