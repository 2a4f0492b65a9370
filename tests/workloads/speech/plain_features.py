"""Log-mel features step by step, each frame by itself: what `features.log_mel` must equal."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from workloads.speech.feature_statistics import MEAN, STDDEV
from workloads.speech.features import (
    FFT_LENGTH,
    FULL_SCALE,
    PRE_EMPHASIS,
    SMALLEST_ENERGY,
    hann_window,
    mel_matrix,
    num_frames,
)
from workloads.speech.sizes import FRAME_SAMPLES, FRAME_STEP


def plain_log_mel(
    waveforms: Shaped[Array, "batch samples"], lengths: Int[Array, " batch"]
) -> tuple[Float[Array, "batch frames 80"], Float[Array, "batch frames"]]:
    """Each frame is gathered by itself, and is padding if all its samples are."""
    samples = waveforms.shape[1]
    paddings = (jnp.arange(samples) >= lengths[:, None]).astype(jnp.float32)
    waveforms = waveforms.astype(jnp.float32) * (1 - paddings) / FULL_SCALE
    places = FRAME_STEP * jnp.arange(num_frames(samples))[:, None] + jnp.arange(FRAME_SAMPLES)
    frames = waveforms[:, places]
    first = (1 - PRE_EMPHASIS) * frames[..., :1]
    emphasized = jnp.concatenate([first, frames[..., 1:-1] - PRE_EMPHASIS * frames[..., :-2]], axis=-1)
    spectrum = jnp.fft.rfft(emphasized * hann_window(), FFT_LENGTH)
    energies = jnp.matmul(jnp.abs(spectrum) ** 2, mel_matrix(), precision=jax.lax.Precision.HIGHEST)
    features = (jnp.log(jnp.maximum(energies, SMALLEST_ENERGY)) - MEAN) / STDDEV
    return features, paddings[:, places].min(axis=-1)
