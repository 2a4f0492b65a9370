"""The metrics structural similarity (Wang et al. 2004, https://doi.org/10.1109/TIP.2003.819861) and loss."""

import functools

import jax.numpy as jnp
from jaxtyping import Array, Float

from algoperf_jax.workload import Apply, Batch, LossFunction, Metrics
from workloads.metrics import weighted_means

WINDOW = 7
_K1, _K2 = 0.01, 0.03


def reconstruction_metrics(apply: Apply, loss: LossFunction) -> Metrics:
    """Makes the metrics `ssim` and `loss`, each a weighted mean over the examples of a split."""
    return weighted_means(apply, loss, {"ssim": _similarity})


def _similarity(logits: Float[Array, "batch height width"], batch: Batch) -> Float[Array, " batch"]:
    """Structural similarity of the restored images, whose range is their volume's maximum."""
    mean, std = (batch[name][:, None, None] for name in ("mean", "std"))
    restored, target = (image * std + mean for image in (logits, batch["targets"]))
    return ssim(restored, target, batch["volume_max"])


def ssim(
    one: Float[Array, "batch height width"],
    other: Float[Array, "batch height width"],
    data_range: Float[Array, " batch"],
) -> Float[Array, " batch"]:
    """Structural similarity of pairs of images, in -1 .. 1: the mean over all 7x7 windows inside the image.

    Args:
      one: images of at least 7x7 pixels.
      other: the images to compare with.
      data_range: range of the values; 0 is replaced by 1, so that the similarity of padding is a number.
    """
    # The result does not depend on the unit; with the range as the unit, squares of small intensities stay precise.
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


def _window_means(images: Float[Array, "batch height width"]) -> Float[Array, "batch height-6 width-6"]:
    """Means over the 7x7 windows inside the images."""
    height, width = (size - WINDOW + 1 for size in images.shape[1:])
    rows = functools.reduce(jnp.add, (images[:, start : start + height] for start in range(WINDOW)))
    sums = functools.reduce(jnp.add, (rows[:, :, start : start + width] for start in range(WINDOW)))
    return sums / WINDOW**2
