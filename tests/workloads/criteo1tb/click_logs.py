"""Lines of click logs, and what they mean, one line and one field at a time."""

import gzip
import pathlib
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from workloads.criteo1tb import rows as row_files
from workloads.criteo1tb.schema import COLUMN_SIZES, INTEGERS

K0, K1, K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F
WORD = 2**64


def fingerprint64(key: bytes) -> int:
    """FarmHash Fingerprint64 of a key of at most 32 bytes, in integers of Python."""

    def word(start: int, size: int = 8) -> int:
        return int.from_bytes(key[start:][:size], "little")

    def rotated(value: int, bits: int) -> int:
        value %= WORD
        return (value >> bits) | (value << (64 - bits)) % WORD

    def mixed(value: int) -> int:
        return value ^ (value >> 47)

    def combined(u: int, v: int, factor: int) -> int:
        a = mixed(((u ^ v) * factor) % WORD)
        return mixed(((v ^ a) * factor) % WORD) * factor % WORD

    length = len(key)
    factor = (K2 + 2 * length) % WORD
    if length > 16:
        a, b, c, d = word(0) * K1, word(8), word(length - 8) * factor, word(length - 16) * K2
        u = (rotated(a + b, 43) + rotated(c, 30) + d) % WORD
        return combined(u, (a + rotated(b + K2, 18) + c) % WORD, factor)
    if length >= 8:
        a, b = (word(0) + K2) % WORD, word(length - 8)
        c = (rotated(b, 37) * factor + a) % WORD
        return combined(c, ((rotated(a, 25) + b) * factor) % WORD, factor)
    if length >= 4:
        return combined((length + (word(0, 4) << 3)) % WORD, word(length - 4, 4), factor)
    if length:
        y = key[0] + (key[length // 2] << 8)
        z = length + (key[-1] << 2)
        return mixed((y * K2 % WORD) ^ (z * K0 % WORD)) * K2 % WORD
    return K2


def row(line: bytes) -> list[int]:
    """The row of a line without its end; raises ValueError with the number of the column that is wrong (0: of all)."""
    fields = line.split(b"\t")
    if len(fields) != 40:
        raise ValueError(0)
    values = []
    for number, field in enumerate(fields, start=1):
        if number <= INTEGERS.stop:
            digits = field.removeprefix(b"-")
            if field and (not 0 < len(digits) <= 10 or set(digits) - set(b"0123456789")):
                raise ValueError(number)
            value = int(field or b"0")
            if not -(2**31) <= value < 2**31 or (number == 1 and value not in (-1, 0, 1)):
                raise ValueError(number)
            values.append(0 if value == -1 else value)
        else:
            text = b"00000000" if field in (b"", b"-1") else field
            if len(text) > 16 or set(text) - set(b"0123456789abcdef"):
                raise ValueError(number)
            index = number - 1 - INTEGERS.stop
            bucket = fingerprint64(text + str(index).encode()) % COLUMN_SIZES[index]
            values.append(int(np.float32(bucket)))
    return values


def line(rng: np.random.Generator, *, integer: Callable[[], str] | None = None) -> str:
    """A random line without its end, of which every tenth field is missing."""

    def present(field: str) -> str:
        return field if rng.random() > 0.1 else ""

    integer = integer or (lambda: str(int(np.exp(rng.uniform(-1, 16))) - 2))
    fields = [str(rng.integers(2)), *(present(integer()) for _ in range(13))]
    return "\t".join([*fields, *(present(f"{rng.integers(2**32):08x}") for _ in range(26))])


def lines(count: int, *, seed: int = 0) -> list[str]:
    """Random lines without their ends."""
    rng = np.random.default_rng(seed)
    return [line(rng) for _ in range(count)]


def text(chosen: Iterable[str], *, end: str = "\n") -> bytes:
    """Lines as the content of a file."""
    return "".join(f"{line}{end}" for line in chosen).encode()


def write(path: pathlib.Path, content: bytes) -> pathlib.Path:
    """Writes a file, gzipped if its name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)
    return path


def rows(chosen: Sequence[str]) -> np.ndarray:
    """The rows of lines, int32 [lines, 40]."""
    return np.array([row(line.encode()) for line in chosen], np.int32).reshape(-1, 40)


def write_all_days(folder: pathlib.Path, *, lines_per_piece: int) -> dict[str, int]:
    """Writes 24 days, of which 0 to 21 are one file, 22 and 23 several; returns the number of rows of each split."""
    content, part = text(lines(lines_per_piece)), text(lines(3))
    for day in range(22):
        write(folder / f"day_{day}.gz", content + part)
    for day, count in ((22, 2), (23, 36)):
        for piece in range(count):
            write(folder / f"day_{day}_{piece:02d}", part if piece == count - 1 else content)
    return {
        "train": 23 * (lines_per_piece + 3),
        "test": 19 * lines_per_piece,
        "validation": 16 * lines_per_piece + 3,
    }


def stored(folder: pathlib.Path, name: str) -> np.ndarray:
    """The rows in a file of rows, int32 [rows, 40]."""
    assert row_files.complete(folder / name) is not None
    return np.fromfile(folder / name, "<i4").reshape(-1, 40)


def times(folder: pathlib.Path) -> dict[str, int]:
    """Name -> time of the last change of each file of rows, hidden ones too."""
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if ".rows" in path.name}
