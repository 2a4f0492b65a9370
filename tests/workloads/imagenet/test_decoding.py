"""Every image file is decoded to RGB, or gives an error that says why not."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.workloads.imagenet.images import encoded, golden, photos, smooth
from workloads.imagenet.decoding import BadImageError, decode, encode

PIXELS = smooth(40, 60)


@pytest.mark.parametrize(("mode", "kind"), [("RGB", "JPEG"), ("CMYK", "JPEG"), ("RGB", "PNG"), ("RGBA", "PNG")])
def test_colors_survive(mode: str, kind: str) -> None:
    found = decode(encoded(PIXELS, mode=mode, kind=kind))
    assert found.dtype == np.uint8
    assert found.shape == PIXELS.shape
    assert np.abs(found.astype(int) - PIXELS).mean() < 4, "what compression loses"


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_gray_is_repeated(kind: str) -> None:
    found = decode(encoded(PIXELS, mode="L", kind=kind))
    assert found.shape == PIXELS.shape
    np.testing.assert_array_equal(found[..., 0], found[..., 2])
    gray = np.asarray(Image.fromarray(PIXELS).convert("L"))
    assert np.abs(found[..., 1].astype(int) - gray).mean() < 4


def test_inverted_cmyk_as_adobe_writes_it() -> None:
    """Pillow writes CMYK inverted with an Adobe marker; without the marker, the values are used unchanged."""
    file = encoded(np.full((16, 16, 3), (200, 40, 40), np.uint8), mode="CMYK")
    assert b"Adobe" in file
    red, green, blue = decode(file).reshape(-1, 3).mean(axis=0)
    assert red > 190
    assert max(green, blue) < 50


def test_sixteen_bits_of_gray_are_scaled() -> None:
    ramp = np.linspace(0, 65535, 32 * 32).reshape(32, 32)
    file = io.BytesIO()
    Image.fromarray(ramp.astype(np.uint16)).save(file, "PNG")
    np.testing.assert_allclose(decode(file.getvalue())[..., 0], ramp / 257, atol=0.51)


def test_harmless_bytes_before_a_marker_are_forgiven() -> None:
    file = encoded(PIXELS)
    quantization = file.index(b"\xff\xdb")
    odd = file[:quantization] + b"\x00\x00" + file[quantization:]
    assert decode(odd).shape == PIXELS.shape


@pytest.mark.parametrize("content", [b"", b"no image", encoded(PIXELS)[:400], encoded(PIXELS, kind="PNG")[:200]])
def test_damaged_files_are_refused(content: bytes) -> None:
    with pytest.raises(BadImageError, match="Error"):
        decode(content)


def test_encoded_images_come_back() -> None:
    assert np.abs(decode(encode(PIXELS, 95)).astype(int) - PIXELS).mean() < 2


def test_real_photos() -> None:
    shapes = {decode(photo).shape[2] for photo in photos()}
    assert shapes == {3}


@pytest.mark.parametrize("number", range(5))
def test_pixels_are_those_of_the_reference(number: int) -> None:
    """Except for the last columns, where decoding only a part of an image interpolates colors differently."""
    numbers = golden("imagenet_preprocess")
    expected = numbers[f"eval/{number}/decoded_crop"]
    size, top, left = numbers[f"eval/{number}/crop_size_y_x"]
    found = decode(numbers[f"eval/{number}/jpeg_bytes"].tobytes())[top : top + size, left : left + size]
    np.testing.assert_array_equal(found[:, 1:-1], expected[:, 1:-1])
