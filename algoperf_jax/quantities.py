"""Measured quantities."""

import dataclasses
from collections.abc import Sequence

import numpy as np

SECONDS = "s"
BYTES = "B"
COUNT = "count"
EXAMPLES_PER_SECOND = "examples/s"
BATCHES_PER_SECOND = "batches/s"


@dataclasses.dataclass(frozen=True)
class Spread:
    """The spread of a quantity's samples, in its unit.

    Attributes:
      minimum: the smallest sample.
      p90: the 90th percentile, interpolated.
      samples: number of samples.
    """

    minimum: float
    p90: float
    samples: int


@dataclasses.dataclass(frozen=True)
class Quantity:
    """One measured quantity.

    Attributes:
      name: what was measured, unique within a report.
      unit: unit of the value: `s`, `B`, `count`, `examples/s` or `batches/s`.
      value: the measured value; the median if there is a spread.
      spread: the spread of repeated measurements, or None.
      note: further information for the reader.
    """

    name: str
    unit: str
    value: float
    spread: Spread | None = None
    note: str = ""


def median(name: str, samples: Sequence[float], *, note: str = "") -> Quantity:
    """The median of samples in seconds, with their spread."""
    spread = Spread(float(np.min(samples)), float(np.percentile(samples, 90)), len(samples))
    return Quantity(name, SECONDS, float(np.median(samples)), spread, note)


def shown(value: float, unit: str) -> str:
    """Formats a value to four digits, with a unit that suits its size."""
    if unit == SECONDS:
        for size, name in ((1.0, "s"), (1e-3, "ms")):
            if value >= size or value == 0:
                return f"{value / size:.4g} {name}"
        return f"{value * 1e6:.4g} µs"
    if unit == BYTES:
        for size, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
            if value >= size:
                return f"{value / size:.4g} {name}"
        return f"{value:.4g} B"
    number = f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:.4g}"
    return number if unit == COUNT else f"{number} {unit}"
