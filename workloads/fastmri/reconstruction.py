"""Turns a slice of k-space into the image that the network improves.

A mask removes whole columns, so the inverse Fourier transform along the columns commutes with it. That transform and
the crop after it are computed once, when the data are prepared. The result, the slice's hybrid space, is half as large
and needs only one transform along the rows for each use.
"""

from typing import NamedTuple

import numpy as np

IMAGE_SIZE = 320
"""Height and width of the reconstructions of fastMRI."""
LIMIT = 6.0
"""Normalized intensities are clipped at this many standard deviations."""


class Slice(NamedTuple):
    """One example as it is stored.

    Attributes:
      hybrid: complex64 [rows, W], k-space along the last axis, image along the first, cropped to the target's rows.
      target: float32 [rows, columns], the reconstruction from all columns.
      volume_max: largest intensity in the slice's volume, 0 if unknown.
    """

    hybrid: np.ndarray
    target: np.ndarray
    volume_max: float


class Reconstruction(NamedTuple):
    """One example as the network gets it; float32.

    Attributes:
      inputs: [height, width], with mean 0 and standard deviation 1, clipped.
      targets: [height, width], normalized with the same numbers and clipped.
      mean: mean of the image before it was normalized.
      std: standard deviation of the image before it was normalized.
    """

    inputs: np.ndarray
    targets: np.ndarray
    mean: np.float32
    std: np.float32


def to_hybrid_space(kspace: np.ndarray, rows: int) -> np.ndarray:
    """The centered orthonormal inverse Fourier transform along the columns, cropped.

    Args:
      kspace: complex64 [..., H, W], the lowest frequency in the centre.
      rows: number of rows to keep, from the centre.

    Returns:
      complex64 [..., rows, W].
    """
    shifted = np.fft.ifftshift(kspace, axes=-2)
    image = np.fft.fftshift(np.fft.ifft(shifted, axis=-2, norm="ortho"), axes=-2)
    return np.ascontiguousarray(image[..., _centre(kspace.shape[-2], rows), :])


def reconstruct(example: Slice, kept: np.ndarray, shape: tuple[int, int]) -> Reconstruction:
    """The zero-filled reconstruction and the target, normalized.

    Args:
      example: the slice.
      kept: the mask, bool [W].
      shape: height and width of the result, cropped from the centre.
    """
    height, width = shape
    hybrid = example.hybrid[_centre(len(example.hybrid), height)]
    # A shift before the transform would only change phases.
    image = np.fft.ifft(np.where(kept, hybrid, 0), axis=-1, norm="ortho")
    # The columns that a shift after the transform would have moved to the centre.
    num_columns = image.shape[-1]
    columns = np.arange(num_columns)[_centre(num_columns, width)] - num_columns // 2
    magnitude = np.abs(image.take(columns, axis=-1, mode="wrap"))
    mean, std = magnitude.mean(), magnitude.std()
    target = example.target[_centre(len(example.target), height), _centre(example.target.shape[1], width)]
    return Reconstruction(_normalized(magnitude, mean, std), _normalized(target, mean, std), mean, std)


def _normalized(image: np.ndarray, mean: np.float32, std: np.float32) -> np.ndarray:
    return np.clip((image - mean) / std, -LIMIT, LIMIT)


def _centre(length: int, size: int) -> slice:
    start = (length - size) // 2
    return slice(start, start + size)
