"""Structural similarity (Wang et al. 2004, https://doi.org/10.1109/TIP.2003.819861) and loss."""

import functools

import jax
import jax.numpy as jnp

from algoperf_jax.workload import Apply, Batch, LossFunction, Metrics
from workloads.metrics import weighted_means

WINDOW = 7
_K1, _K2 = 0.01, 0.03


def reconstruction_metrics(apply: Apply, loss: LossFunction) -> Metrics:
    """`ssim` and `loss`, each a weighted mean over the examples of a split."""
    return weighted_means(apply, loss, {"ssim": _similarity})


def _similarity(logits: jax.Array, batch: Batch) -> jax.Array:
    """Structural similarity [B], in the units of the volumes' maximum."""
    mean, std = (batch[name][:, None, None] for name in ("mean", "std"))
    restored, target = (image * std + mean for image in (logits, batch["targets"]))
    return ssim(restored, target, batch["volume_max"])


def ssim(one: jax.Array, other: jax.Array, data_range: jax.Array) -> jax.Array:
    """Structural similarity of pairs of images, in -1 .. 1: the mean over all 7x7 windows inside the image.

    Args:
      one, other: [B, H, W], at least 7x7.
      data_range: span of the values [B]; 0 is taken for 1, so that padding gives a number.

    Returns:
      float32 [B].
    """
    # It does not depend on the unit; in that of the range, squares of small intensities keep their precision.
    span = jnp.where(data_range == 0, 1, data_range)[:, None, None]
    one, other = one / span, other / span
    mean_one, mean_other = _window_means(one), _window_means(other)
    # Sample variances and covariance.
    unbiased = WINDOW**2 / (WINDOW**2 - 1)
    variance_one = unbiased * (_window_means(one * one) - mean_one**2)
    variance_other = unbiased * (_window_means(other * other) - mean_other**2)
    covariance = unbiased * (_window_means(one * other) - mean_one * mean_other)
    luminance = (2 * mean_one * mean_other + _K1**2) / (mean_one**2 + mean_other**2 + _K1**2)
    contrast_and_structure = (2 * covariance + _K2**2) / (variance_one + variance_other + _K2**2)
    return jnp.clip((luminance * contrast_and_structure).mean(axis=(1, 2)), -1, 1)


def _window_means(images: jax.Array) -> jax.Array:
    """Means over the 7x7 windows that lie inside the images, [B, H, W] -> [B, H - 6, W - 6]."""
    height, width = (size - WINDOW + 1 for size in images.shape[1:])
    rows = functools.reduce(jnp.add, (images[:, start : start + height] for start in range(WINDOW)))
    sums = functools.reduce(jnp.add, (rows[:, :, start : start + width] for start in range(WINDOW)))
    return sums / WINDOW**2
