"""Decodes the audio files of LibriSpeech, and recognizes those that are damaged or of another kind.

FLAC is decoded by libsndfile, which the package soundfile brings along. It does not compare the checksum of the samples
that each file has, so this is done here.
"""

import hashlib
import io
import pathlib
from types import ModuleType
from typing import NamedTuple

import numpy as np
from jaxtyping import Int16

from workloads.speech.sizes import FRAME_SAMPLES, SAMPLE_RATE

Samples = Int16[np.ndarray, " samples"]

_INFO_AT, _INFO_BYTES = 8, 34
_FLAC = b"fLaC"


class BadAudioError(Exception):
    """A file cannot be used; the message says why."""


class StreamInfo(NamedTuple):
    """What a FLAC file says about itself; `num_samples` 0 and `md5` of zeros mean unknown."""

    sample_rate: int
    channels: int
    bits: int
    num_samples: int
    md5: bytes


def stream_info(content: bytes) -> StreamInfo:
    """Reads the block STREAMINFO, which every FLAC file begins with (RFC 9639, section 8.2).

    Raises:
      BadAudioError: the file is not FLAC.
    """
    info = content[_INFO_AT : _INFO_AT + _INFO_BYTES]
    if not content.startswith(_FLAC) or content[4] & 0x7F or len(info) < _INFO_BYTES:
        raise BadAudioError("is not a FLAC file" if content else "is empty")
    packed = int.from_bytes(info[10:18])
    return StreamInfo(
        sample_rate=packed >> 44,
        channels=(packed >> 41 & 0x7) + 1,
        bits=(packed >> 36 & 0x1F) + 1,
        num_samples=packed & 0xFFFFFFFFF,
        md5=info[18:],
    )


def decode_flac(soundfile: ModuleType, content: bytes) -> Samples:
    """Decodes a file with the package soundfile.

    Audio with another sample rate, several channels or other than 16 bits is refused: no file of LibriSpeech has them,
    and resampled audio would not be comparable.

    Raises:
      BadAudioError: the file is damaged or of another kind.
    """
    info = stream_info(content)
    for found, expected, unit in (
        (info.sample_rate, SAMPLE_RATE, "samples per second"),
        (info.channels, 1, "channels"),
        (info.bits, 16, "bits per sample"),
    ):
        if found != expected:
            raise BadAudioError(f"has {found:,} {unit}, not {expected:,}")
    try:
        samples, _ = soundfile.read(io.BytesIO(content), dtype="int16")
    except soundfile.SoundFileError as error:
        raise BadAudioError(f"is damaged ({error})") from error
    if info.num_samples and len(samples) != info.num_samples:
        raise BadAudioError(f"is cut short: {len(samples):,} of {info.num_samples:,} samples can be read")
    if any(info.md5) and hashlib.md5(samples.astype("<i2", copy=False).tobytes(), usedforsecurity=False).digest() != (
        info.md5
    ):
        raise BadAudioError("is damaged: the checksum of its samples is wrong")
    return _long_enough(samples)


def load_array(path: pathlib.Path) -> Samples:
    """Loads a file of samples that the reference prepared, one-dimensional integers.

    Raises:
      BadAudioError: the file is damaged or has something else.
    """
    try:
        samples = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadAudioError(f"cannot be read ({error})") from error
    if samples.ndim != 1 or samples.dtype.kind not in "iu":
        raise BadAudioError(f"has numbers of the type {samples.dtype} and {samples.ndim} axes, not integers and one")
    limits = np.iinfo(np.int16)
    if samples.size and not limits.min <= samples.min() <= samples.max() <= limits.max:
        raise BadAudioError("has samples of more than 16 bits")
    return _long_enough(samples.astype(np.int16))


def _long_enough(samples: Samples) -> Samples:
    if len(samples) < FRAME_SAMPLES:
        raise BadAudioError(f"has {len(samples)} samples, fewer than the {FRAME_SAMPLES} of a frame")
    return samples
