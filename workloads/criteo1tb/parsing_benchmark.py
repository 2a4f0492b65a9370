"""How many lines of click logs one core converts per second: `python -m workloads.criteo1tb.parsing_benchmark`.

Takes the lines of a file, or makes some like the published ones, with missing fields and Zipf-like categories.
Measures processor time, not wall time; the best of several repetitions.
"""

import argparse
import gzip
import itertools
import pathlib
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from workloads.criteo1tb import conversion, parsing, raw_days, raw_text
from workloads.criteo1tb.raw_days import RawFile
from workloads.criteo1tb.schema import NUM_CATEGORIES, NUM_INTEGERS

_MISSING = 0.1
_CHUNK = 10_000
_MOST = 1 << 62


def generated(num_lines: int) -> Iterator[bytes]:
    """Yields lines, always the same."""
    rng = np.random.default_rng(0)
    for first in range(0, num_lines, _CHUNK):
        count = min(_CHUNK, num_lines - first)
        integers = np.exp(np.minimum(rng.exponential(2, (count, NUM_INTEGERS)), 20)).astype(np.int64) - 1
        integers[:, 1] -= 1  # In the published files, only this column may be -1.
        categories = rng.zipf(1.2, (count, NUM_CATEGORIES)) % 2**32 * 0x9E3779B1 % 2**32
        integer_missing = rng.random(integers.shape) < _MISSING
        category_missing = rng.random(categories.shape) < _MISSING
        for line in range(count):
            fields = [str(int(rng.random() < 0.03))]
            fields += ["" if no else str(n) for n, no in zip(integers[line], integer_missing[line], strict=True)]
            fields += ["" if no else f"{n:08x}" for n, no in zip(categories[line], category_missing[line], strict=True)]
            yield ("\t".join(fields) + "\n").encode()


def seconds(function: Callable[[], object], repetitions: int) -> float:
    """The least processor time of a call."""
    measured = []
    for _ in range(repetitions):
        begin = time.process_time()
        function()
        measured.append(time.process_time() - begin)
    return min(measured)


def blocks(path: pathlib.Path) -> list[bytes]:
    """The lines of a file, as the conversion takes them."""
    lines = raw_text.Lines(path)
    return list(iter(lambda: lines.take(_MOST), b""))


def decompress(path: pathlib.Path, library: Any) -> None:
    """Decompresses a file with one member, and drops the content."""
    member = library.decompressobj(zlib.MAX_WBITS + 16)
    with path.open("rb") as file:
        while content := file.read(raw_text.READ_BYTES):
            member.decompress(content)


def convert(path: pathlib.Path) -> None:
    """Converts a file in this process, as the preparation does."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        job = conversion.Job(RawFile(path, 0, 0), pathlib.Path(folder), raw_days.LINES_PER_PIECE, must_be_full=False)
        conversion.convert(job)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(prog="python -m workloads.criteo1tb.parsing_benchmark", description=__doc__)
    parser.add_argument("--file", type=pathlib.Path, help="a text file of lines; default: generated lines")
    parser.add_argument("--lines", type=int, default=200_000, help="most lines (default: %(default)s)")
    parser.add_argument("--repetitions", type=int, default=5, help="default: %(default)s")
    options = parser.parse_args(arguments)
    conversion.keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        plain, gzipped = pathlib.Path(folder, "day_0_00"), pathlib.Path(folder, "day_0_00.gz")
        with plain.open("wb") as file:
            file.writelines(
                itertools.islice(options.file.open("rb"), options.lines) if options.file else generated(options.lines)
            )
        gzipped.write_bytes(gzip.compress(plain.read_bytes(), compresslevel=6))
        taken = blocks(plain)
        count = sum(block.count(b"\n") for block in taken)
        size, packed = plain.stat().st_size, gzipped.stat().st_size
        print(f"{count:,} lines of {size / count:.0f} bytes, {packed / count:.0f} compressed")
        parts: dict[str, Callable[[], object]] = {
            "decompressing, zlib": lambda: decompress(gzipped, zlib),
            f"decompressing, {raw_text.decompression.__name__}": lambda: decompress(gzipped, raw_text.decompression),
            "parsing": lambda: [parsing.parse(block) for block in taken],
            "all, from gzipped lines": lambda: convert(gzipped),
            "all, from plain lines": lambda: convert(plain),
        }
        for name, function in parts.items():
            needed = seconds(function, options.repetitions)
            print(f"{name:>30}: {count / needed:11,.0f} lines/s, {needed / count * 1e9:6,.0f} ns each")


if __name__ == "__main__":
    main()
