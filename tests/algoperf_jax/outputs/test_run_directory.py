"""The paths of trials, and the conditions for using their directories."""

import json
import pathlib
from typing import Any

import pytest
from ml_collections import ConfigDict

from algoperf_jax.errors import RunError
from algoperf_jax.outputs import run_directory
from algoperf_jax.outputs.run_directory import RunDirectory, differences, locate, write_json, write_text
from configs import base


@pytest.fixture
def directory(tmp_path: pathlib.Path) -> RunDirectory:
    return RunDirectory(tmp_path / "trial_1")


def claim(directory: RunDirectory, config: dict[str, Any], *, overwrite: bool) -> list[str]:
    """Claims the directory; returns what was reported."""
    said: list[str] = []
    run_directory.claim(directory, config, overwrite=overwrite, report=said.append)
    return said


def config(**changes: Any) -> dict[str, Any]:
    return {"workload": "tiny", "seed": 0, "mesh": {"data": None}, "overwrite": False, **changes}


def begin(directory: RunDirectory, **changes: Any) -> None:
    """Creates the files of an interrupted run."""
    claim(directory, config(**changes), overwrite=False)
    directory.events.touch()


@pytest.mark.parametrize(("origin", "workload"), [("builtin", "mnist_builtin_jax"), ("prepared", "mnist_jax")])
def test_place_of_a_trial(origin: str, workload: str, tmp_path: pathlib.Path) -> None:
    settings: ConfigDict = base.named("mnist", "")
    settings.update(experiment_dir=str(tmp_path), experiment_name="e", study=2, trial=3)
    found = locate(settings, "nadamw", "jax", origin)
    assert found.path == tmp_path / "e" / "nadamw" / "study_2" / workload / "trial_3"


def test_claim_makes_the_directory_and_keeps_the_configuration(directory: RunDirectory) -> None:
    begin(directory)
    assert json.loads(directory.config.read_text()) == config()
    assert directory.preemption_count() == 0
    (directory.path / "meta_data_0.json").touch()
    assert directory.preemption_count() == 1


def test_whether_there_are_checkpoints(directory: RunDirectory) -> None:
    assert not directory.has_checkpoints()
    (directory.checkpoints / "checkpoint_3.orbax-checkpoint-tmp").mkdir(parents=True)
    assert not directory.has_checkpoints()
    (directory.checkpoints / "checkpoint_3").mkdir()
    assert directory.has_checkpoints()


def test_the_same_configuration_resumes(directory: RunDirectory) -> None:
    begin(directory)
    claim(directory, config(overwrite=True), overwrite=False)
    claim(directory, config(workload="tiny"), overwrite=False)


def test_another_configuration_is_refused_with_all_differences(directory: RunDirectory) -> None:
    begin(directory)
    with pytest.raises(RunError) as caught:
        claim(directory, config(seed=1, mesh={"data": 2}), overwrite=False)
    line = str(caught.value)
    assert str(directory.path) in line
    assert "config.mesh.data: None there, 2 now; config.seed: 0 there, 1 now" in line
    assert "--config.overwrite=True" in line
    assert json.loads(directory.config.read_text()) == config()


def test_which_other_trials_a_study_has_may_differ(directory: RunDirectory) -> None:
    begin(directory, num_trials=3, search_space="old.json", trials=None, hyperparameters={})
    changes: dict[str, Any] = {"num_trials": 5, "num_studies": 2, "search_space": "new.json", "trials": "2:"}
    claim(directory, config(**changes, hyperparameters={}), overwrite=False)
    with pytest.raises(RunError, match=r"config\.hyperparameters\.x: None there, 1 now"):
        claim(directory, config(**changes, hyperparameters={"x": 1}), overwrite=False)


def test_a_run_without_a_trial_has_no_claim(directory: RunDirectory) -> None:
    claim(directory, config(), overwrite=False)
    claim(directory, config(seed=1), overwrite=False)
    assert json.loads(directory.config.read_text())["seed"] == 1


def test_overwriting_removes_the_old_content(directory: RunDirectory) -> None:
    begin(directory)
    (directory.path / "old").touch()
    claim(directory, config(seed=1), overwrite=True)
    assert [path.name for path in directory.path.iterdir()] == ["config.json"]


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff{", b"[]", b"\0\0\0", b"null"])
def test_a_damaged_configuration_is_restored_from_an_earlier_process(
    content: bytes | None, directory: RunDirectory
) -> None:
    begin(directory)
    if content is None:
        directory.config.unlink()
    else:
        directory.config.write_bytes(content)
    write_json(directory.path / "flags_0.json", config())
    (directory.path / "flags_1.json").write_bytes(b"{")
    with pytest.raises(RunError, match="seed: 0 there, 1 now"):
        claim(directory, config(seed=1), overwrite=False)
    assert json.loads(directory.config.read_text()) == config()
    assert claim(directory, config(), overwrite=False) == []


def test_a_damaged_configuration_without_a_copy_does_not_prevent_a_run(directory: RunDirectory) -> None:
    begin(directory)
    directory.config.write_bytes(b"")
    (line,) = claim(directory, config(), overwrite=False)
    assert "config.json is missing or damaged: cannot check that the configuration is unchanged" in line
    assert json.loads(directory.config.read_text()) == config()


@pytest.mark.parametrize("place", ["events.jsonl", "result.json", "checkpoints/checkpoint_3"])
def test_any_remains_of_a_trial_have_a_claim(place: str, directory: RunDirectory) -> None:
    claim(directory, config(), overwrite=False)
    (directory.path / place).mkdir(parents=True)
    with pytest.raises(RunError, match="seed: 0 there, 1 now"):
        claim(directory, config(seed=1), overwrite=False)


def test_processes_are_counted_by_the_largest_number_that_is_left(directory: RunDirectory) -> None:
    directory.path.mkdir()
    for name in ("meta_data_0.json", "flags_0.json", "flags_2.json", "meta_data_1.json", "meta_data_x.json"):
        (directory.path / name).touch()
    assert directory.preemption_count() == 3
    (directory.path / "meta_data_0.json").unlink()
    assert directory.preemption_count() == 3
    assert directory.last_meta_data() == {}
    write_json(directory.path / "meta_data_0.json", {"cpu_count": 2})
    assert directory.last_meta_data() == {"cpu_count": 2}


def test_readers_see_the_old_or_the_new_text(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.json"
    write_text(path, "old")

    def full(self: pathlib.Path, text: str) -> None:
        self.touch()
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(pathlib.Path, "write_text", full)
        with pytest.raises(OSError, match="No space left"):
            write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    write_text(path, "new")
    assert path.read_text() == "new"


def test_error_of_the_disk_names_place_cause_and_remedy(tmp_path: pathlib.Path) -> None:
    line = str(run_directory.disk_error(tmp_path, OSError(28, "No space left on device")))
    assert line.startswith(f"{tmp_path} cannot be written: No space left on device; expected")
    assert "run the same command again" in line


def test_differences_name_the_key_and_both_values() -> None:
    ours = {"seed": 1, "mesh": {"data": 2}, "new": 3, "odd": float("nan")}
    theirs = {"seed": 1, "mesh": {"data": 4}, "odd": float("nan")}
    assert differences(ours, theirs) == [
        "config.mesh.data: 4 there, 2 now",
        "config.new: None there, 3 now",
    ]
