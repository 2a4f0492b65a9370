"""Criteo 1TB click logs: converts the files of 24 days to files of rows, see `rows` and `schema`.

The logs may not be passed on by others, so get them from https://ailab.criteo.com/download-criteo-1tb-click-logs-dataset/
(day_0.gz to day_23.gz). Days 0 to 22 are for training, the first 95,000,000 lines of day 23 for the test, the rest for
validation.
"""

import logging
import math
import pathlib
import shutil
from collections.abc import Mapping, Sequence

from algoperf_jax.data.continued import Written
from algoperf_jax.data.download import Download
from algoperf_jax.data.workers import usable_cores
from algoperf_jax.errors import ConfigError, DataError
from workloads.criteo1tb import conversion, raw_days, raw_text, rows
from workloads.criteo1tb.conversion import Job
from workloads.criteo1tb.raw_days import RawFile

DATASET = rows.DATASET
DOWNLOADS: tuple[Download, ...] = ()
OPTIONS = ("days", "processes")
"""`days=partial` prepares the files that are there, even if some are missing; `processes=N` converts N at a time."""
NUM_ROWS: Mapping[str, int] = {"train": 4_195_197_692, "validation": 83_274_637, "test": 95_000_000}
"""Of the published files."""

_GIGABYTE = 1e9

_logger = logging.getLogger(__name__)


def check(folder: pathlib.Path, *, days: str = "all", processes: str | None = None) -> None:
    """Raises the errors of `convert_into` that are known before a file is read; see there."""
    _find(folder, days, processes)


def convert_into(
    folder: pathlib.Path, own: pathlib.Path, *, days: str = "all", processes: str | None = None
) -> Written:
    """Converts the files in `folder`; see `conversion` for what is kept of an earlier try.

    Args:
      folder: contains the files of the days; see `raw_days`.
      own: where the rows go.
      days: `all`, or `partial` if days and files may be missing.
      processes: how many files are converted at a time, or None for one on each core.

    Raises:
      DataError: files are missing or not valid, or the disk is too small.
      ConfigError: an option is not valid.
    """
    files = _find(folder, days, processes)
    is_partial = days == "partial"
    jobs = jobs_of(files, own, is_partial=is_partial)
    missing = [job for job in jobs if not conversion.is_complete(job)]
    counts = {job.file: conversion.kept(job) for job in jobs}
    rows.remove_interrupted(own)
    check_space(needed_bytes(missing, counts, is_partial=is_partial), shutil.disk_usage(own).free, own)
    counts |= conversion.convert_all(missing, processes=int(processes) if processes else usable_cores())
    pieces = [
        (file.day, piece)
        for file in files
        for piece in (range(len(counts[file])) if file.piece is None else (file.piece,))
    ]
    splits = {
        split: rows.manifest_split([own / raw_days.rows_name(*piece) for piece in found])
        for split, found in raw_days.by_split(pieces).items()
    }
    if lacking := [split for split in raw_days.SPLITS if split not in splits]:
        # Only seen now if day 23 is one file, with fewer lines than published.
        raise raw_days.no_lines_of(lacking, folder)
    if not is_partial:
        _compare({split: found.examples for split, found in splits.items()})
    return Written(splits, {"days": days})


def jobs_of(files: Sequence[RawFile], own: pathlib.Path, *, is_partial: bool) -> list[Job]:
    """What to convert; if no day may be missing, all files of a day but the last must be full."""
    last = {file.day: file.piece for file in files}
    return [
        Job(
            file,
            own,
            lines_per_piece=raw_days.LINES_PER_PIECE,
            must_be_full=not is_partial and file.piece is not None and file.piece != last[file.day],
        )
        for file in files
    ]


def needed_bytes(missing: Sequence[Job], kept: Mapping[RawFile, Sequence[int]], *, is_partial: bool) -> int:
    """How much disk space the missing files of rows need; estimated from samples unless the number of rows is known.

    Args:
      missing: the files to be converted.
      kept: file -> numbers of rows of the files that are complete.
      is_partial: whether there may be fewer rows than published.
    """
    if not missing:
        return 0
    if not is_partial:
        num_rows = sum(NUM_ROWS.values()) - sum(sum(counts) for counts in kept.values())
    else:
        num_rows = sum(
            math.ceil(job.file.num_bytes / raw_text.bytes_per_line(job.file.path)) - sum(kept[job.file])
            for job in missing
        )
    return max(0, num_rows) * rows.BYTES_PER_ROW


def check_space(needed: int, free: int, folder: pathlib.Path) -> None:
    """Says how much disk space is needed and free, both in bytes.

    Raises:
      DataError: there is too little.
    """
    amounts = f"{needed / _GIGABYTE:,.3f} GB of disk space are needed in {folder}, {free / _GIGABYTE:,.3f} GB are free"
    _logger.info("%s", amounts)
    if needed > free:
        raise DataError(amounts, remedy="Free some, or choose another --data_dir. What is complete is kept.")


def _find(folder: pathlib.Path, days: str, processes: str | None) -> list[RawFile]:
    if days not in ("all", "partial"):
        raise ConfigError("--option days", value=days, expected="all or partial")
    if processes is not None and not (processes.isdecimal() and int(processes) > 0):
        raise ConfigError("--option processes", value=processes, expected="a number of processes, at least 1")
    return raw_days.find(folder, is_partial=days == "partial")


def _compare(found: Mapping[str, int]) -> None:
    for split, count in found.items():
        if count != NUM_ROWS[split]:
            _logger.warning(
                "criteo1tb: %s has %s rows, not the %s of the published files: results are not comparable with "
                "published ones",
                split,
                f"{count:,}",
                f"{NUM_ROWS[split]:,}",
            )
