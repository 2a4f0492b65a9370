"""How many rows of click logs one core reads, or draws, per second: `python -m workloads.criteo1tb.reading_benchmark`.

Writes files of rows into a temporary folder, and reads them while the system still has them in memory. Measures
processor time, not wall time, so that other work on the machine matters little; the best of several passes.
"""

import argparse
import pathlib
import tempfile
import time
from collections.abc import Callable, Sequence

from algoperf_jax.workload import Placement
from workloads.criteo1tb import builtin, rows
from workloads.criteo1tb.data import RowSource, training_split
from workloads.criteo1tb.rows import RowFile

_REPETITIONS = 5


def write_files(folder: pathlib.Path, count: int, rows_per_file: int) -> list[pathlib.Path]:
    """Writes `count` built-in rows."""
    paths = []
    for piece in builtin.pieces(builtin.FULL, "train", count, rows_per_piece=rows_per_file):
        paths.append(folder / f"day_0_{len(paths):02d}.rows")
        with rows.writer(paths[-1], source={}) as append:
            append(piece.drawn())
    return paths


def open_files(paths: Sequence[pathlib.Path]) -> list[RowFile]:
    """Opens files, none of whose blocks is verified yet."""
    entries = rows.manifest_split(paths).files
    return [
        RowFile(path, entry.bytes // rows.BYTES_PER_ROW, entry.sha256, remedy="")
        for path, entry in zip(paths, entries, strict=True)
    ]


def rows_per_second(
    open_sources: Callable[[], Sequence[RowSource]], count: int, batch_size: int
) -> tuple[float, float]:
    """Rows of batches per second of a processor: in the first pass over `count` rows, and in another one."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(_REPETITIONS):
        reader = training_split(open_sources(), batch_size=batch_size, seed=0, placement=Placement())
        for number in range(2):
            start = time.process_time()
            for k in range(count // batch_size):
                reader.batch(k)
            seconds[number].append(time.process_time() - start)
    whole = count // batch_size * batch_size
    return whole / min(seconds[0]), whole / min(seconds[1])


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(prog="python -m workloads.criteo1tb.reading_benchmark", description=__doc__)
    parser.add_argument("--count", type=int, default=2_097_152, help="number of rows (default: %(default)s)")
    parser.add_argument("--rows-per-file", type=int, default=700_000, help="default: %(default)s")
    parser.add_argument("--batch-size", type=int, nargs="+", default=[262_144, 4_096], help="default: %(default)s")
    options = parser.parse_args(arguments)
    count = options.count
    with tempfile.TemporaryDirectory() as folder:
        paths = write_files(pathlib.Path(folder), count, options.rows_per_file)
        for size in options.batch_size:
            first, again = rows_per_second(lambda: open_files(paths), count, size)
            print(f"batches of {size:>7,}: {first:12,.0f} rows/s from files, each block verified")
            print(f"{'':19}{again:12,.0f} rows/s from files, blocks verified before")
            drawn, _ = rows_per_second(lambda: builtin.pieces(builtin.FULL, "train", count), count, size)
            print(f"{'':19}{drawn:12,.0f} rows/s drawn")


if __name__ == "__main__":
    main()
