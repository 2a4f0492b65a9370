import numpy as np
import pytest

from tests.workloads.criteo1tb import click_logs
from workloads.criteo1tb import hashing

# Of keys 0, 1, 2, ... of each length, with the package pyfarmhash 0.5.1.
PUBLISHED = {
    0: 0x9AE16A3B2F90404F,
    1: 0xBE6056EDF5E94B54,
    2: 0xC2A04665ED038D75,
    3: 0x94A13D22E9EBA49A,
    4: 0x82BFFD898958E540,
    7: 0xA2E0BFF20DB0A6A1,
    8: 0xAD5A13E1E8E93B98,
    9: 0x81371E150E4AD84F,
    10: 0x9B704DB2B2D6FFEA,
    16: 0x0EFD25A0A34156D4,
    17: 0xBBB6A6F8F20D1F1C,
    24: 0x3F3B313DCBD16EC7,
    32: 0x1A9D8199972CDF49,
}
# Modulo 2^62, of the operation of TensorFlow that the reference uses.
PROBES = {"68fd1e640": 4454328173238883915, "68fd1e6425": 1716711955746752302, "000000000": 2271946735276985195}


def counting(length: int) -> np.ndarray:
    return np.arange(length, dtype=np.uint8)


@pytest.mark.parametrize("length", PUBLISHED)
def test_fingerprints_are_those_of_farmhash(length: int) -> None:
    key = counting(length)
    assert hashing.fingerprint64(key[None]).tolist() == [PUBLISHED[length]]
    assert click_logs.fingerprint64(key.tobytes()) == PUBLISHED[length]


@pytest.mark.parametrize("length", range(hashing.LONGEST_KEY + 1))
def test_any_keys_agree_with_one_at_a_time(length: int) -> None:
    keys = np.random.default_rng(length).integers(256, size=(50, length), dtype=np.uint8)
    assert hashing.fingerprint64(keys).tolist() == [click_logs.fingerprint64(key.tobytes()) for key in keys]


def test_long_keys_are_refused() -> None:
    with pytest.raises(ValueError, match="keys of 33 bytes; at most 32"):
        hashing.fingerprint64(np.zeros((1, 33), np.uint8))


@pytest.mark.parametrize("key", PROBES)
def test_ids_and_columns_are_hashed_as_one_key(key: str) -> None:
    word = np.array([[int.from_bytes(key[:8].encode(), "little")]], np.uint64)
    (found,) = hashing.fingerprints_of_ids(word, [int(key[8:])])[0]
    assert int(found) % 2**62 == PROBES[key]
    assert found == hashing.fingerprint64(np.frombuffer(key.encode(), np.uint8)[None])[0]


def test_each_column_has_its_own_number() -> None:
    ids = np.random.default_rng(0).integers(2**64, size=(16, 3), dtype=np.uint64)
    expected = [
        [click_logs.fingerprint64(word.tobytes() + str(number).encode()) for word in words]
        for number, words in enumerate(ids, start=10)
    ]
    before = ids.copy()
    assert hashing.fingerprints_of_ids(ids, range(10, 26)).tolist() == expected
    np.testing.assert_array_equal(ids, before)
