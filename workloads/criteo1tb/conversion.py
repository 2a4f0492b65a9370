"""Converts files of click logs to files of rows, several at a time in processes of their own.

What is complete is kept, whatever happens to the other files, and not converted again. The rows of a day that is one
file are cut into files, which are complete one after another; the day then continues with the first that is missing.
"""

import concurrent.futures
import contextlib
import dataclasses
import logging
import os
import pathlib
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from algoperf_jax.data.workers import WorkerPool
from algoperf_jax.errors import DataError
from workloads.criteo1tb import parsing, raw_text, rows
from workloads.criteo1tb.raw_days import RawFile, rows_name

MAX_PIECES = 100
"""Of a day; their numbers have two digits."""
_KEPT_BYTES = 31 << 20
_KILLED = "Signal 9 often means out of memory: try fewer processes with --option=processes=N. What is complete is kept."
_POLL_SEC = 0.1

_logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Job:
    """One file to convert.

    Attributes:
      file: the raw file.
      folder: where the rows go.
      lines_per_piece: number of rows in a file of rows, except for the last one of a day.
      must_be_full: whether the file must have that many lines.
    """

    file: RawFile
    folder: pathlib.Path
    lines_per_piece: int
    must_be_full: bool

    def __str__(self) -> str:
        return str(self.file.path)


def kept(job: Job) -> list[int]:
    """The numbers of rows in the files of rows that earlier conversions left complete, from the first on."""
    counts = []
    for piece in range(MAX_PIECES) if job.file.piece is None else (0,):
        found = rows.complete(job.folder / _name(job, piece))
        if found is None or found.source != _source(job, piece):
            break
        counts.append(found.num_rows)
    return counts


def is_complete(job: Job) -> bool:
    """Whether nothing remains to be done; a day that seems to end with a full file is looked at again."""
    counts = kept(job)
    if job.file.piece is None:
        return bool(counts) and counts[-1] < job.lines_per_piece
    return bool(counts) and (counts[0] == job.lines_per_piece or not job.must_be_full)


def convert(job: Job, *, check: Callable[[], None] = lambda: None) -> list[int]:
    """Converts one file in this process.

    Args:
      job: the file.
      check: called every some thousand lines; may raise an exception.

    Returns:
      The number of rows in each file of rows.

    Raises:
      DataError: the raw file is damaged, or a line is not valid; names file and line.
    """
    try:
        return _convert(job, raw_text.Lines(job.file.path), check)
    except raw_text.CorruptFileError:
        # The checksum of a day comes last, when most of its rows are written.
        for piece in range(len(kept(job))):
            (job.folder / _name(job, piece)).unlink()
        raise
    except OSError as error:
        raise DataError(
            f"converting {job} failed ({error})",
            remedy="Fix this, then run the command again. What is complete is kept.",
        ) from error


def convert_all(jobs: Sequence[Job], *, processes: int) -> Mapping[RawFile, list[int]]:
    """Converts files in as many processes, and says when each is complete.

    Returns:
      File -> the number of rows in each of its files of rows.

    Raises:
      DataError: as `convert`, for the first file that fails; the other processes are ended.
    """
    results: dict[RawFile, list[int]] = {}
    stopped = threading.Event()

    def work(job: Job) -> list[int]:
        counts = np.zeros((1, MAX_PIECES), np.int64)
        if not stopped.is_set():
            pool.fill(_convert_for_parent, [_Request(job, os.getpid())], counts)
        return [int(count) for count in counts[0] if count]

    # A thread for each process waits for it.
    with concurrent.futures.ThreadPoolExecutor(processes) as threads:
        pool = WorkerPool(processes if processes > 1 else 0, remedy=_KILLED)
        futures = {threads.submit(work, job): job for job in jobs}
        try:
            for future in concurrent.futures.as_completed(futures):
                job, counts = futures[future], future.result()
                results[job.file] = counts
                _logger.info("%s: %s rows (%d of %d)", job.file.path.name, f"{sum(counts):,}", len(results), len(jobs))
        finally:
            stopped.set()
            for future in futures:
                future.cancel()
            pool.close()
            # A thread that had not seen `stopped` yet may have started the processes again.
            while concurrent.futures.wait(futures, timeout=_POLL_SEC).not_done:
                pool.close()
    return results


def _convert(job: Job, lines: raw_text.Lines, check: Callable[[], None]) -> list[int]:
    counts: list[int] = []
    while block := lines.take(job.lines_per_piece):
        if len(counts) == MAX_PIECES:
            raise DataError(
                f"{job} has more than {job.lines_per_piece * MAX_PIECES} lines",
                expected="one day of the Criteo 1TB click logs",
            )
        counts.append(_convert_piece(job, len(counts), lines, block, check))
    return counts


def keep_freed_memory() -> None:
    """Makes glibc keep the memory of freed arrays in the process.

    It returns large blocks to the system, and new ones cost a page fault for each 4 KiB, until it has seen a block of
    that size freed (`man mallopt`, M_MMAP_THRESHOLD). Parsing takes half as long with this.
    """
    np.empty(_KEPT_BYTES, np.uint8)


@dataclasses.dataclass(frozen=True)
class _Request:
    """A job for the process `parent`."""

    job: Job
    parent: int

    def __str__(self) -> str:
        return str(self.job)


def _convert_for_parent(request: _Request, row: np.ndarray) -> None:
    """Writes the result of `convert` into `row`, in a worker process or in the one that asks for it."""

    def check() -> None:
        # A worker whose parent was killed must not go on writing, since another preparation may have begun.
        if request.parent not in (os.getpid(), os.getppid()):
            os._exit(1)

    keep_freed_memory()
    counts = convert(request.job, check=check)
    row[: len(counts)] = counts


def _convert_piece(job: Job, piece: int, lines: raw_text.Lines, block: bytes, check: Callable[[], None]) -> int:
    """Converts the lines of one file of rows, of which `block` are the first, or skips them if it is complete."""
    path, source = job.folder / _name(job, piece), _source(job, piece)
    found = rows.complete(path)
    is_kept = found is not None and found.source == source
    count = 0
    with contextlib.nullcontext(None) if is_kept else rows.writer(path, source=source) as write:
        while block:
            check()
            count += block.count(b"\n") if write is None else _convert_block(job, lines, block, write)
            block = lines.take(job.lines_per_piece - count) if count < job.lines_per_piece else b""
        if job.file.piece is not None:
            # This also reads to the end, where the checksum is.
            more = lines.take(1)
            if more or (job.must_be_full and count != job.lines_per_piece):
                raise _wrong_count(job, f"more than {count}" if more else count)
    if is_kept and found is not None and count != found.num_rows:
        raise DataError(f"{job} has changed since {path} was made from it", remedy="Add --force to start again.")
    return count


def _convert_block(job: Job, lines: raw_text.Lines, block: bytes, write: Callable[[np.ndarray], None]) -> int:
    try:
        found = parsing.parse(block)
    except parsing.BadLineError as error:
        number = lines.count - block.count(b"\n") + error.line + 1
        what = "number of columns in" if error.column is None else f"column {error.column} of"
        raise DataError(
            f"{what} line {number} of {job}",
            value=error.value,
            expected=error.expected,
            remedy="Get the file again. What is complete is kept.",
        ) from error
    write(found)
    return len(found)


def _wrong_count(job: Job, count: int | str) -> DataError:
    return DataError(
        f"number of lines in {job}",
        value=count,
        expected=str(job.lines_per_piece) + ("" if job.must_be_full else " or fewer"),
        remedy="Files day_D_II have 5,000,000 lines each, only the last one of a day has fewer. Split the day again.",
    )


def _name(job: Job, piece: int) -> str:
    return rows_name(job.file.day, piece if job.file.piece is None else job.file.piece)


def _source(job: Job, piece: int) -> Mapping[str, Any]:
    return {
        "name": job.file.path.name,
        "bytes": job.file.num_bytes,
        "first_line": piece * job.lines_per_piece,
        "lines_per_piece": job.lines_per_piece,
    }
