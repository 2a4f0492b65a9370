"""Reports of measurements as JSON and CSV, and their comparison. Pure; measures nothing."""

import csv
import dataclasses
import io
import json
from collections.abc import Mapping
from typing import Any

from algoperf_jax.errors import RunError
from algoperf_jax.quantities import Quantity, Spread

FORMAT = "algoperf_jax.bench 1"


@dataclasses.dataclass(frozen=True)
class Subject:
    """What was measured, and where; only reports of equal subjects can be compared.

    Attributes:
      workload: registry name.
      data: `builtin` or `prepared`.
      framework: the submission's framework.
      batch_size: training examples per step, over all devices.
      eval_batch_size: examples per evaluation batch, over all devices.
      platform: the devices' platform (`cpu`, `gpu`, `tpu`).
      device: kind of device.
      device_count: number of devices used.
      processor: model name of the host's processor.
      processor_count: number of the host's logical processors.
    """

    workload: str
    data: str
    framework: str
    batch_size: int
    eval_batch_size: int
    platform: str
    device: str
    device_count: int
    processor: str
    processor_count: int


@dataclasses.dataclass(frozen=True)
class Report:
    """Measurements, and everything they depend on.

    Attributes:
      subject: what was measured.
      submission: name of the training algorithm.
      steps: steps per measurement.
      date: time of the measurement, ISO 8601 with time zone.
      commit: git commit of this project, or None if unknown.
      versions: library -> version.
      config: the whole configuration, JSON-able.
      quantities: the results.
    """

    subject: Subject
    submission: str
    steps: int
    date: str
    commit: str | None
    versions: Mapping[str, str]
    config: Mapping[str, Any]
    quantities: tuple[Quantity, ...]


def to_json(report: Report) -> str:
    """Writes a report as JSON text; the inverse of `from_json`."""
    return json.dumps({"format": FORMAT, **dataclasses.asdict(report)}, indent=2, allow_nan=False, default=str) + "\n"


def from_json(text: str, *, name: str) -> Report:
    """Reads a report written by `to_json`.

    Args:
      text: the file's content.
      name: the file's name, for errors.

    Raises:
      RunError: the text is not such a report.
    """
    try:
        content = json.loads(text)
        if content.pop("format") != FORMAT:
            raise ValueError("another format")
        quantities = tuple(_quantity(found) for found in content.pop("quantities"))
        return Report(subject=Subject(**content.pop("subject")), quantities=quantities, **content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"{name} is not a report of this command",
            expected=f"JSON in the format {FORMAT!r}",
            remedy="Write one with --json=FILE.",
        ) from error


def to_csv(report: Report) -> str:
    """Writes one row per quantity; each row repeats the context, so that the rows of several files can be joined."""
    context = {
        **dataclasses.asdict(report.subject),
        "submission": report.submission,
        "steps": report.steps,
        "date": report.date,
        "commit": report.commit or "",
        "versions": json.dumps(report.versions, sort_keys=True),
        "config": json.dumps(report.config, sort_keys=True, default=str),
    }
    measured = ("quantity", "unit", "value", "minimum", "p90", "samples", "note")
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*measured, *context])
    for quantity in report.quantities:
        spread = dataclasses.astuple(quantity.spread) if quantity.spread else ("", "", "")
        row = (quantity.name, quantity.unit, quantity.value, *spread, quantity.note)
        writer.writerow([*row, *context.values()])
    return buffer.getvalue()


def check_comparable(earlier: Subject, now: Subject, *, name: str) -> None:
    """Checks that two reports can be compared.

    Args:
      earlier: subject of the report in a file.
      now: subject of the new report.
      name: the file's name.

    Raises:
      RunError: the subjects differ; the message names all differences.
    """
    pairs = {
        field.name.replace("_", " "): (getattr(earlier, field.name), getattr(now, field.name))
        for field in dataclasses.fields(Subject)
    }
    found = [f"{what} {there!r} there, {here!r} here" for what, (there, here) in pairs.items() if there != here]
    if found:
        raise RunError(
            f"{name} cannot be compared with this measurement: {'; '.join(found)}",
            expected="the same workload, data, batch sizes and devices",
        )


def differences(earlier: Report, now: Report) -> list[str]:
    """One line for each difference, other than in the code, between two reports of equal subjects."""
    return [
        f"{name}: {there} earlier, {here} now"
        for name, (there, here) in _paired(_settings(earlier), _settings(now)).items()
        if there != here
    ]


def paired_quantities(earlier: Report, now: Report) -> dict[str, tuple[Quantity | None, Quantity | None]]:
    """Pairs the quantities of both reports by name, in the newer report's order; None if a report lacks one."""
    return _paired(
        {quantity.name: quantity for quantity in earlier.quantities},
        {quantity.name: quantity for quantity in now.quantities},
    )


def _settings(report: Report) -> dict[str, Any]:
    return {
        "commit": report.commit,
        "submission": report.submission,
        "steps": report.steps,
        **{f"version of {name}": version for name, version in report.versions.items()},
        **_flat(json.loads(json.dumps(report.config, default=str)), "config"),
    }


def _flat(config: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    flat = {}
    for key, value in config.items():
        flat |= _flat(value, f"{prefix}.{key}") if isinstance(value, Mapping) else {f"{prefix}.{key}": value}
    return flat


def _paired(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {name: (earlier.get(name), now.get(name)) for name in {**now, **earlier}}


def _quantity(content: Mapping[str, Any]) -> Quantity:
    spread = content["spread"]
    return Quantity(**{**content, "spread": Spread(**spread) if spread else None})
