"""Decodes image files in memory to pixels.

JPEG files are decoded by libjpeg-turbo with the fast integer transform, bit for bit like TensorFlow's default. Files
that it cannot read as RGB (CMYK, PNG, files with harmless defects) are read by Pillow.
"""

import io
import warnings

import numpy as np
import simplejpeg
from PIL import Image

_TO_RGB = ("RGB", "YCbCr", "Gray")
"""Color spaces of JPEG files that libjpeg converts to RGB itself."""


class BadImageError(ValueError):
    """The bytes are not a complete, readable image; the message says why."""


def decode(content: bytes) -> np.ndarray:
    """Returns the pixels uint8 [H, W, 3] of an image file; gray is repeated, other color spaces are converted.

    Raises:
      BadImageError: the file is damaged, truncated or not an image.
    """
    try:
        color_space = simplejpeg.decode_jpeg_header(content)[2]
        if color_space in _TO_RGB:
            return simplejpeg.decode_jpeg(content, "RGB", fastdct=True)
    except ValueError:
        pass  # Not a JPEG file, or one with a defect that Pillow may tolerate.
    return _decode_with_pillow(content)


def _decode_with_pillow(content: bytes) -> np.ndarray:
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(content)) as image:
            warnings.simplefilter("ignore")  # about metadata
            if image.mode.startswith(("I", "F")):
                # 16-bit gray; converting it would clip.
                gray = np.asarray(image, np.float64) / (65535 if image.mode.startswith("I") else 255)
                return np.repeat(np.rint(255 * np.clip(gray, 0, 1)).astype(np.uint8)[..., None], 3, axis=-1)
            return np.asarray(image.convert("RGB"))
    except Exception as error:  # a damaged file can make a decoder raise almost any exception
        raise BadImageError(f"{type(error).__name__}: {error}") from error


def encode(pixels: np.ndarray, quality: int) -> bytes:
    """Encodes pixels uint8 [H, W, 3] as a JPEG file, with chroma at half the resolution."""
    return simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=quality, colorsubsampling="420")
