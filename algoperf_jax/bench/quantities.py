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
    """How far the samples of a quantity lie apart, in its unit.

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
      value: the median where there is a spread.
      spread: of repeated measurements, or None.
      note: what a reader must know besides.
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
