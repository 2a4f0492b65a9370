"""Functions that worker processes import."""

import dataclasses
import os
import signal
from typing import Any

import numpy as np

from algoperf_jax.errors import DataError


@dataclasses.dataclass(frozen=True)
class Multiples:
    """Fills a row with a multiple of the request, and fails on demand."""

    factor: int

    def __call__(self, request: Any, row: np.ndarray) -> None:
        if request == "bad record":
            raise DataError("photo 7 is damaged", value="xyz", expected="a JPEG")
        if request == "defect":
            raise ZeroDivisionError("a defect")
        if request == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        row[...] = self.factor * request


def process_of(request: Any, row: np.ndarray) -> None:
    del request
    row[...] = os.getpid()
