"""Finds the files of the Criteo 1TB click logs, and says which split each belongs to.

A day is one file, `day_D` or `day_D.gz`, or several of 5,000,000 lines each (the last has fewer), `day_D_II` or
`day_D_II.gz`. Either way its rows go to files `day_D_II.rows` of as many rows.
"""

import collections
import dataclasses
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence

from algoperf_jax.data import raw_files
from algoperf_jax.errors import DataError
from algoperf_jax.workload import SplitName

LINES_PER_PIECE = 5_000_000
NUM_DAYS = 24
LAST_DAY = NUM_DAYS - 1
NUM_LAST_DAY_PIECES = 36
NUM_TEST_PIECES = 19
"""The first pieces of the last day are the test split, the others are the validation split."""
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")

_NAME = re.compile(r"day_(0|[1-9]\d*)(?:_(\d\d))?(?:\.gz)?")
_MOST_NAMED = 5


@dataclasses.dataclass(frozen=True)
class RawFile:
    """A file of a day.

    Attributes:
      path: the file.
      day: 0 to 23.
      piece: which 5,000,000 lines of the day it has, or None for a whole day.
    """

    path: pathlib.Path
    day: int
    piece: int | None

    @property
    def num_bytes(self) -> int:
        """Size of the file as it is stored."""
        return self.path.stat().st_size


def split_of(day: int, piece: int) -> SplitName:
    """The split that a piece of a day belongs to."""
    if day != LAST_DAY:
        return "train"
    return "test" if piece < NUM_TEST_PIECES else "validation"


def rows_name(day: int, piece: int) -> str:
    """The name of the file with the rows of a piece."""
    return f"day_{day}_{piece:02d}.rows"


def find(folder: pathlib.Path, *, is_partial: bool) -> list[RawFile]:
    """The files in a folder and its subfolders, in the order of days and pieces.

    Args:
      folder: contains the files; hidden and other files are skipped.
      is_partial: whether days and pieces may be missing.

    Raises:
      DataError: there are no files, some are missing, or several have the same lines.
    """
    by_day: dict[int, dict[int | None, RawFile]] = collections.defaultdict(dict)
    for path in raw_files.find_all(folder, "day_*"):
        match = _NAME.fullmatch(path.name)
        if match is None:
            continue
        file = RawFile(path, int(match[1]), None if match[2] is None else int(match[2]))
        if file.day > LAST_DAY:
            raise DataError(
                f"day of {path}", value=file.day, expected=f"0 to {LAST_DAY}", remedy="Move this file elsewhere."
            )
        same = by_day[file.day].setdefault(file.piece, file)
        if same is not file:
            raise _twice(same, file)
    for found in by_day.values():
        if None in found and len(found) > 1:
            raise _twice(*list(found.values())[:2])
    if not by_day:
        raise DataError(f"no files of the Criteo 1TB click logs in {folder}", expected="day_0.gz or day_0_00, ...")
    if not is_partial:
        _check_complete(folder, by_day)
    files = [by_day[day][piece] for day in sorted(by_day) for piece in sorted(by_day[day], key=lambda p: p or 0)]
    possible = {split_of(file.day, file.piece or 0) for file in files}
    if (LAST_DAY, None) in ((file.day, file.piece) for file in files):
        possible.add("validation")
    if lacking := [split for split in SPLITS if split not in possible]:
        raise no_lines_of(lacking, folder)
    return files


def no_lines_of(splits: Sequence[str], folder: pathlib.Path) -> DataError:
    """The error for splits of which there are no lines."""
    return DataError(
        f"{folder} has no lines for {' and '.join(splits)}",
        expected=f"for train any of the days 0 to {LAST_DAY - 1}, for test any of day_{LAST_DAY}_00 to "
        f"day_{LAST_DAY}_{NUM_TEST_PIECES - 1}, for validation any of those after them",
    )


def by_split(pieces: Iterable[tuple[int, int]]) -> Mapping[SplitName, Sequence[tuple[int, int]]]:
    """Split -> its pieces, (day, piece), in the order given; without splits that have none."""
    splits: dict[SplitName, list[tuple[int, int]]] = {}
    for day, piece in pieces:
        splits.setdefault(split_of(day, piece), []).append((day, piece))
    return splits


def _check_complete(folder: pathlib.Path, by_day: Mapping[int, Mapping[int | None, RawFile]]) -> None:
    partial = "To prepare only what is there, for tests, add --option days=partial."
    missing = [f"day_{day}" for day in range(NUM_DAYS) if not by_day.get(day)]
    if missing:
        raise DataError(f"{folder} has no files of {_listed(missing)}", expected="days 0 to 23", remedy=partial)
    for day in range(NUM_DAYS):
        pieces = {piece for piece in by_day[day] if piece is not None}
        if not pieces:
            continue
        count = NUM_LAST_DAY_PIECES if day == LAST_DAY else max(pieces) + 1
        missing = [f"day_{day}_{piece:02d}" for piece in range(count) if piece not in pieces]
        if missing:
            raise DataError(f"{folder} lacks {_listed(missing)}", remedy=partial)
        if len(pieces) != count:
            extra = by_day[day][max(pieces)]
            raise DataError(
                f"{extra.path}",
                expected=f"{count} files of day {day}, of {LINES_PER_PIECE:,} lines each except for the last",
                remedy="Split the day again: split --lines=5000000 --numeric-suffixes --suffix-length=2 day_23 day_23_",
            )


def _twice(first: RawFile, second: RawFile) -> DataError:
    return DataError(f"{first.path} and {second.path} have the same lines", remedy="Move one of them elsewhere.")


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
