"""Collects the scalars that submissions log during training."""

import numbers
import operator
from collections.abc import Iterator, Mapping
from typing import Any

import jax

from algoperf_jax.errors import SubmissionError
from algoperf_jax.trial.events import Event


class ScalarLog:
    """The `workload.metrics_logger` of submissions.

    Logging does not wait for the devices: arrays are kept, and read when they are ready.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[int, dict[str, Any]]] = []

    def append_scalar_metrics(self, metrics: Mapping[str, Any], global_step: int) -> None:
        """Logs name -> number or 0-d array; arrays that are donated before they are read are dropped.

        Raises:
          SubmissionError: a value is neither.
        """
        for name, value in metrics.items():
            if not isinstance(value, numbers.Number) and getattr(value, "shape", None) != ():
                raise SubmissionError(
                    f"metrics_logger.append_scalar_metrics: {name}", value=value, expected="a number or 0-d array"
                )
        self._waiting.append((operator.index(global_step), dict(metrics)))

    def take(self, *, only_ready: bool = False) -> Iterator[Event]:
        """Removes and yields the logged scalars as `train` events: all, waiting if needed, or only those that are
        ready.
        """
        while self._waiting:
            step, metrics = self._waiting[0]
            if only_ready and not all(_is_ready(value) for value in metrics.values()):
                return
            self._waiting.pop(0)
            values = {name: float(value) for name, value in metrics.items() if not _is_donated(value)}
            yield Event("train", step, {}, values)


def _is_ready(value: Any) -> bool:
    return _is_donated(value) or not hasattr(value, "is_ready") or value.is_ready()


def _is_donated(value: Any) -> bool:
    return isinstance(value, jax.Array) and value.is_deleted()
