"""One experiment in several directories, and more trials or studies than the rules allow."""

import pathlib
import shutil

import pytest

import scoring
from scoring.presentation.curves import workload_curves
from tests.scoring.log_trees import targets, write_hit, write_trial
from tests.scoring.test_logs import findings

STAMPS = (
    "-2024-11-01-12-00-00",
    "_2024-11-01-12-00-00",
    "_11-01-2024-12-00-00",
    "-2024-11-01_120000",
    "_2024-11-01T12:00:00",
)
LATER = "_2024-12-24-08-15-30"
TRIAL = "a/study_0/alpha_jax/trial_1{}"


def write_studies(root: pathlib.Path, submission: str = "a", trials: int = 2, start: float = 20.0) -> None:
    for study in range(3):
        for trial in range(1, trials + 1):
            write_hit(root, f"{submission}/study_{study}/alpha_jax/trial_{trial}", start + study + 10 * trial)


def load(root: pathlib.Path, ruleset: str = "external") -> scoring.Logs:
    return scoring.load(root, targets(), ruleset=ruleset)


@pytest.mark.parametrize("stamp", STAMPS)
@pytest.mark.parametrize("with_plain_name", [True, False])
def test_a_copied_experiment_counts_once(tmp_path: pathlib.Path, stamp: str, with_plain_name: bool) -> None:
    first = "a" if with_plain_name else f"a{LATER}"
    write_studies(tmp_path, first)
    expected = load(tmp_path).trials[["submission", "study", "trial"]]
    shutil.copytree(tmp_path / first, tmp_path / f"a{stamp}")
    logs = load(tmp_path)
    assert logs.trials[["submission", "study", "trial"]].equals(expected)
    assert scoring.score(logs).times.loc["a", "alpha"] == 31.0
    found = findings(logs)
    assert ("noted", f"a{stamp}", None, "its trials count as those of a") in found
    copies = [(path, reason) for kind, path, _, reason in found if kind == "left out"]
    assert len(copies) == 6
    for path, reason in copies:
        both = path + reason
        assert f"{first}/study_" in both
        assert f"a{stamp}/study_" in both
        assert "has the same evaluations" in reason


@pytest.mark.parametrize("level", ["a{}/study_0/alpha_jax", "a/study_0{}/alpha_jax", "a/study_0/alpha_jax{}", TRIAL])
def test_an_experiment_that_continues_in_a_copy_counts_as_the_longer_one(tmp_path: pathlib.Path, level: str) -> None:
    whole = [(1.0, 9.0), (10.0, 8.0), (20.0, 0.4)]
    paths = [level.format(stamp) + "/trial_1" * (level != TRIAL) for stamp in ("", LATER)]
    write_trial(tmp_path, paths[0], whole[:2])
    write_trial(tmp_path, paths[1], whole)
    logs = load(tmp_path)
    assert logs.trials[["trial", "path", "regular_name"]].to_numpy().tolist() == [["trial_1", paths[1], True]]
    assert scoring.score(logs).times.loc["a", "alpha"] == 20.0
    assert ("left out", paths[0], None, f"a copy: {paths[1]} has the same evaluations") in findings(logs)


def test_trials_may_be_spread_over_directories_up_to_their_number(tmp_path: pathlib.Path) -> None:
    for trial in range(1, 4):
        write_hit(tmp_path, f"a/study_0/alpha_jax/trial_{trial}", 20.0 + trial)
    for trial in range(1, 3):
        write_hit(tmp_path, f"a{LATER}/study_0/alpha_jax/trial_{trial}", 10.0 + trial)
    logs = load(tmp_path)
    second = f"trial_1 of a{LATER}/study_0/alpha_jax"
    assert sorted(logs.trials["trial"])[:2] == ["trial_1", second]
    path = f"a{LATER}/study_0/alpha_jax/trial_1"
    reason = "a second trial_1 of this study, in addition to a/study_0/alpha_jax/trial_1: both count"
    assert ("noted", path, None, reason) in findings(logs)
    scores = scoring.score(logs)
    assert scores.studies[["chosen_trial", "value"]].to_numpy().tolist() == [[second, 11.0]]
    (curves,) = workload_curves(logs, scores)
    assert [curve.time_sec[-1] for curve in curves.curves] == [11.0]


def test_an_experiment_that_was_run_twice_is_refused(tmp_path: pathlib.Path) -> None:
    write_studies(tmp_path, "a", trials=5)
    write_studies(tmp_path, f"a{LATER}", trials=5, start=10.0)
    with pytest.raises(scoring.ScoringError) as caught:
        load(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: 10 trials of alpha in study_0 of a, where by hand has 5 with the ruleset external: 5 in "
        f"a/study_0/alpha_jax and 5 in a{LATER}/study_0/alpha_jax; move the surplus out of the folder of logs"
    )


@pytest.mark.parametrize(("ruleset", "allowed"), [("external", 5), ("self", 1)])
def test_trials_beyond_the_rules_are_refused(tmp_path: pathlib.Path, ruleset: str, allowed: int) -> None:
    write_studies(tmp_path, trials=allowed)
    assert len(load(tmp_path, ruleset).trials) == 3 * allowed
    write_hit(tmp_path, "a/study_1/alpha_jax/trial_12", 77.0)
    write_hit(tmp_path, "a/study_1/alpha_jax/trial_9", 79.0)
    words = (
        rf"{allowed + 2} trials of alpha in study_1 of a, .*in a/study_1/alpha_jax; the surplus is trial_9, trial_12;"
    )
    with pytest.raises(scoring.ScoringError, match=words):
        load(tmp_path, ruleset)


def test_studies_beyond_the_rules_are_refused(tmp_path: pathlib.Path) -> None:
    write_studies(tmp_path)
    write_hit(tmp_path, f"a{LATER}/study_3/alpha_jax/trial_1", 5.0)
    words = f"4 studies of alpha by a, where by hand has 3: a/study_0, a/study_1, a/study_2, a{LATER}/study_3; move"
    with pytest.raises(scoring.ScoringError, match=words):
        load(tmp_path)


def test_runs_on_built_in_data_may_have_more_trials(tmp_path: pathlib.Path) -> None:
    for trial in range(1, 7):
        folder = tmp_path / f"a/study_0/mnist_builtin_jax/trial_{trial}"
        folder.mkdir(parents=True)
        (folder / "eval_measurements.csv").write_text(f"global_step,score,validation/accuracy\n1,{trial},0.99\n")
    logs = scoring.load(tmp_path, builtin=True)
    assert len(logs.trials) == 6
    assert any("the surplus is trial_6" in reason for reason in logs.findings["reason"])


def test_equal_evaluations_under_other_names_are_noted(tmp_path: pathlib.Path) -> None:
    write_studies(tmp_path)
    shutil.copytree(tmp_path / "a", tmp_path / "a_backup")
    shutil.copytree(tmp_path / "a/study_0/alpha_jax/trial_1", tmp_path / "a/study_0/alpha_jax/trial_3")
    found = [(path, reason) for kind, path, _, reason in findings(load(tmp_path)) if kind == "noted"]
    assert found == [
        ("a/study_0/alpha_jax/trial_3", "the same evaluations as a trial of a/study_0"),
        *(
            (f"a_backup/study_{study}/alpha_jax/trial_{trial}", f"the same evaluations as a trial of a/study_{study}")
            for study in range(3)
            for trial in (1, 2)
        ),
    ]
