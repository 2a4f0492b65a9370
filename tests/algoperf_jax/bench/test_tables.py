"""Numbers in tables are readable."""

import io

import pytest
from rich.console import Console
from rich.table import Table

from algoperf_jax.bench.tables import comparison_table, report_table
from algoperf_jax.quantities import BYTES, COUNT, EXAMPLES_PER_SECOND, SECONDS, Quantity, shown
from tests.algoperf_jax.bench.example_report import example_report


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (12.3456, SECONDS, "12.35 s"),
        (0.0123456, SECONDS, "12.35 ms"),
        (0.0000123456, SECONDS, "12.35 µs"),
        (0.0, SECONDS, "0 s"),
        (100, BYTES, "100 B"),
        (2048, BYTES, "2 KiB"),
        (1.5 * 2**30, BYTES, "1.5 GiB"),
        (7, COUNT, "7"),
        (28.3333, COUNT, "28.33"),
        (123456.7, EXAMPLES_PER_SECOND, "123,457 examples/s"),
        (7.25, EXAMPLES_PER_SECOND, "7.25 examples/s"),
    ],
)
def test_values_have_units_that_suit_them(value: float, unit: str, text: str) -> None:
    assert shown(value, unit) == text


def rows(table: Table) -> dict[str, list[str]]:
    """The cells of each row, by its first cell."""
    buffer = io.StringIO()
    Console(file=buffer, width=200).print(table)
    lines = [line for line in buffer.getvalue().splitlines() if line.startswith("│")]
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]
    return {first: rest for first, *rest in cells}


def test_report_table_shows_values_and_spread() -> None:
    found = rows(report_table(example_report()))
    assert found["step time"] == ["2 ms", "1 ms", "4 ms", "blocks of 10 steps"]
    assert found["peak memory, host"] == ["3 MiB", "", "", ""]


def test_comparison_table_shows_both_values_and_their_ratio() -> None:
    quantities = (Quantity("step time", SECONDS, 0.003), Quantity("compilation", SECONDS, 1.0))
    earlier = example_report(quantities=(*example_report().quantities, Quantity("compilation", SECONDS, 0.0)))
    found = rows(comparison_table(earlier, example_report(quantities=quantities)))
    assert found["step time"] == ["2 ms", "3 ms", "1.500"]
    assert found["compilation"] == ["0 s", "1 s", "-"]
    assert found["peak memory, host"] == ["3 MiB", "-", "-"]
