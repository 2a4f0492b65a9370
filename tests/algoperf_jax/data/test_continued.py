import dataclasses
import json
import pathlib

import pytest

from algoperf_jax.data import continued, prepared
from algoperf_jax.data.continued import Written
from algoperf_jax.data.manifest import Column, File, Split
from algoperf_jax.data.prepared import DatasetSpec
from algoperf_jax.errors import DataError

SPEC = DatasetSpec("clicks", "1")
SPLITS = {"train": Split(2, {"rows": Column("<i4", (2, 3))}, (File("a.rows", 1, 24, "checksum"),))}


def prepare(data_dir: pathlib.Path, spec: DatasetSpec = SPEC, *, force: bool = False) -> list[str]:
    """Prepares a data set of one file; returns the files that were there before."""
    folder = continued.begin(data_dir, spec, force=force)
    found = sorted(path.name for path in folder.glob("*.rows"))
    (folder / "a.rows").write_bytes(bytes(24))
    continued.finish(data_dir, spec, Written(SPLITS, {"days": 24}), source="a test")
    return found


def test_a_finished_data_set_is_loaded_like_any_other(tmp_path: pathlib.Path) -> None:
    assert prepare(tmp_path / "new") == []
    data = prepared.load(tmp_path / "new", SPEC)
    assert data.num_examples("train") == 2
    assert data.facts == {"days": 24}
    assert data.files("train") == (
        (tmp_path / "new" / "clicks" / "a.rows", dataclasses.replace(SPLITS["train"].files[0], block_sizes=[])),
    )
    json.dumps(data.describe())
    (tmp_path / "new" / "clicks" / "a.rows").write_bytes(bytes(23))
    with pytest.raises(DataError, match=r"a\.rows: found 23; expected 24 bytes"):
        prepared.load(tmp_path / "new", SPEC)


def test_an_interrupted_preparation_continues(tmp_path: pathlib.Path) -> None:
    folder = continued.begin(tmp_path, SPEC, force=False)
    (folder / "b.rows").write_bytes(b"complete")
    with pytest.raises(DataError, match=r"has not finished.*algoperf_jax\.prepare clicks"):
        prepared.load(tmp_path, SPEC)
    prepared.check_replaceable(tmp_path, SPEC)
    assert prepare(tmp_path) == ["b.rows"]
    assert prepared.load(tmp_path, SPEC).num_examples("train") == 2


def test_errors_name_the_command_with_its_arguments(tmp_path: pathlib.Path) -> None:
    arguments = ["--from=/the logs", "--option=days=partial"]
    command = rf"Run: python -m algoperf_jax\.prepare clicks --data_dir={tmp_path} '--from=/the logs' {arguments[1]}"
    folder = continued.begin(tmp_path, SPEC, force=False, arguments=arguments)
    with pytest.raises(DataError, match=f"has not finished. {command}"):
        prepared.load(tmp_path, SPEC)
    (folder / "a.rows").write_bytes(bytes(24))
    continued.finish(tmp_path, SPEC, Written(SPLITS), source="a test")
    assert prepared.load(tmp_path, SPEC).arguments == arguments
    (folder / "a.rows").unlink()
    with pytest.raises(DataError, match=f"is incomplete. {command}"):
        prepared.load(tmp_path, SPEC)
    (folder / prepared.UNFINISHED).mkdir()
    with pytest.raises(DataError, match=rf"Fix this, then run: .* {arguments[1]}"):
        continued.begin(tmp_path, SPEC, force=False, arguments=arguments)


def test_a_file_that_was_lost_is_prepared_again(tmp_path: pathlib.Path) -> None:
    prepare(tmp_path)
    (tmp_path / "clicks" / "b.rows").write_bytes(b"complete")
    (tmp_path / "clicks" / "a.rows").unlink()
    with pytest.raises(DataError, match=r"a\.rows is missing"):
        prepared.load(tmp_path, SPEC)
    assert prepare(tmp_path) == ["b.rows"]


@pytest.mark.parametrize(("version", "force"), [("1", True), ("2", False)])
@pytest.mark.parametrize("finished", [True, False])
def test_force_and_another_version_start_again(
    tmp_path: pathlib.Path, version: str, force: bool, finished: bool
) -> None:
    prepare(tmp_path)
    if not finished:
        continued.begin(tmp_path, SPEC, force=False)
    spec = DatasetSpec("clicks", version)
    assert prepare(tmp_path, spec, force=force) == []
    assert prepared.load(tmp_path, spec).num_examples("train") == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clicks"]


def test_folders_of_the_user_are_left_alone(tmp_path: pathlib.Path) -> None:
    (tmp_path / "clicks").mkdir()
    (tmp_path / "clicks" / "day_0").write_text("0")
    with pytest.raises(DataError, match="is not a prepared data set"):
        prepared.check_replaceable(tmp_path, SPEC)


def test_empty_splits_and_unwritable_folders_are_errors(tmp_path: pathlib.Path) -> None:
    continued.begin(tmp_path, SPEC, force=False)
    with pytest.raises(DataError, match="split 'test' has no examples"):
        continued.finish(tmp_path, SPEC, Written({"test": Split(0, {}, ())}), source="a test")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"preparing clicks in .*file failed.*Fix this, then run"):
        continued.begin(tmp_path / "file", SPEC, force=False)
