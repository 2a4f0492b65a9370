"""A small report for tests."""

import dataclasses
from typing import Any

from algoperf_jax.bench.reports import Report, Subject
from algoperf_jax.quantities import BYTES, SECONDS, Quantity, Spread

SUBJECT = Subject(
    workload="mnist",
    data="builtin",
    framework="jax",
    batch_size=128,
    eval_batch_size=1000,
    platform="cpu",
    device="cpu",
    device_count=1,
    processor="Some Processor",
    processor_count=2,
)


def example_report(**changes: Any) -> Report:
    report = Report(
        subject=SUBJECT,
        submission="nadamw",
        steps=20,
        date="2026-01-02T03:04:05+00:00",
        commit="0123456789abcdef",
        versions={"jax": "0.10.2", "numpy": "2.4.6"},
        config={"seed": 0, "input": {"threads": 1}, "data_dir": None},
        quantities=(
            Quantity("step time", SECONDS, 0.002, Spread(0.001, 0.004, 2), "blocks of 10 steps"),
            Quantity("peak memory, host", BYTES, 3 * 2**20),
        ),
    )
    return dataclasses.replace(report, **changes)
