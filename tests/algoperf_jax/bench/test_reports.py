"""Reports survive JSON and CSV, and only comparable reports are compared."""

import csv
import dataclasses
import io
import json
from typing import Any

import pytest

from algoperf_jax.bench import reports
from algoperf_jax.errors import RunError
from algoperf_jax.quantities import SECONDS, Quantity
from tests.algoperf_jax.bench.example_report import SUBJECT, example_report


def test_json_round_trip() -> None:
    report = example_report()
    assert reports.from_json(reports.to_json(report), name="r.json") == report


def test_json_refuses_nan() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        reports.to_json(example_report(quantities=(Quantity("step time", SECONDS, float("nan")),)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1]",
        "{}",
        reports.to_json(example_report())[:200],
        reports.to_json(example_report()).replace("bench 1", "bench 0"),
        reports.to_json(example_report()).replace('"batch_size"', '"size"'),
        reports.to_json(example_report()).replace('"spread"', '"range"'),
    ],
)
def test_other_files_are_refused(text: str) -> None:
    with pytest.raises(RunError, match=r"r\.json is not a report of this command"):
        reports.from_json(text, name="r.json")


def test_csv_repeats_what_the_numbers_depend_on() -> None:
    report = example_report()
    rows = list(csv.DictReader(io.StringIO(reports.to_csv(report))))
    assert [row["quantity"] for row in rows] == ["step time", "peak memory, host"]
    assert [float(row["value"]) for row in rows] == [0.002, 3 * 2**20]
    assert (rows[0]["minimum"], rows[0]["p90"], rows[0]["samples"]) == ("0.001", "0.004", "2")
    assert rows[1]["minimum"] == ""
    for row in rows:
        for field, value in dataclasses.asdict(SUBJECT).items():
            assert row[field] == str(value)
        assert row["date"] == report.date
        assert row["commit"] == report.commit
        assert json.loads(row["versions"]) == report.versions
        assert json.loads(row["config"]) == report.config


def test_equal_subjects_are_comparable() -> None:
    reports.check_comparable(SUBJECT, SUBJECT, name="r.json")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"workload": "cifar"}, "workload 'cifar' there, 'mnist' here"),
        ({"data": "prepared"}, "data 'prepared' there, 'builtin' here"),
        ({"batch_size": 64}, "batch size 64 there, 128 here"),
        ({"eval_batch_size": 64}, "eval batch size 64 there, 1000 here"),
        ({"device": "H100"}, "device 'H100' there, 'cpu' here"),
        ({"device_count": 8}, "device count 8 there, 1 here"),
        ({"processor": "Another"}, "processor 'Another' there, 'Some Processor' here"),
    ],
)
def test_different_subjects_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(RunError, match=words) as caught:
        reports.check_comparable(dataclasses.replace(SUBJECT, **change), SUBJECT, name="r.json")
    assert "r.json cannot be compared" in str(caught.value)


def test_differences_name_versions_and_settings() -> None:
    earlier = example_report(
        versions={"jax": "0.9.0", "torch": "2.0"},
        config={"seed": 1, "input": {"threads": 2}, "data_dir": None},
        commit=None,
    )
    assert set(reports.differences(earlier, example_report())) == {
        "commit: None earlier, 0123456789abcdef now",
        "version of jax: 0.9.0 earlier, 0.10.2 now",
        "version of numpy: None earlier, 2.4.6 now",
        "version of torch: 2.0 earlier, None now",
        "config.seed: 1 earlier, 0 now",
        "config.input.threads: 2 earlier, 1 now",
    }
    assert reports.differences(example_report(), example_report()) == []


def test_quantities_are_paired_by_name() -> None:
    time, memory = example_report().quantities
    new = Quantity("another", SECONDS, 1.0)
    pairs = reports.paired_quantities(example_report(), example_report(quantities=(new, time)))
    assert list(pairs.items()) == [
        ("another", (None, new)),
        ("step time", (time, time)),
        ("peak memory, host", (memory, None)),
    ]
