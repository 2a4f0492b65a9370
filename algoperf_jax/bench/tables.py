"""Reports as tables for the console."""

from rich.table import Table

from algoperf_jax.bench.reports import Report, paired_quantities
from algoperf_jax.quantities import Quantity, shown

_ABSENT = "-"


def report_table(report: Report) -> Table:
    """One row per quantity."""
    table = Table(title=_title(report), caption=_caption(report))
    table.add_column("quantity")
    for name in ("value", "minimum", "90 %"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for quantity in report.quantities:
        spread, unit = quantity.spread, quantity.unit
        table.add_row(
            quantity.name,
            shown(quantity.value, unit),
            shown(spread.minimum, unit) if spread else "",
            shown(spread.p90, unit) if spread else "",
            quantity.note,
        )
    return table


def comparison_table(earlier: Report, now: Report) -> Table:
    """Both values of each quantity, and the ratio of the new to the earlier one."""
    table = Table(title=_title(now), caption=f"earlier: {_caption(earlier)}\nnow: {_caption(now)}")
    table.add_column("quantity")
    for name in ("earlier", "now", "now / earlier"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, (there, here) in paired_quantities(earlier, now).items():
        table.add_row(name, _value(there), _value(here), _ratio(there, here))
    return table


def _value(quantity: Quantity | None) -> str:
    return shown(quantity.value, quantity.unit) if quantity else _ABSENT


def _ratio(earlier: Quantity | None, now: Quantity | None) -> str:
    if earlier is None or now is None or earlier.value == 0:
        return _ABSENT
    return f"{now.value / earlier.value:.3f}"


def _title(report: Report) -> str:
    subject = report.subject
    return f"{subject.workload} ({subject.data} data), batch size {subject.batch_size}, with {report.submission}"


def _caption(report: Report) -> str:
    subject, commit = report.subject, (report.commit or "unknown")[:10]
    devices = f"{subject.device_count} x {subject.device}, {subject.processor_count} x {subject.processor}"
    return f"{devices}; jax {report.versions['jax']}; commit {commit}; {report.date}; {report.steps} steps"
