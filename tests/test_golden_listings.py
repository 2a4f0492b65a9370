"""Listings keep their content as archives, for values of any type."""

import json
import pathlib

import pytest

from tests import golden_listings

LISTING = {
    "workload": "tiny",
    "total": 12,
    "params": [["Dense/kernel", [2, 5], "float32"], ["Dense/bias", [2], "float32"]],
    "statistics": {
        "Dense/kernel": {"mean": 0.1, "max": 1, "constant": False, "unit": None},
        "Dense/bias": {"mean": 1 / 3, "max": 2.5, "constant": True, "unit": "one"},
    },
    "uneven": [["a"], ["b", 1]],
    "different": {"a": {"x": 1}, "b": {"y": 1}},
    "nested": {"a": [1, {"b": None}]},
    "empty": [{}, []],
    "nothing": {},
}


def test_archives_hold_what_was_put_into_them() -> None:
    assert json.dumps(golden_listings.from_arrays(golden_listings.to_arrays(LISTING))) == json.dumps(LISTING)


def test_tables_become_columns() -> None:
    arrays = golden_listings.to_arrays(LISTING)
    assert arrays["column/params/0"].tolist() == ["Dense/kernel", "Dense/bias"]
    assert arrays["field/statistics/mean"].dtype == "float64"


def test_files_are_converted_and_printed(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tiny.json").write_text(json.dumps(LISTING))
    golden_listings.main(tmp_path / "tiny.json")
    golden_listings.main(tmp_path / "tiny.listing.npz")
    assert json.loads(capsys.readouterr().out) == LISTING
