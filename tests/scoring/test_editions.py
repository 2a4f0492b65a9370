"""Logs of two editions are not scored together."""

import json
import pathlib
from typing import Any

import pytest

import scoring
from tests.scoring.log_trees import write_text

ROWS = "global_step,score,validation/bleu\n1,1.0,0.1\n9,100,31.0\n"


def logged(root: pathlib.Path, submission: str, facts: dict[str, Any] | None, workload: str = "wmt") -> None:
    """Writes the log of a trial with these meta data."""
    file = write_text(root, f"{submission}/study_0/{workload}_jax/trial_1", ROWS)
    if facts is not None:
        (file.parent / "meta_data_0.json").write_text(json.dumps(facts))


def test_two_editions_in_one_folder(tmp_path: pathlib.Path) -> None:
    logged(tmp_path, "one", {"edition": "v0.6"})
    logged(tmp_path, "other", {"edition": "v0.6-a100"})
    with pytest.raises(scoring.ScoringError) as caught:
        scoring.load(tmp_path, "v0.6")
    assert str(caught.value) == (
        f"{tmp_path}: logs of two editions: one/study_0/wmt_jax/trial_1 is of v0.6, other/study_0/wmt_jax/trial_1 of "
        "v0.6-a100; move those of one edition out of the folder of logs"
    )


def test_two_editions_of_built_in_data(tmp_path: pathlib.Path) -> None:
    logged(tmp_path, "one", {"edition": "v0.6"}, "wmt_builtin")
    logged(tmp_path, "same", {"edition": "v0.6"}, "wmt_builtin")
    assert len(scoring.load(tmp_path, builtin=True).trials) == 2
    logged(tmp_path, "other", {"edition": "v0.6-a100"}, "wmt_builtin")
    with pytest.raises(scoring.ScoringError, match="logs of two editions"):
        scoring.load(tmp_path, builtin=True)


def test_another_edition_than_the_targets(tmp_path: pathlib.Path) -> None:
    logged(tmp_path, "one", {"edition": "v0.6-a100"})
    assert len(scoring.load(tmp_path, "v0.6-a100").trials) == 1
    with pytest.raises(scoring.ScoringError) as caught:
        scoring.load(tmp_path, "v0.6")
    assert str(caught.value) == (
        f"{tmp_path}: one/study_0/wmt_jax/trial_1 is of the edition v0.6-a100, not of v0.6; score it with "
        "--targets=v0.6-a100"
    )


def test_the_budget_says_the_edition_where_nothing_else_does(tmp_path: pathlib.Path) -> None:
    logged(tmp_path, "one", {"workload.max_allowed_runtime_sec": 43336})
    logged(tmp_path, "other", {"workload.max_allowed_runtime_sec": 16114})
    with pytest.raises(scoring.ScoringError, match=r"is of v0\.6, other/study_0/wmt_jax/trial_1 of v0\.6-a100"):
        scoring.load(tmp_path, "v0.6")


@pytest.mark.parametrize("facts", [None, {}, {"workload.max_allowed_runtime_sec": 5}, {"edition": None}, []])
def test_meta_data_that_say_nothing_fit_every_edition(tmp_path: pathlib.Path, facts: Any) -> None:
    logged(tmp_path, "one", facts)
    logged(tmp_path, "other", {"edition": "v0.6-a100"})
    assert len(scoring.load(tmp_path, "v0.6-a100").trials) == 2


def test_the_same_budget_in_two_versions_fits_both(tmp_path: pathlib.Path) -> None:
    content = json.loads((pathlib.Path(scoring.__file__).parent / "targets" / "v0.6.json").read_text())
    assert content["workloads"]["criteo1tb"]["budget_sec"] == 7703
    rows = "global_step,score,validation/loss\n1,1.0,0.9\n"
    folder = write_text(tmp_path, "one/study_0/criteo1tb_jax/trial_1", rows).parent
    (folder / "meta_data_0.json").write_text(json.dumps({"workload.max_allowed_runtime_sec": 7703.0}))
    assert [len(scoring.load(tmp_path, version).trials) for version in ("v0.5", "v0.6")] == [1, 1]
    with pytest.raises(scoring.ScoringError, match=r"of the edition v0\.5 or v0\.6, not of v0\.6-a100"):
        scoring.load(tmp_path, "v0.6-a100")


def test_targets_of_a_file_fit_any_one_edition(tmp_path: pathlib.Path) -> None:
    content = json.loads((pathlib.Path(scoring.__file__).parent / "targets" / "v0.6.json").read_text())
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({**content, "version": "mine"}))
    logged(tmp_path / "logs", "one", {"edition": "v0.6-a100"})
    assert len(scoring.load(tmp_path / "logs", file).trials) == 1
