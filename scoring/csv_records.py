"""Reads CSV files whose last row may be incomplete, because the writer was stopped or is still writing."""

import csv
import dataclasses
import io
import pathlib

from scoring.errors import ScoringError

_BLANK = " \t\r\n\0"
_NO_TEXT = "\N{REPLACEMENT CHARACTER}"


@dataclasses.dataclass(frozen=True)
class Records:
    """The records of a CSV file.

    Attributes:
      header: the first record with content.
      header_row: its number; the first record of the file is 1.
      rows: the other records with content, with their numbers. A last record that cannot be read has one cell, the
        replacement character.
      ignored: numbers of the records that are empty or repeat the header, with the reason.
      ends_with_line_end: whether the last of `rows` is known to be complete.
    """

    header: list[str]
    header_row: int
    rows: list[tuple[int, list[str]]]
    ignored: list[tuple[int, str]]
    ends_with_line_end: bool


def _parse(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True))


def _parse_all_but_a_cut_end(path: pathlib.Path, content: bytes, shown: str) -> list[list[str]]:
    try:
        return _parse(content)
    except (UnicodeDecodeError, csv.Error) as error:
        # Cut inside a multi-byte character or inside quotes: the lines before are complete.
        before, line_end, _ = content.rstrip(_BLANK.encode()).rpartition(b"\n")
        try:
            if line_end:
                return [*_parse(before), [_NO_TEXT]]
        except (UnicodeDecodeError, csv.Error):
            pass
        raise ScoringError(f"{shown}: cannot be read as CSV ({error})") from error


def read_records(path: pathlib.Path, shown: str) -> Records | None:
    """Reads the records of a file.

    Args:
      path: the file.
      shown: its name in error messages.

    Returns:
      Its records, or None if it has no content.

    Raises:
      ScoringError: the file, except for its last line, is not CSV in UTF-8.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ScoringError(f"{shown}: cannot be read as CSV ({error})") from error
    header, header_row, rows, ignored = [], 0, [], []
    for number, cells in enumerate(_parse_all_but_a_cut_end(path, content, shown), 1):
        text = "".join(cells)
        if len(cells) <= 1 and not text.strip(_BLANK):
            if header:
                ignored.append((number, "line of NUL bytes dropped" if "\0" in text else "empty line dropped"))
        elif not header:
            header, header_row = cells, number
        elif cells == header:
            ignored.append((number, "repeated header dropped"))
        else:
            rows.append((number, cells))
    if not header:
        return None
    return Records(header, header_row, rows, ignored, content.rstrip(b" \t\0").endswith((b"\n", b"\r")))
