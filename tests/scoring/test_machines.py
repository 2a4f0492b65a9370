"""What meta data say about machines, and times by a calibration."""

import json
import pathlib
from typing import Any

import numpy as np
import pytest

import scoring
from scoring.machines import calibrated, machines
from tests.scoring.log_trees import targets, write_hit

PUBLISHED = {"gpu.count": 8, "gpu_count": 8, "gpu_model_name": "Tesla V100-SXM2-16GB", "cpu_model_name": "Xeon"}


def trial(root: pathlib.Path, number: int, *processes: dict[str, Any], time: float = 20.0) -> pathlib.Path:
    file = write_hit(root, f"s/study_0/alpha_jax/trial_{number}", time)
    for process, facts in enumerate(processes):
        (file.parent / f"meta_data_{process}.json").write_text(json.dumps(facts))
    return file.parent


def load(root: pathlib.Path) -> scoring.Logs:
    return scoring.load(root, targets())


def test_the_machine_of_each_trial(tmp_path: pathlib.Path) -> None:
    trial(tmp_path, 1)
    trial(tmp_path, 2, PUBLISHED)
    trial(tmp_path, 3, {"gpu_count": 0, "cpu_model_name": "Xeon"})
    trial(tmp_path, 4, {"devices": {"kind": "TPU v4", "count": 16}, "gpu_count": 0})
    trial(tmp_path, 5, PUBLISHED, {**PUBLISHED, "gpu_model_name": "H100", "gpu_count": 4})
    table = machines(load(tmp_path))
    assert table["processes"].tolist() == [0, 1, 1, 1, 2]
    names = ["Tesla V100-SXM2-16GB", "Xeon", "TPU v4", "Tesla V100-SXM2-16GB, H100"]
    assert table["device"].fillna("?").tolist() == ["?", *names]
    np.testing.assert_equal(table["devices"].to_numpy(), [np.nan, 8, 1, 16, 8])
    assert list(table["relative_speed"].dropna()) == []


def test_times_by_a_calibration(tmp_path: pathlib.Path) -> None:
    trial(tmp_path, 1, {"calibration.relative_speed": 2.0}, time=20.0)
    trial(tmp_path, 2, {"calibration.relative_speed": 0.25}, {"calibration.relative_speed": 0.75}, time=50.0)
    logs = calibrated(load(tmp_path))
    assert logs.evaluations["submission_time_sec"].tolist() == [2.0, 40.0, 0.5, 25.0]
    assert logs.evaluations["total_duration_sec"].tolist() == [4.0, 42.0, 1.0, 25.5]
    assert scoring.score(logs).times.loc["s", "alpha"] == 25.0


def test_a_trial_without_calibration_is_named(tmp_path: pathlib.Path) -> None:
    trial(tmp_path, 1, {"calibration.relative_speed": 2.0})
    trial(tmp_path, 2, {"calibration.relative_speed": 2.0}, {})
    with pytest.raises(scoring.ScoringError, match=r"trial_2: no calibration\.relative_speed .*; 0 more trials"):
        calibrated(load(tmp_path))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "meta_data_1.json is not JSON"),
        ("", "meta_data_1.json is not JSON"),
        ('{"gpu_count": 8, "gpu_mo', "meta_data_1.json is not JSON"),
        ('{"gpu_count": 8}\0\0\0', "meta_data_1.json is not JSON"),
        ("[]", "holds list; expected an object"),
        (
            '{"gpu_count": "8 V100"}',
            "devices in meta_data_1.json is '8 V100'; expected a positive number",
        ),
        ('{"devices": {"kind": ["H100"], "count": 1}}', "the name of the devices in meta_data_1.json is ['H100']"),
        ('{"devices": {"kind": "H100", "count": NaN}}', "meta_data_1.json is nan; expected a positive number"),
        ('{"calibration.relative_speed": -1}', "meta_data_1.json is -1; expected a positive number"),
        ('{"calibration.relative_speed": "fast"}', "meta_data_1.json is 'fast'"),
    ],
)
def test_damaged_meta_data_are_ignored_with_a_reason(tmp_path: pathlib.Path, text: str, words: str) -> None:
    (trial(tmp_path, 1, PUBLISHED) / "meta_data_1.json").write_text(text)
    logs = load(tmp_path)
    row = machines(logs).iloc[0]
    assert row["devices"] == 8
    assert words in row["problem"]
    with pytest.raises(scoring.ScoringError, match=r"trial_1: .*meta_data_1\.json"):
        calibrated(logs)
