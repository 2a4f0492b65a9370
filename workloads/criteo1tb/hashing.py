"""FarmHash Fingerprint64 of many short keys at once, in numpy.

FarmHash: https://github.com/google/farmhash, whose Fingerprint64 never changes. Keys of one length are hashed together,
and up to 32 bytes long. All arithmetic is modulo 2^64, which numpy's unsigned integers do without a warning in arrays.
"""

from collections.abc import Sequence

import numpy as np

ID_BYTES = 8
"""Length of the ids that `fingerprints_of_ids` hashes."""
LONGEST_KEY = 32

_K0 = 0xC3A5C85C97CB3127
_K1 = 0xB492B66FBE98F273
_K2 = 0x9AE16A3B2F90404F


def fingerprint64(keys: np.ndarray) -> np.ndarray:
    """Fingerprint64 of keys of one length.

    Args:
      keys: uint8 [n, length], length at most `LONGEST_KEY`.

    Returns:
      uint64 [n].

    Raises:
      ValueError: the keys are too long.
    """
    length = keys.shape[1]
    if length > LONGEST_KEY:
        raise ValueError(f"keys of {length} bytes; at most {LONGEST_KEY}")
    multiplier = _constant(_K2 + 2 * length)
    if length > 16:
        a = _word(keys, 0, 8) * _constant(_K1)
        b = _word(keys, 8, 8)
        c = _word(keys, length - 8, 8) * multiplier
        d = _word(keys, length - 16, 8) * _constant(_K2)
        u = _rotated(a + b, 43) + _rotated(c, 30) + d
        return _mixed(u, a + _rotated(b + _constant(_K2), 18) + c, multiplier)
    if length >= 8:
        return _of_8_to_16_bytes(_word(keys, 0, 8), _word(keys, length - 8, 8), length)
    if length >= 4:
        u = _constant(length) + (_word(keys, 0, 4) << _constant(3))
        return _mixed(u, _word(keys, length - 4, 4), multiplier)
    if length > 0:
        first, middle, last = (keys[:, index].astype(np.uint64) for index in (0, length // 2, length - 1))
        y = first + (middle << _constant(8))
        z = _constant(length) + (last << _constant(2))
        mixed = (y * _constant(_K2)) ^ (z * _constant(_K0))
        return (mixed ^ (mixed >> _constant(47))) * _constant(_K2)
    return np.full(len(keys), _K2, np.uint64)


def fingerprints_of_ids(ids: np.ndarray, suffixes: Sequence[int]) -> np.ndarray:
    """Fingerprint64 of ids of eight characters, each followed by a number in decimal.

    Args:
      ids: uint64 [columns, n], the characters of an id as a little-endian word.
      suffixes: the number that follows the ids of each column; all have the same number of digits.

    Returns:
      uint64 [columns, n].
    """
    digits = [str(suffix).encode() for suffix in suffixes]
    (count,) = {len(text) for text in digits}
    ends = np.array([int.from_bytes(text.rjust(8, b"\0"), "little") for text in digits], np.uint64)
    last_words = ids >> _constant(8 * count)
    last_words |= ends[:, None]
    return _of_8_to_16_bytes(ids, last_words, ID_BYTES + count)


def _of_8_to_16_bytes(first: np.ndarray, last: np.ndarray, length: int) -> np.ndarray:
    """Of keys with these first and last eight bytes; in place where possible, as there are billions of them."""
    multiplier = _constant(_K2 + 2 * length)
    a = first + _constant(_K2)
    c = _rotated(last, 37)
    c *= multiplier
    c += a
    d = _rotated(a, 25)
    d += last
    d *= multiplier
    return _mixed(c, d, multiplier)


def _mixed(u: np.ndarray, v: np.ndarray, multiplier: np.uint64) -> np.ndarray:
    """Two words combined into one; overwrites `u`."""
    u ^= v
    u *= multiplier
    u ^= u >> _constant(47)
    u ^= v
    u *= multiplier
    u ^= u >> _constant(47)
    u *= multiplier
    return u


def _rotated(words: np.ndarray, bits: int) -> np.ndarray:
    """Words rotated to the right."""
    rotated = words >> _constant(bits)
    rotated |= words << _constant(64 - bits)
    return rotated


def _word(keys: np.ndarray, first: int, size: int) -> np.ndarray:
    """The bytes `first` to `first + size` of all keys as little-endian words, uint64 [n]."""
    return np.ascontiguousarray(keys[:, first : first + size]).view(f"<u{size}")[:, 0].astype(np.uint64)


def _constant(value: int) -> np.uint64:
    return np.uint64(value % 2**64)
