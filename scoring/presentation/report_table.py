"""A table with its title, caption and number formats."""

import dataclasses
import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

MISS = "miss"


@dataclasses.dataclass(frozen=True)
class ReportTable:
    """A table of a report.

    Attributes:
      name: stem of its files, of letters, digits, underscores and hyphens.
      title: its heading.
      caption: what the columns mean, with units.
      table: the cells. The index is not shown.
      formats: column -> Python format specification of its numbers, such as ".4f".

    Raises:
      ValueError: `name` has other characters, or `formats` names a missing column.
    """

    name: str
    title: str
    caption: str
    table: pd.DataFrame
    formats: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Checks the names."""
        if not re.fullmatch(r"[A-Za-z0-9_-]+", self.name):
            raise ValueError(f"name of a table: {self.name!r}; expected letters, digits, underscores and hyphens")
        unknown = sorted(set(self.formats) - set(self.columns))
        if unknown:
            raise ValueError(
                f"table {self.name}: a format for the missing column {unknown[0]!r}; it has {self.columns}"
            )

    @property
    def columns(self) -> list[str]:
        """The headings, in order."""
        return [str(column) for column in self.table.columns]

    @property
    def numeric(self) -> list[bool]:
        """Which columns hold numbers; booleans do not count."""
        return [
            pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype)
            for dtype in self.table.dtypes
        ]

    def cells(self) -> list[list[str]]:
        """The cells as text, row by row: infinite numbers are misses, unknown ones are empty."""
        specifications = [self.formats.get(column, "") for column in self.columns]
        return [
            [shown(value, specification) for value, specification in zip(row, specifications, strict=True)]
            for row in self.table.itertuples(index=False, name=None)
        ]


def shown(value: object, specification: str = "") -> str:
    """A cell as text on one line.

    Args:
      value: a number, text, boolean, or one of pandas' missing values.
      specification: format specification of numbers; if empty, integers are in full and others to six digits.
    """
    if value is None or value is pd.NA or value is pd.NaT:
        return ""
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (float, np.floating)):
        if np.isnan(value):
            return ""
        if value == np.inf:
            return MISS
        return format(value, specification or "g")
    if isinstance(value, (int, np.integer)):
        return format(value, specification)
    # Names of directories may contain anything: line ends would break tables, and escape sequences terminals.
    return "".join(
        letter if letter.isprintable() else " " if letter.isspace() else "\N{REPLACEMENT CHARACTER}"
        for letter in str(value)
    )
