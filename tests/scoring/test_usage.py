"""Steps, time, device-hours, money and energy."""

import json
import pathlib

import numpy as np
import pytest

import scoring
from scoring.usage import usage
from tests.scoring.log_trees import targets, write_hit, write_text

HEADER = (
    "accumulated_energy_joules,accumulated_eval_time,accumulated_logging_time,accumulated_submission_time,"
    "global_step,score,total_duration,validation/loss"
)


@pytest.fixture
def logs(tmp_path: pathlib.Path) -> scoring.Logs:
    for number, end in ((1, 3600), (2, 7200)):
        rows = [HEADER, "1000,8,0,2,1,2,10,9.0", f"7200000,{end},{end},{2 * end},101,{2 * end},{4 * end},0.4"]
        file = write_text(tmp_path, f"s/study_0/alpha_jax/trial_{number}", "\n".join(rows) + "\n")
        (file.parent / "meta_data_0.json").write_text(json.dumps({"gpu_count": 8}))
    write_hit(tmp_path, "t/study_0/alpha_jax/trial_1", None)
    return scoring.load(tmp_path, targets())


def test_sums_over_the_trials_of_a_workload(logs: scoring.Logs) -> None:
    table = usage(logs, price_per_device_hour=2.5).set_index(["submission", "workload"])
    row = table.loc[("s", "alpha")]
    assert row[["trials", "steps", "steps_to_target"]].tolist() == [2, 202, 101]
    assert row[["submission_hours", "total_hours"]].tolist() == [6.0, 12.0]
    assert row[["submission_share", "evaluation_share", "logging_share"]].tolist() == [0.5, 0.25, 0.25]
    assert row[["device_hours", "cost", "energy_kwh"]].tolist() == [96.0, 240.0, 4.0]
    # Two trials of two differences each.
    assert row["step_time_sec"] == np.median([2.0, 2.0, (7200 - 2) / 100, (14400 - 2) / 100])
    whole = table.loc[("s", "all")]
    assert whole[["trials", "steps", "device_hours", "cost"]].tolist() == [2, 202, 96.0, 240.0]


def test_what_logs_do_not_contain_is_unknown(logs: scoring.Logs) -> None:
    table = usage(logs).set_index(["submission", "workload"])
    row = table.loc[("t", "alpha")]
    assert row[["evaluation_share", "logging_share", "device_hours", "energy_kwh"]].isna().all()
    assert row["steps_to_target"] == np.inf
    assert row["submission_share"] == pytest.approx(1000 / 1001)
    assert "cost" not in table.columns
    assert usage(logs, devices=2.0).set_index(["submission", "workload"]).loc[("t", "all"), "device_hours"] == (
        pytest.approx(2 * 1001 / 3600)
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"devices": 0.0}, "devices is 0.0"), ({"price_per_device_hour": -1.0}, "price per device-hour is -1.0")],
)
def test_numbers_out_of_range_are_refused(logs: scoring.Logs, arguments: dict[str, float], words: str) -> None:
    with pytest.raises(scoring.ScoringError, match=words):
        usage(logs, **arguments)  # type: ignore[arg-type]
